"""State on disk: one safetensors file with a JSON header, written beside its place and renamed."""

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from client.train.averaging import load_named
from client.train.errors import TrainingError
from client.train.loop import TrainState
from client.train.student import Student

_HEADER = "vl2v"

__all__ = ["read_header", "restore_state", "restore_student", "save_state", "save_student"]


def save_state(path: Path, state: TrainState, header: dict[str, Any]) -> None:
    """Everything that `restore_state` needs; `header` is the caller's JSON."""
    tensors = {f"student.{k}": v for k, v in state.student.state_dict().items()}
    tensors |= state.averaging.tensors()
    for index, slots in state.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in slots.items()}
    numbers = {
        "stage": state.stage,
        "step": state.step,
        "averaging": state.averaging.document(),
        "scaler": state.scaler.state_dict(),
    }
    _write(path, tensors, {**header, **numbers})


def save_student(path: Path, student: Student, header: dict[str, Any]) -> None:
    """A finished student alone, under the same names as in a state."""
    _write(path, {f"average.{k}": v for k, v in student.state_dict().items()}, header)


def restore_state(path: Path, state: TrainState) -> dict[str, Any]:
    """Fill a fresh state of the same stage, bit for bit, and return the header.

    Raises TrainingError.
    """
    tensors, header = _read(path)
    _fill(state.student, tensors, "student.", path)
    try:
        state.averaging.restore(tensors, header["averaging"])
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(
            f"{path} is of another version: train again with --no-resume"
        ) from error
    state.scaler.load_state_dict(header["scaler"])
    parameters = [p for group in state.optimizer.param_groups for p in group["params"]]
    slots: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, index, name = key.split(".", 2)
            slots.setdefault(int(index), {})[name] = _like(value, parameters[int(index)])
    document = state.optimizer.state_dict()
    state.optimizer.load_state_dict({**document, "state": slots})
    state.step = int(header["step"])
    return header


def restore_student(path: Path, student: Student) -> dict[str, Any]:
    """Fill a student with the averaged weights and return the header. Raises TrainingError."""
    tensors, header = _read(path)
    _fill(student, tensors, "average.", path)
    return header


def read_header(path: Path) -> dict[str, Any]:
    """The JSON alone. Raises TrainingError when the file is missing or damaged."""
    return _read(path, tensors=False)[1]


def _write(path: Path, tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    plain = {name: value.detach().contiguous().clone() for name, value in tensors.items()}
    save_file(plain, partial, metadata={_HEADER: json.dumps(header)})
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)


def _read(path: Path, *, tensors: bool = True) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})[_HEADER])
            found = {k: file.get_tensor(k) for k in file.keys()} if tensors else {}  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise TrainingError(
            f"{path} is no checkpoint of vl2v ({error}): train again with --no-resume"
        ) from error
    return found, header


def _fill(student: Student, tensors: dict[str, Tensor], prefix: str, path: Path) -> None:
    try:
        load_named(student, tensors, prefix)
    except RuntimeError as error:
        raise TrainingError(
            f"{path} holds another student: train again with --no-resume"
        ) from error


def _like(value: Tensor, parameter: Tensor) -> Tensor:
    """The value in the parameter's memory layout: other strides could round differently."""
    if value.shape != parameter.shape:
        return value
    return torch.empty_like(parameter, requires_grad=False).copy_(value)
