"""How much a key may ask for in a minute and at the same time; money is none of its business."""
