"""An open_clip model as the vendor's `Model`, with what the API process needs beside the engine."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from shared.codecs import Vector
from shared.openclip import LOCAL_DIR, ModelNotFound, OpenClip, Precision
from shared.pixels import hash_probe
from shared.tokens import TokenizedTexts
from vendor_api.engine.base import ModelInfo, Pixels, Runtime
from vendor_api.engine.cuda_clip import CudaClip
from vendor_api.engine.cuda_device import CudaDevice
from vendor_api.engine.cuda_plan import DEFAULT_PLAN, CudaPlan
from vendor_api.engine.cuda_seam import Device
from vendor_api.engine.shares import TEXTS, SideBySide
from vendor_api.engine.verdicts import load_settled
from vendor_api.refusal import Refusal

__all__ = ["ClipModel"]


class ClipModel:
    """`Model` and `Preparation` over one open_clip model."""

    def __init__(self, clip: OpenClip, info: ModelInfo) -> None:
        self._clip = clip
        self.info = info
        self._encode_images: Callable[[NDArray[np.uint8]], Vector] = clip.encode_images
        self._encode_texts: Callable[[NDArray[np.int32]], Vector] = clip.encode_texts
        self.fill = clip.fill
        """What open_clip pads pictures with."""
        self.cuda: CudaClip | None = None
        """What computes on a GPU, if one does."""

    @classmethod
    def load(
        cls,
        model_id: str,
        spec: str,
        precision: Precision | Literal["auto"] = "fp32",
        runtime: Runtime = "torch",
        threads: int | None = None,
        device: str = "cpu",
        cuda: CudaPlan = DEFAULT_PLAN,
    ) -> "ClipModel":
        """Load `spec` to be sold as `model_id`.

        Raises `shared.openclip.ModelNotFound`, and Refusal when `runtime` cannot be had, or the device's
        memory is not enough.
        """
        if device == "cuda":
            _prepare_cuda()
        clip, settled = _load(model_id, spec, precision, device)
        info = ModelInfo(
            id=model_id,
            revision=clip.revision,
            dimension=clip.dimension,
            context_length=clip.context_length,
            precision=clip.precision,
            logit_scale=clip.logit_scale,
            preprocessing=clip.preprocessing,
            prompt_templates=clip.prompt_templates,
            created=_created(spec),
            pixel_probe=hash_probe(clip.transform),
            settled=settled,
        )
        model = cls(clip, info)
        if settled and clip.precision == "bf16":
            runtime = "torch"  # ONNX Runtime is for where bf16 is missing
        if device == "cpu" and runtime == "torch":
            clip.pack_weights()
        if device == "cpu":
            model.share_cores(threads)
        if runtime == "onnx":
            if device != "cpu":
                raise Refusal(
                    "VENDOR_RUNTIME=onnx computes on the processor: leave VENDOR_DEVICE out"
                )
            model.use_onnx(threads)
        if device == "cuda":
            model.use_device(CudaDevice(), cuda)
        return model

    def share_cores(self, cores: int | None) -> None:
        """Compute each batch in shares, one core each, from now on."""
        # Threads of their own: a text would wait for the shares of a batch of images.
        drawing, telling = SideBySide(cores), SideBySide(cores)
        images = self._clip.encode_images
        side = self.info.preprocessing.image_size
        largest = drawing.find_largest(images, np.zeros((side, side, 3), np.uint8))
        self._encode_images = partial(drawing, images, largest)
        self._encode_texts = partial(telling, self._clip.encode_texts, TEXTS)

    def use_device(self, device: Device, plan: CudaPlan) -> None:
        """Compute in batches prepared on `device` from now on. Raises Refusal."""
        self.cuda = CudaClip(self._clip, device, plan)
        self._encode_images = self.cuda.encode_images
        self._encode_texts = self.cuda.encode_texts

    def find_trouble(self) -> str | None:
        """Why nothing can be computed any more; None while all is well."""
        return self.cuda.trouble if self.cuda else None

    def use_onnx(self, threads: int | None) -> None:
        """Compute images with ONNX Runtime from now on. Raises Refusal."""
        if self.info.precision != "fp32":
            raise Refusal("VENDOR_RUNTIME=onnx computes in fp32: leave VENDOR_PRECISION out")
        from vendor_api.engine.onnx_images import OnnxImages, cache_folder

        self._encode_images = OnnxImages(self._clip, threads, cache_folder())

    def encode_images(self, pixels: NDArray[np.uint8]) -> Vector:
        """See `Model`."""
        return self._encode_images(pixels)

    def encode_texts(self, tokens: NDArray[np.int32]) -> Vector:
        """See `Model`; the batch is cut after its longest text, which changes nothing but time."""
        return self._encode_texts(tokens)

    def preprocess(self, image: Image.Image) -> Pixels:
        """See `Preparation`."""
        return self._clip.preprocess(image)

    def tokenize(self, texts: Sequence[str]) -> TokenizedTexts:
        """See `Preparation`."""
        return self._clip.tokenize(texts)


def _prepare_cuda() -> None:
    if not torch.cuda.is_available():
        raise ModelNotFound("there is no CUDA device that torch can use: set VENDOR_DEVICE=cpu")
    torch.backends.cudnn.allow_tf32 = False  # ten bits of mantissa are not fp32


def _load(
    model_id: str, spec: str, precision: Precision | Literal["auto"], device: str
) -> tuple[OpenClip, str]:
    try:
        return load_settled(model_id, spec, precision, device)
    except torch.OutOfMemoryError as error:
        raise Refusal(
            f"the weights of {spec} do not fit into what is free of the device's memory: stop what else "
            "computes on it, choose another with CUDA_VISIBLE_DEVICES, or set VENDOR_PRECISION=bf16"
        ) from error


def _created(spec: str) -> int:
    if spec.startswith(LOCAL_DIR):
        config = Path(spec.removeprefix(LOCAL_DIR)).expanduser() / "open_clip_config.json"
        return int(config.stat().st_mtime)
    return int(time.time())
