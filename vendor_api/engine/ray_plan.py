"""How many replicas a Ray cluster is to run of a model, what each may use, and where the cluster is."""

import re
from dataclasses import dataclass

from vendor_api.refusal import Refusal
from vendor_api.settings import VendorSettings

APPLICATION_PREFIX = "vl2v-"

__all__ = ["APPLICATION_PREFIX", "ReplicaPlan", "name_application", "read_plan"]


@dataclass(frozen=True, slots=True)
class ReplicaPlan:
    """What `engine deploy` asks of the cluster for each model."""

    least: int = 1
    most: int = 1
    """Replicas; with more than the least, Ray starts and ends them as the load wants."""
    target: float = 8.0
    """Requests under way in a replica that Ray then aims at."""
    up_s: float = 10.0
    """Seconds of more than that before a replica is added."""
    down_s: float = 300.0
    """Seconds of less before one is ended."""
    cpus: float = 1.0
    gpus: float = 0.0
    """Of each replica; a part of a GPU is allowed."""

    @property
    def threads(self) -> int:
        """Threads a model computes with when nobody has said."""
        return max(1, int(self.cpus))


def name_application(model_id: str) -> str:
    """How a model's application is called on the cluster."""
    return APPLICATION_PREFIX + model_id


def read_plan(settings: VendorSettings) -> ReplicaPlan:
    """What these settings ask for. Raises Refusal when the device and the GPUs disagree."""
    if settings.device == "cuda" and not settings.ray_gpus:
        raise Refusal(
            "VENDOR_DEVICE=cuda needs a GPU in each replica: set VENDOR_RAY_GPUS=1, or --gpus 1"
        )
    if settings.device == "cpu" and settings.ray_gpus:
        raise Refusal("replicas that have GPUs must use them: set VENDOR_DEVICE=cuda")
    least, most = _read_range(settings.ray_replicas)
    return ReplicaPlan(
        least,
        most,
        settings.ray_target,
        settings.ray_up_s,
        settings.ray_down_s,
        settings.ray_cpus,
        settings.ray_gpus,
    )


def _read_range(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
    if match is None:
        raise Refusal(f"{text!r} are no replicas: write --replicas 2, or 1-8 to let Ray choose")
    least = int(match[1])
    most = int(match[2] or least)
    if not 1 <= least <= most:
        raise Refusal(f"{text!r} are no replicas: one at least, and the larger number last")
    return least, most
