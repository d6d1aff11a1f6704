"""More than one process under torchrun: who leads, whose share is what, what all agree on.

Every process draws the whole batch and computes an interleaved share of it; gradients are summed
before the optimiser steps, so that any number of processes makes the same run.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import nn

from client.train.errors import TrainingError

PATIENCE = timedelta(days=1)
"""How long processes wait for the one that aligns; torchrun ends them all when one fails."""

__all__ = ["SOLO", "World", "choose_device", "join_world"]


@dataclass(frozen=True, slots=True)
class World:
    """The processes of one run; with one process every exchange is free and changes nothing."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    """Its number on its machine: the CUDA device that it takes."""

    @property
    def leads(self) -> bool:
        """Whether this process writes the files and speaks to the user."""
        return self.rank == 0

    def parts(self, accumulate: int) -> list[slice]:
        """This process's parts of a batch, together with the others' exactly the batch."""
        count = self.size * accumulate
        return [slice(self.rank * accumulate + i, None, count) for i in range(accumulate)]

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace each gradient by the sum over the processes; a missing one counts as zero."""
        if self.size == 1:
            return
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.reshape(-1) for g in gradients])
        dist.all_reduce(flat)
        for gradient, part in zip(
            gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True
        ):
            gradient.copy_(part.view_as(gradient))

    def sum_values(self, values: dict[str, float]) -> dict[str, float]:
        """Each number summed over the processes, which have the same names."""
        if self.size == 1:
            return values
        summed = torch.tensor(list(values.values()), dtype=torch.float64)
        dist.all_reduce(summed)
        return dict(zip(values, summed.tolist(), strict=True))

    def any(self, flag: bool) -> bool:
        """Whether any process says so."""
        return flag if self.size == 1 else self.sum_values({"flag": float(flag)})["flag"] > 0

    def agree(self, values: tuple[float, float]) -> tuple[float, float]:
        """The leader's numbers, for all."""
        if self.size == 1:
            return values
        spoken = torch.tensor(values, dtype=torch.float64)
        dist.broadcast(spoken, src=0)
        return float(spoken[0]), float(spoken[1])

    @torch.no_grad()
    def share_weights(self, module: nn.Module) -> None:
        """Give every process the leader's weights and statistics."""
        if self.size == 1:
            return
        for value in module.state_dict().values():
            spoken = value.detach().contiguous().clone()
            dist.broadcast(spoken, src=0)
            value.copy_(spoken)

    def wait(self) -> None:
        """Go on when every process is here."""
        if self.size > 1:
            dist.barrier()


SOLO = World()


@contextmanager
def join_world(device: str) -> Iterator[World]:
    """This process's place among those that torchrun started; alone without torchrun.

    `device` as in the config. Raises TrainingError for CUDA where there is none.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield SOLO
        return
    rank, size, local = (int(os.environ[k]) for k in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    chosen = choose_device(device, local)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    backend = "cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=PATIENCE)
    try:
        yield World(rank, size, local)
    finally:
        dist.destroy_process_group()


def choose_device(name: str, local_rank: int = 0) -> torch.device:
    """The device of `auto`, `cpu` or `cuda`. Raises TrainingError for CUDA where there is none."""
    found = torch.cuda.is_available()
    if name == "cuda" and not found:
        raise TrainingError("torch sees no CUDA device here: give --device cpu")
    return torch.device("cuda", local_rank) if found and name != "cpu" else torch.device("cpu")
