"""A model's layers made fast for inference: weights of products and convolutions that oneDNN has laid out
for this processor, and attention that is nothing but its products.

torch hands fp32 products to MKL, which on processors not of its maker reaches less than half of what
oneDNN does, and lays bf16 weights and those of convolutions out anew for every product. Same weights,
same sums; only their order differs, as it does between any two processors. For inference. Heavy:
imports torch.
"""

from collections.abc import Callable
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ROWS = 400
"""Rows of a usual product, for which weights are laid out; any number can be multiplied."""
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.1}
"""Largest difference of a number of the trial product from torch's own."""

__all__ = ["can_pack", "fuse_attention", "pack_weights"]


class PackedLinear(nn.Module):
    """`nn.Linear` for inference; `weight` keeps its type and shape, and no numbers."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.in_features, self.out_features = weight.shape[1], weight.shape[0]
        self.weight = torch.empty((), dtype=weight.dtype).expand(weight.shape)
        self.bias = bias
        self._packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous(), ROWS)

    def forward(self, x: Tensor) -> Tensor:
        """float[…, out] of float[…, in]."""
        return _multiply(x.to(self.weight.dtype), self._packed, self.bias)


class PackedConvolution(nn.Module):
    """`nn.Conv2d` for inference, packed by the first picture; `weight` keeps its type and shape only."""

    def __init__(self, plain: nn.Conv2d) -> None:
        super().__init__()
        padding = cast("tuple[int, int]", plain.padding)
        self._manner = (list(padding), list(plain.stride), list(plain.dilation), plain.groups)
        self.weight = torch.empty((), dtype=plain.weight.dtype).expand(plain.weight.shape)
        self.bias = plain.bias
        self._plain: Tensor | None = plain.weight.detach()
        self._packed: Tensor | None = None
        for hook in plain._forward_hooks.values():  # of `shared.mixed`
            self.register_forward_hook(hook)

    def forward(self, x: Tensor) -> Tensor:
        """float[n, out, h', w'] of float[n, in, h, w], in the weights' type."""
        x = x.to(self.weight.dtype)
        plain = self._plain
        if plain is not None:
            # The best layout depends on the picture's size. Two threads may do this at once: both rightly.
            self._packed = torch.ops.mkldnn._reorder_convolution_weight(
                plain, *self._manner, list(x.shape)
            )
            self._plain = None
        return _convolve(x, self._packed, self.bias, self._manner)


class SelfAttention(nn.Module):
    """`nn.MultiheadAttention` of a sequence to itself, batch first, for inference."""

    def __init__(self, inside: nn.Module, outside: nn.Module, heads: int) -> None:
        """`inside` makes queries, keys and values in one product, `outside` what they come to."""
        super().__init__()
        self._inside, self._outside, self._heads = inside, outside, heads

    def forward(
        self, x: Tensor, *_same: Tensor, attn_mask: Tensor | None = None, **_asked: object
    ) -> tuple[Tensor, None]:
        """float[n, length, d] of the same, which is its own keys and values, whatever follows it."""
        count, length, width = x.shape
        parts = self._inside(x).view(count, length, 3, self._heads, width // self._heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        mask = None if attn_mask is None else attn_mask.to(query.dtype)
        mixed = F.scaled_dot_product_attention(query, key, value, mask)
        return self._outside(mixed.transpose(1, 2).reshape(count, length, width)), None


def can_pack(dtype: torch.dtype) -> bool:
    """Whether this torch, on this processor, multiplies packed weights and gets the same."""
    generator = torch.Generator().manual_seed(0)
    linear, convolution = nn.Linear(64, 32), nn.Conv2d(64, 32, 3, padding=1)
    with torch.inference_mode():
        try:
            return all(
                _agree(layer, packed, torch.randn(shape, generator=generator), dtype)
                for layer, packed, shape in (
                    (linear, lambda layer: PackedLinear(layer.weight, layer.bias), (3, 64)),
                    (convolution, PackedConvolution, (2, 64, 5, 5)),
                )
            )
        except (AttributeError, NotImplementedError, RuntimeError):
            # The operators are the compiler's own: another version may not have them.
            return False


def _agree(
    layer: nn.Module, pack: Callable[[Any], nn.Module], x: Tensor, dtype: torch.dtype
) -> bool:
    layer, x = layer.to(dtype), x.to(dtype)
    return float((pack(layer)(x) - layer(x)).abs().max()) <= TOLERANCE[dtype]


@torch.inference_mode()
def pack_weights(model: nn.Module) -> None:
    """Give `model`, on the CPU, packed layers in place; from then on it is for inference only."""
    for name, child in list(model.named_children()):
        if type(child) is nn.Linear:
            setattr(model, name, PackedLinear(child.weight, child.bias))
        elif type(child) is nn.MultiheadAttention and _attends_to_itself(model, child):
            setattr(model, name, _pack_attention(child))
        elif type(child) is nn.Conv2d and _pads_with_zeros(child):
            setattr(model, name, PackedConvolution(child))
        else:
            pack_weights(child)


def fuse_attention(model: nn.Module) -> None:
    """Give `model` attention that any device's fastest kernel computes; from then on it is for
    inference only, and its weights have other names."""
    for name, child in list(model.named_children()):
        if type(child) is nn.MultiheadAttention and _attends_to_itself(model, child):
            setattr(model, name, _fuse(child))
        else:
            fuse_attention(child)


def _pack_attention(attention: nn.MultiheadAttention) -> SelfAttention:
    out = attention.out_proj
    inside = PackedLinear(attention.in_proj_weight, attention.in_proj_bias)
    return SelfAttention(inside, PackedLinear(out.weight, out.bias), attention.num_heads)


def _fuse(attention: nn.MultiheadAttention) -> SelfAttention:
    weight, bias = attention.in_proj_weight, attention.in_proj_bias
    # On no device: its own numbers would be made and thrown away.
    inside = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device="meta")
    inside.weight, inside.bias = weight, bias
    return SelfAttention(inside, attention.out_proj, attention.num_heads)


def _attends_to_itself(parent: nn.Module, attention: nn.MultiheadAttention) -> bool:
    """Of open_clip's blocks; its poolers attend to a query of their own."""
    plain = attention.batch_first and attention._qkv_same_embed_dim and attention.bias_k is None
    return plain and type(parent).__name__ == "ResidualAttentionBlock"


def _pads_with_zeros(layer: nn.Conv2d) -> bool:
    return layer.padding_mode == "zeros" and not isinstance(layer.padding, str)


def _convolve(
    x: Tensor, packed: Tensor | None, bias: Tensor | None, manner: tuple[Any, ...]
) -> Tensor:
    product = torch.ops.mkldnn._convolution_pointwise(x, packed, bias, *manner, "none", [], "")
    return cast("Tensor", product)


def _multiply(x: Tensor, packed: Tensor, bias: Tensor | None) -> Tensor:
    product = torch.ops.mkldnn._linear_pointwise(x.contiguous(), packed, bias, "none", [], "")
    return cast("Tensor", product)
