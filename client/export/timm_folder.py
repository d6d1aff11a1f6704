"""A folder that `timm.create_model("local-dir:PATH", pretrained=True)` loads and that answers alone."""

import json
import shutil
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from client.data.manifest import DigestMemo
from client.export.card import TIMM_USE, describe_card
from client.export.evidence import ReportedRun
from client.train.errors import TrainingError
from client.train.finished import FinishedStudent, load_finished
from client.train.runs import RunFolder

TOLERANCE = 1e-4
"""Largest difference of a logit, in units of the largest logit, between the student and its copy."""

__all__ = ["export_timm"]


def export_timm(run: RunFolder, out: Path, *, memo: DigestMemo | None = None) -> Path:
    """Write model.safetensors, config.json, classes.json and a model card to `out`.

    The class texts are folded into the frozen head: classifier = scale · T·(W, b), so the copy
    needs neither vendor nor cache, and its largest logit is the student's answer. The folder is
    loaded again and compared before it takes its place. memo: spares the card a second reading of
    unchanged pictures. Raises TrainingError.
    """
    student = load_finished(run)
    model = _build(student)
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    size = student.config.image_size
    timm.models.save_for_hf(
        model,
        str(partial),
        model_config={"label_names": list(student.classes)},
        safe_serialization=True,
        data_config={
            "input_size": (3, size, size),
            "mean": tuple(student.student.get_buffer("mean").flatten().tolist()),
            "std": tuple(student.student.get_buffer("std").flatten().tolist()),
            "interpolation": "bicubic",
            "crop_pct": 1.0,
            "crop_mode": "squash",
        },
    )
    _compare(student, partial)
    (partial / "classes.json").write_text(json.dumps(student.classes, indent=1), encoding="utf-8")
    card = describe_card([ReportedRun.read(run)], TIMM_USE, memo)
    (partial / "README.md").write_text(card, encoding="utf-8")
    for file in partial.iterdir():
        file.chmod(0o644)  # safetensors writes for its owner alone
    if out.exists():
        shutil.rmtree(out)
    partial.replace(out)
    return out


def fold_head(student: FinishedStudent) -> tuple[Tensor, Tensor]:
    """(weight float32[k, dS], bias float32[k]) of the classifier that gives the student's answers.

    T·(W f + b) and the cosines to T have their largest entry in the same place: |W f + b| is common.
    Raises TrainingError for a head that is no single Linear.
    """
    head = student.student.head
    if not isinstance(head, nn.Linear):
        raise TrainingError(
            f"the head of a {student.config.method} student is more than one linear layer and does "
            "not fit timm's classifier: take it along with `--to onnx`"
        )
    weight, bias = head.weight, head.bias
    if student.texts is None:
        return weight, bias
    texts = student.texts * student.logit_scale
    return texts @ weight, texts @ bias


def _build(student: FinishedStudent) -> nn.Module:
    spec, (weight, bias) = student.student.spec, fold_head(student)
    options: dict[str, Any] = {"num_classes": len(student.classes)}
    config = timm.get_pretrained_cfg(spec.name)
    if config is not None and config.fixed_input_size:
        options["img_size"] = spec.image_size
    model: Any = timm.create_model(spec.name, **options)
    model.load_state_dict(student.student.backbone.state_dict(), strict=False)
    for classifier in _find_classifiers(model, spec.name):
        with torch.no_grad():
            classifier.weight.copy_(weight)
            classifier.bias.copy_(bias)
    ready: nn.Module = model.eval()
    return ready


def _find_classifiers(model: Any, name: str) -> list[nn.Linear]:
    """The classifier, or both of a model that averages the answers of two tokens (DeiT distilled).

    Such a model's features are the mean of the two tokens, so the same head on each gives the head
    of the mean.
    """
    found = model.get_classifier()
    classifiers = list(found) if isinstance(found, tuple) else [found]
    if not all(isinstance(classifier, nn.Linear) for classifier in classifiers):
        kinds = ", ".join(type(classifier).__name__ for classifier in classifiers)
        raise TrainingError(
            f"{name} has a classifier of a kind that cannot carry the head ({kinds}): take it along "
            "with `--to onnx`, or export another student"
        )
    return classifiers


@torch.no_grad()
def _compare(student: FinishedStudent, folder: Path) -> None:
    """Load the copy as a user will, and hold its logits against the student's on random pictures."""
    copy = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    size = student.config.image_size
    images = torch.rand(8, 3, size, size, generator=torch.Generator().manual_seed(0))
    weight, bias = fold_head(student)
    wanted = student.student.features(images) @ weight.T + bias
    mean, std = student.student.get_buffer("mean"), student.student.get_buffer("std")
    found = copy((images - mean) / std)
    if not torch.allclose(found, wanted, rtol=0, atol=TOLERANCE * float(wanted.abs().max())):
        raise TrainingError(
            f"the exported {student.config.student} answers differently from the student: export "
            "another student, and report this"
        )
