"""A model's linear layers with weights that oneDNN has laid out for this processor, for inference.

torch hands fp32 products to MKL, which on processors not of its maker reaches less than half of what
oneDNN does, and lays bf16 weights out anew for every product. Same weights, same sums; only their
order differs, as it does between any two processors. Heavy: imports torch.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ROWS = 400
"""Rows of a usual product, for which weights are laid out; any number can be multiplied."""
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.1}
"""Largest difference of a number of the trial product from torch's own."""

__all__ = ["can_pack", "pack_weights"]


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


class PackedAttention(nn.Module):
    """`nn.MultiheadAttention` of a sequence to itself, batch first, for inference."""

    def __init__(self, attention: nn.MultiheadAttention) -> None:
        super().__init__()
        self._heads = attention.num_heads
        weight, out = attention.in_proj_weight, attention.out_proj
        self._inside = PackedLinear(weight, attention.in_proj_bias)
        self._outside = PackedLinear(out.weight, out.bias)

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
    x, weight = (torch.randn(shape, generator=generator).to(dtype) for shape in ((3, 64), (32, 64)))
    try:
        packed = torch.ops.mkldnn._reorder_linear_weight(weight, ROWS)
        apart = (_multiply(x, packed, None) - F.linear(x, weight)).abs().max()
    except (AttributeError, NotImplementedError, RuntimeError):
        # The operators are the compiler's own: another version may not have them.
        return False
    return float(apart) <= TOLERANCE[dtype]


@torch.inference_mode()
def pack_weights(model: nn.Module) -> None:
    """Give `model`, on the CPU, packed layers in place; from then on it is for inference only."""
    for name, child in list(model.named_children()):
        if type(child) is nn.Linear:
            setattr(model, name, PackedLinear(child.weight, child.bias))
        elif type(child) is nn.MultiheadAttention and _attends_to_itself(model, child):
            setattr(model, name, PackedAttention(child))
        else:
            pack_weights(child)


def _attends_to_itself(parent: nn.Module, attention: nn.MultiheadAttention) -> bool:
    """Of open_clip's blocks; its poolers attend to a query of their own."""
    plain = attention.batch_first and attention._qkv_same_embed_dim and attention.bias_k is None
    return plain and type(parent).__name__ == "ResidualAttentionBlock"


def _multiply(x: Tensor, packed: Tensor, bias: Tensor | None) -> Tensor:
    product = torch.ops.mkldnn._linear_pointwise(x.contiguous(), packed, bias, "none", [], "")
    return cast("Tensor", product)
