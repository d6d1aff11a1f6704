"""A tiny CLIP in transformers' format, made and asked by the Python that infinity is installed in.

python transformers_clip.py make FOLDER            beside vocab.json and merges.txt, written before
python transformers_clip.py embed FOLDER PICTURE… -- TEXT…    unit vectors as JSON, in order
"""

import json
import sys
from pathlib import Path
from typing import Any


def make(folder: Path) -> None:
    """Random weights of a fixed seed, their processor and tokenizer."""
    import torch
    from transformers import (  # type: ignore[import-not-found]
        CLIPConfig,
        CLIPImageProcessor,
        CLIPModel,
        CLIPProcessor,
        CLIPTokenizer,
    )

    torch.manual_seed(0)
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}
    tower |= {"num_hidden_layers": 2, "projection_dim": 16}
    config = CLIPConfig(
        text_config={**tower, "vocab_size": 49408, "eos_token_id": 49407, "bos_token_id": 49406},
        vision_config={**tower, "image_size": 32, "patch_size": 8},
        projection_dim=16,
    )
    CLIPModel(config).eval().save_pretrained(folder)
    tokenizer = CLIPTokenizer(folder / "vocab.json", folder / "merges.txt")
    pictures = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    CLIPProcessor(pictures, tokenizer).save_pretrained(folder)


def embed(folder: Path, pictures: list[str], texts: list[str]) -> list[list[float]]:
    """What the model itself says, in transformers' own words."""
    import torch
    from PIL import Image
    from transformers import CLIPModel, CLIPProcessor

    model: Any = CLIPModel.from_pretrained(folder)
    processor: Any = CLIPProcessor.from_pretrained(folder)
    with torch.no_grad():
        seen = [
            model.get_image_features(**processor(images=Image.open(name), return_tensors="pt"))
            for name in pictures
        ]
        read = [
            model.get_text_features(**processor(text=[text], return_tensors="pt")) for text in texts
        ]
    return [torch.nn.functional.normalize(row[0], dim=-1).tolist() for row in (*seen, *read)]


if __name__ == "__main__":
    what, folder, *rest = sys.argv[1:]
    if what == "make":
        make(Path(folder))
    else:
        cut = rest.index("--")
        print(json.dumps(embed(Path(folder), rest[:cut], rest[cut + 1 :])))
