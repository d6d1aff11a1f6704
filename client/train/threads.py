"""How much of the machine training uses."""

import torch

__all__ = ["use_threads"]


def use_threads(count: int | None) -> None:
    """Let torch use `count` processor threads; None leaves its own choice."""
    if count is not None:
        torch.set_num_threads(count)
