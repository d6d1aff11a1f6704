"""What `VENDOR_PRECISION=auto` comes to: bf16 where this processor has it and 1,000 pictures have shown
that a model's vectors survive it, otherwise fp32.

`vl2v-vendor precision` measures and keeps the verdict. It holds for one model, one processor and one
release of torch: on any other it is as if nobody had measured. Heavy: loads models.
"""

import hashlib
import json
import tempfile
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import platformdirs

from vendor_api.engine.precision_gate import ENOUGH, Agreement

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.openclip import OpenClip, Precision

_BF16 = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")
"""How torch calls a processor's instructions for products of bf16."""
_MEANING = "products"
"""What bf16 means in this release; a verdict on another meaning is none."""

__all__ = [
    "Processor",
    "Verdict",
    "find_verdict",
    "keep_verdict",
    "load_settled",
    "read_processor",
    "verdict_folder",
]


@dataclass(frozen=True, slots=True)
class Processor:
    """What computes, as far as it can change a vector."""

    name: str
    features: tuple[str, ...]
    """Instruction sets."""
    torch: str
    """Its release."""

    @property
    def has_bf16(self) -> bool:
        """Whether it multiplies bf16 by itself, not by way of fp32."""
        return any(feature in _BF16 for feature in self.features)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A kept measurement."""

    agreement: Agreement
    day: str
    """When it was measured, as 2026-11-26."""

    @property
    def says(self) -> str:
        """What was found, in a clause."""
        found = self.agreement
        return (
            f"{found.pictures:,} pictures on {self.day}: cosine {found.mean_cosine:.6f} on average, "
            f"{found.least_cosine:.6f} at least, the same top-1 for {found.top1:.2%}"
        )


def verdict_folder() -> Path:
    """Where verdicts are kept."""
    return platformdirs.user_cache_path("vl2v") / "precision"


def read_processor(device: str = "cpu") -> Processor:
    """This machine's, for models on `device`."""
    import torch

    if device == "cuda":
        has = torch.cuda.is_bf16_supported(including_emulation=False)
        name = torch.cuda.get_device_name()
        return Processor(name, ("bf16",) if has else (), torch.__version__)
    told: Mapping[str, Any] = torch.cpu.get_capabilities()
    features = tuple(sorted(name for name, value in told.items() if value is True))
    return Processor(f"{told['architecture']} {told['cpu_name']}", features, torch.__version__)


def keep_verdict(
    revision: str, processor: Processor, agreement: Agreement, folder: Path, day: str = ""
) -> Path | None:
    """Keep what was measured of the model with that revision in fp32, in place of what was kept before.

    None, and nothing kept, when it was measured on fewer than 1,000 pictures.
    """
    if agreement.pictures < ENOUGH:
        return None
    document = {
        "revision": revision,
        "processor": asdict(processor),
        "agreement": asdict(agreement),
        "day": day or f"{datetime.now(UTC):%Y-%m-%d}",
    }
    path = _place(revision, processor, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as room:
        partial = Path(room) / path.name
        partial.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        partial.replace(path)
    return path


def find_verdict(revision: str, processor: Processor, folder: Path) -> Verdict | None:
    """What was kept of that model on that processor; None when nothing was, or nothing readable."""
    try:
        document = json.loads(_place(revision, processor, folder).read_text(encoding="utf-8"))
        return Verdict(Agreement(**document["agreement"]), str(document["day"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None  # as if it had not been measured: fp32 is right for every model


def load_settled(
    model_id: str,
    spec: str,
    precision: 'Precision | Literal["auto"]',
    device: str = "cpu",
    *,
    folder: Path | None = None,
    processor: Processor | None = None,
) -> "tuple[OpenClip, str]":
    """The model in `precision`, with `auto` settled, and why it is that one; empty when it was asked for.

    Raises ModelNotFound.
    """
    from shared.openclip import load_openclip

    if precision != "auto":
        return load_openclip(spec, precision, device), ""
    whole = load_openclip(spec, "fp32", device)
    processor = processor or read_processor(device)
    if not processor.has_bf16:
        return whole, f"auto: {processor.name} has no bf16"
    verdict = find_verdict(whole.revision, processor, folder or verdict_folder())
    if verdict is None:
        return whole, (
            f"auto: bf16 is not measured on this processor and torch {processor.torch}; run "
            f"`vl2v-vendor precision FOLDER --model {model_id}={spec}` with {ENOUGH:,} pictures like "
            "those to be sold, and start again"
        )
    if not verdict.agreement.passes:
        return whole, f"auto: bf16 is too far from fp32; {verdict.says}"
    return load_openclip(spec, "bf16", device), f"auto: bf16 is near enough; {verdict.says}"


def _place(revision: str, processor: Processor, folder: Path) -> Path:
    told = json.dumps([_MEANING, asdict(processor)])
    return folder / f"{revision}-{hashlib.sha256(told.encode()).hexdigest()[:12]}.json"
