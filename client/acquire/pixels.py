"""Pictures as the model reads them, made here: the vendor then decodes and resizes nothing."""

import io
import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from client.data.inspection import FORMATS
from client.errors import UsageError
from shared.cores import count_cores
from shared.wire import ModelDocument, Preprocessing

Transform = Callable[[Image.Image], NDArray[np.uint8]]
"""uint8[side, side, 3] of a decoded picture; any thread may call."""
Load = Callable[[Preprocessing], tuple[Transform, str]]
"""The transform that a preprocessing describes, and the hash of what becomes of the probe picture.

Raises UsageError where it cannot be had."""

__all__ = ["Load", "Pixels", "PixelsDiffer", "Transform", "Undecodable", "load_transform"]


class PixelsDiffer(UsageError):
    """Pixels made here would not be the vendor's own."""


class Undecodable(ValueError):
    """Why a file cannot be made pixels of, in a few words."""


def load_transform(preprocessing: Preprocessing) -> tuple[Transform, str]:
    """The vendor's own code. Raises UsageError without torch."""
    try:
        from shared.openclip import limit_threads
        from shared.pixels import PixelTransform, hash_probe
    except ImportError as error:
        raise UsageError(
            "pixels are made with torch: type `pip install 'vl2v[train]'`, or --upload original"
        ) from error
    transform, limited = PixelTransform(preprocessing), threading.local()

    def draw(image: Image.Image) -> NDArray[np.uint8]:
        # As many pictures as there are cores are drawn at once, each by one thread.
        if not hasattr(limited, "yes"):
            limit_threads(1)
            limited.yes = True
        return transform(image)

    return draw, hash_probe(transform)


class Pixels:
    """Makes pixels for one model, once it is certain that they are the vendor's own.

    Nothing is loaded before the first use. Safe to use from several threads.
    """

    def __init__(self, document: ModelDocument, load: Load = load_transform) -> None:
        self._document = document
        self._load = load
        self._lock = threading.Lock()
        self._transform: Transform | None = None
        # A large picture is many megabytes while it is decoded: never one for every request.
        self._decoding = threading.BoundedSemaphore(count_cores())

    @property
    def side(self) -> int:
        """Pixels a side of what the model reads."""
        return self._document.preprocessing.image_size

    @property
    def offered(self) -> bool:
        """Whether the teacher takes pixels at all."""
        return bool(self._document.pixel_probe)

    def check(self) -> None:
        """Raises PixelsDiffer unless pixels made here are the vendor's own, UsageError without torch."""
        self._open()

    @property
    def usable(self) -> bool:
        """Whether `check` finds nothing."""
        try:
            self.check()
        except UsageError:
            return False
        return True

    def draw(self, data: bytes) -> NDArray[np.uint8]:
        """uint8[side, side, 3] of an image file, bit for bit what the vendor makes of it.

        Raises Undecodable, and what `check` raises.
        """
        transform = self._open()
        with self._decoding:
            try:
                with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                    if getattr(image, "n_frames", 1) != 1 and image.format != "MPO":
                        raise Undecodable("the image is animated: send one frame")
                    image.load()
                    return transform(image)
            except (Undecodable, MemoryError):
                raise
            except Exception as error:
                # Decoders raise many types on damaged files; each means the same to the user.
                raise Undecodable(f"the image cannot be decoded here: {error}") from error

    def _open(self) -> Transform:
        with self._lock:
            if self._transform is None:
                self._transform = self._prove()
            return self._transform

    def _prove(self) -> Transform:
        name, probe = self._document.id, self._document.pixel_probe
        if not probe:
            raise PixelsDiffer(
                f"{name} is not sold for pixels: its teacher takes picture files, and publishes no "
                "pixel probe; type --upload original"
            )
        transform, found = self._load(self._document.preprocessing)
        if found != probe:
            raise PixelsDiffer(
                f"pictures come out otherwise here than at the vendor of {name} (another Pillow, torch "
                "or processor), and pixels must be its own to the bit; type --upload original"
            )
        return transform
