"""Packed layers: the same vectors from the same weights, and nothing packed that cannot be."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from shared.openclip import OpenClip, Precision, load_openclip
from shared.packed import can_pack, pack_weights

TEXTS = ["a dog", "", "one two three four five six seven", "Ünïcödé 🙂"]


@pytest.fixture(params=["fp32", "bf16"])
def pair(request: pytest.FixtureRequest, clip_folder: Path) -> tuple[OpenClip, OpenClip]:
    """A model, and the same packed."""
    precision: Precision = request.param
    plain, packed = (load_openclip(f"local-dir:{clip_folder}", precision) for _ in range(2))
    packed.pack_weights()
    return plain, packed


def test_vectors_and_revision_stay(pair: tuple[OpenClip, OpenClip]) -> None:
    plain, packed = pair
    side = plain.preprocessing.image_size
    pixels = np.random.default_rng(0).integers(0, 256, (5, side, side, 3), dtype=np.uint8)
    tokens = plain.tokenize(TEXTS).tokens
    near = 1e-5 if plain.precision == "fp32" else 2e-2
    np.testing.assert_allclose(packed.encode_images(pixels), plain.encode_images(pixels), atol=near)
    np.testing.assert_allclose(packed.encode_texts(tokens), plain.encode_texts(tokens), atol=near)
    assert packed.revision == plain.revision
    assert packed.dimension == plain.dimension


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_this_machine_packs(dtype: torch.dtype) -> None:
    assert can_pack(dtype)


def test_attention_keeps_its_mask_and_its_order() -> None:
    torch.manual_seed(0)
    from open_clip.transformer import Transformer

    tower = Transformer(width=32, layers=2, heads=4).eval().requires_grad_(False)
    x = torch.randn(3, 7, 32)
    mask = torch.full((7, 7), float("-inf")).triu(1)
    expected, free = tower(x, attn_mask=mask), tower(x)
    pack_weights(tower)
    assert not any(type(module) is nn.Linear for module in tower.modules())
    torch.testing.assert_close(tower(x, attn_mask=mask), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(tower(x), free, atol=1e-5, rtol=0)


def test_layers_of_another_kind_are_left_alone() -> None:
    from open_clip.transformer import AttentionalPooler

    class Low(nn.Linear):
        pass

    pooler = AttentionalPooler(32, 16, n_head=4, n_queries=2).eval().requires_grad_(False)
    model = nn.Sequential(Low(16, 16), pooler)
    x = torch.randn(2, 5, 16)
    expected = model(x)
    pack_weights(model)
    assert type(model[0]) is Low
    assert type(pooler.attn) is nn.MultiheadAttention
    torch.testing.assert_close(model(x), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_convolutions_of_every_manner_compute_the_same(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 16, 4, stride=4, bias=False),
        nn.Conv2d(16, 16, 3, padding=2, dilation=2),
        nn.Conv2d(16, 16, 3, padding="same"),
        nn.Conv2d(16, 16, 3, padding=1, groups=16),
        nn.Conv2d(16, 16, 3, padding=1, padding_mode="reflect"),
    )
    model = model.to(dtype).eval().requires_grad_(False)
    first, more = (torch.randn(n, 3, 32, 32).to(dtype) for n in (2, 9))
    expected = model(first), model(more)
    pack_weights(model)
    assert [type(layer) is nn.Conv2d for layer in model] == [False, False, True, False, True]
    with torch.inference_mode():
        for x, y in zip((first, more), expected, strict=True):
            near = 1e-5 if dtype == torch.float32 else 0.05
            torch.testing.assert_close(model(x), y, atol=near, rtol=0)
    assert model[0].weight.shape == (16, 3, 4, 4)
    assert model[0].weight.dtype == dtype
