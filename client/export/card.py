"""The model card: data, method, what was paid, seeds and accuracy, all from the run's own files."""

from collections.abc import Sequence
from pathlib import Path

from client.train.runs import RunFolder
from client.train.spending import Spending
from shared.money import show_usd

__all__ = ["write_card"]


def write_card(file: Path, run: RunFolder, classes: Sequence[str]) -> None:
    """Write the card of a finished run. Raises TrainingError."""
    config, result = run.read_config(), run.result()
    paid = Spending.from_document(result["spending"]).training
    size = config["image_size"]
    accuracy = [("in domain (validation parts)", result["in_domain_class_acc"])]
    if result["ood_class_acc"] is not None:
        accuracy.append(
            (f"out of domain ({', '.join(result['targets'])})", result["ood_class_acc"])
        )
    teacher = f"`{config['model']}@{config['revision']}`" if config["revision"] else "none"
    rows = "\n".join(f"| {name} | {value:.1%} |" for name, value in accuracy)
    file.write_text(
        f"""---
library_name: timm
tags: [image-classification, timm]
---
# {config["student"]}, {config["method"]}

An image classifier for {len(classes)} classes at {size} × {size} px, trained by VL2V's `{config["method"]}`.

```python
import timm
model = timm.create_model("local-dir:PATH_OF_THIS_FOLDER", pretrained=True).eval()
transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
```

The order of the classes is in `classes.json` and in `config.json` (`label_names`).

| mean per-class accuracy | |
|---|---|
{rows}

| made from | |
|---|---|
| training pictures | {result["training_pictures"]} of {", ".join(result["sources"])} |
| teacher | {teacher} |
| paid image queries | {paid.images} |
| paid text queries | {paid.texts} |
| paid | {show_usd(paid.cost_nanousd)} |
| initial weights | {result["weights"]} |
| parameters | {result["parameters"]:,} |
| steps, batch, learning rate, λ | {config["steps"]}, {config["batch"]}, {config["lr"]:g}, {_weight(config)} |
| split seed, trial seed | {config["split_seed"]}, {config["trial_seed"]} |
| seconds of training | {result["seconds"]:.0f} |

It answers one of its classes for every picture, also for one that shows none of them.
""",
        encoding="utf-8",
    )


def _weight(config: dict[str, object]) -> str:
    return f"{config['image_weight']}" if config["method"] == "adip" else "none"
