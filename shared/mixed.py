"""A model that multiplies in bf16 and does everything else in fp32: norms, embeddings, the sums of a
transformer's blocks, the last projection.

Nearly all the time goes into the products between, so it is as fast as one that is bf16 throughout, and
a transformer's numbers are not rounded to eight bits on their way from block to block. Heavy: imports torch.
"""

from typing import Any

import torch
from torch import Tensor, nn

COLOURS = 3
_PRODUCTS = (nn.Linear, nn.Conv1d, nn.Conv2d)
_MULTIPLIERS = (*_PRODUCTS, nn.MultiheadAttention)

__all__ = ["lower_products"]


def lower_products(model: Any, side: int, context: int) -> None:
    """Have an open_clip model on the CPU multiply in bf16, in place; what it takes and gives stays fp32.

    One whose parts cannot pass mixed numbers on to each other becomes bf16 throughout.
    """
    head = getattr(model.visual, "head", None)
    ends = set(head.modules()) if isinstance(head, nn.Module) else set()
    layers = [layer for layer in model.modules() if isinstance(layer, _MULTIPLIERS)]
    for layer in layers:
        if layer not in ends and _may_be_lower(layer):
            layer.to(torch.bfloat16)
    handles = [layer.register_forward_pre_hook(_fit, with_kwargs=True) for layer in layers]
    handles += [layer.register_forward_hook(_raise) for layer in layers if _sees_pixels(layer)]
    texts: list[Any] = [part for part in model.modules() if hasattr(part, "get_cast_dtype")]
    for part in texts:
        part.get_cast_dtype = _keep_fp32  # else texts would begin in the type of the products
    try:
        _try(model, side, context)
    except RuntimeError:
        for handle in handles:
            handle.remove()
        for part in texts:
            del part.get_cast_dtype
        model.to(torch.bfloat16)


def _sees_pixels(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Conv2d) and layer.in_channels == COLOURS


def _raise(_layer: nn.Module, _given: object, product: Tensor) -> Tensor:
    """What the first layer gives, in fp32, as a transformer's blocks then go on adding to it."""
    return product.float()


def _may_be_lower(layer: nn.Module) -> bool:
    # A kind of linear layer that we do not know may do anything with its weights.
    return type(layer) in _PRODUCTS or isinstance(layer, nn.MultiheadAttention)


def _fit(
    layer: nn.Module, given: tuple[Any, ...], named: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What a layer is given, in the type of its weights; the same tensor stays the same."""
    dtype = next(layer.parameters()).dtype
    fitting: dict[int, Any] = {}
    for key, value in {id(value): value for value in (*given, *named.values())}.items():
        number = isinstance(value, Tensor) and value.is_floating_point()
        fitting[key] = value.to(dtype) if number else value
    return (
        tuple(fitting[id(value)] for value in given),
        {name: fitting[id(value)] for name, value in named.items()},
    )


def _keep_fp32() -> torch.dtype:
    return torch.float32


@torch.inference_mode()
def _try(model: Any, side: int, context: int) -> None:
    model.encode_image(torch.zeros(1, COLOURS, side, side))
    model.encode_text(torch.zeros(1, context, dtype=torch.long))
