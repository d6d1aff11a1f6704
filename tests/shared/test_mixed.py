"""bf16 for the products, fp32 for the rest: nearer to fp32 than bf16 throughout, of any architecture."""

from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from torch import nn

from shared.mixed import lower_products
from shared.openclip import load_openclip

TEXT = {"context_length": 12, "vocab_size": 600, "width": 64, "heads": 2, "layers": 8}
TOWERS: dict[str, dict[str, Any]] = {
    "a transformer": {
        "image_size": 32,
        "layers": 8,
        "width": 64,
        "head_width": 16,
        "patch_size": 8,
    },
    "one of timm's": {
        "timm_model_name": "resnet18",
        "timm_model_pretrained": False,
        "timm_pool": "avg",
        "timm_proj": "linear",
        "image_size": 32,
    },
}


def build(tower: str) -> Any:
    torch.manual_seed(0)
    model = open_clip.CLIP(embed_dim=32, vision_cfg=TOWERS[tower], text_cfg=TEXT)
    return model.eval().requires_grad_(False)


def embed(model: Any, dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(16, 3, 32, 32, generator=generator)
    texts = torch.randint(1, 599, (16, 12), generator=generator)
    texts[:, -1] = 599
    found = (model.encode_image(images.to(dtype)), model.encode_text(texts))
    return [nn.functional.normalize(vectors.float(), dim=-1) for vectors in found]


def measure_errors(model: Any) -> list[float]:
    """1 - cosine to fp32, on average, of pictures and of texts."""
    pairs = zip(embed(build("a transformer")), embed(model, model.logit_scale.dtype), strict=True)
    return [1 - float((one * other).sum(dim=1).mean()) for one, other in pairs]


def test_a_transformer_is_nearer_to_fp32_than_bf16_throughout() -> None:
    mixed = build("a transformer")
    lower_products(mixed, 32, 12)
    assert mixed.logit_scale.dtype is torch.float32
    plain = build("a transformer").to(torch.bfloat16)
    for ours, theirs in zip(measure_errors(mixed), measure_errors(plain), strict=True):
        assert 0 < ours < theirs / 1.5


def test_products_are_bf16_but_for_the_last_projection() -> None:
    mixed = build("one of timm's")
    lower_products(mixed, 32, 12)
    types = {
        name: layer.weight.dtype
        for name, layer in mixed.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    }
    whole = {name for name, dtype in types.items() if dtype is torch.float32}
    assert whole == {"visual.head.proj"}
    assert types["visual.trunk.conv1"] is torch.bfloat16


class Stubborn(nn.Module):
    """Two products in a row that know nothing of each other: the second takes what it is given."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(width, width), nn.Parameter(torch.eye(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        product: torch.Tensor = self.first(x)
        return product @ self.second


def test_a_model_that_cannot_be_mixed_is_bf16_throughout() -> None:
    def build_stubborn() -> Any:
        model = build("a transformer")
        model.visual.transformer.resblocks[1].mlp = Stubborn(64)
        return model.eval().requires_grad_(False)

    torch.manual_seed(2)
    mixed = build_stubborn()
    torch.manual_seed(2)
    plain = build_stubborn().to(torch.bfloat16)
    lower_products(mixed, 32, 12)
    assert mixed.logit_scale.dtype is torch.bfloat16
    for one, other in zip(embed(mixed, torch.bfloat16), embed(plain, torch.bfloat16), strict=True):
        assert torch.equal(one, other)


def test_the_precision_is_part_of_the_revision(clip_folder: Path) -> None:
    spec = f"local-dir:{clip_folder}"
    whole, mixed = load_openclip(spec), load_openclip(spec, "bf16")
    assert whole.revision != mixed.revision
    side = whole.preprocessing.image_size
    pixels = np.random.default_rng(0).integers(0, 256, (5, side, side, 3), dtype=np.uint8)
    alike = (whole.encode_images(pixels) * mixed.encode_images(pixels)).sum(axis=1)
    assert 0.999 < alike.min() < 1 - 1e-7
