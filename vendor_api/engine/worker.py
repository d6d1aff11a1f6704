"""The program of an engine's own process: load a model, then encode what comes down its lines.

Images and texts have a line and a thread each: a text is computed beside a batch of images.

`python -m vendor_api.engine.worker` is started by `vendor_api.engine.process` and by nobody else.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from shared.codecs import Vector
from shared.wire import Preprocessing
from vendor_api.engine.base import ModelInfo
from vendor_api.refusal import Refusal

if TYPE_CHECKING:
    from vendor_api.engine.clip import ClipModel

BEAT_SECONDS = 0.2
Operation = Literal["images", "texts"]

__all__ = ["BEAT_SECONDS", "Operation", "main", "read_info", "write_info"]


def main(arguments: list[str]) -> None:
    """Serve until the lines are closed. `arguments`: one JSON object, see `process`."""
    given = json.loads(arguments[0])
    images, texts, pulse = (Connection(given[name]) for name in ("images", "texts", "pulse"))
    threading.Thread(target=_beat, args=(pulse,), daemon=True).start()
    model = _load(images, given)
    if model is not None:
        hello = {"info": write_info(model.info), "fill": model.fill}
        images.send_bytes(json.dumps(hello).encode())
        reading = threading.Thread(
            target=_serve, args=(texts, model.encode_texts, given["threads"]), daemon=True
        )
        reading.start()
        _serve(images, model.encode_images, given["threads"])


def write_info(info: ModelInfo) -> dict[str, Any]:
    """A model's description as JSON can hold it."""
    return {**asdict(info), "preprocessing": info.preprocessing.model_dump()}


def read_info(document: dict[str, Any]) -> ModelInfo:
    """The description that `write_info` was given."""
    return ModelInfo(
        **{
            **document,
            "preprocessing": Preprocessing.model_validate(document["preprocessing"]),
            "prompt_templates": tuple(document["prompt_templates"]),
        }
    )


def _load(line: Connection, given: dict[str, Any]) -> "ClipModel | None":
    from shared.openclip import ModelNotFound
    from vendor_api.engine.clip import ClipModel

    try:
        return ClipModel.load(
            given["id"],
            given["spec"],
            given["precision"],
            given["runtime"],
            given["threads"],
            given["device"],
        )
    except (ModelNotFound, Refusal) as error:
        line.send_bytes(json.dumps({"refusal": str(error)}).encode())
        return None


def _serve(line: Connection, encode: Callable[[Any], Vector], threads: int | None) -> None:
    from shared.openclip import limit_threads

    if threads:
        limit_threads(threads)
    while True:
        try:
            head = json.loads(line.recv_bytes())
            # torch wants memory that it could write to.
            octets = bytearray(line.recv_bytes())
            items = np.frombuffer(octets, dtype=head["dtype"]).reshape(head["shape"])
        except (EOFError, OSError):
            return
        try:
            vectors = encode(items)
        except Exception as error:
            kind = "item" if isinstance(error, ValueError) else "engine"
            said = f"{type(error).__name__}: {error}"
            line.send_bytes(json.dumps({"fault": kind, "reason": said}).encode())
            continue
        line.send_bytes(json.dumps({"shape": vectors.shape}).encode())
        line.send_bytes(np.ascontiguousarray(vectors, dtype=np.float32).tobytes())


def _beat(pulse: Connection) -> None:
    """Say that this process runs; when nobody listens any more, end it, whatever it is doing."""
    while True:
        try:
            pulse.send_bytes(b".")
        except OSError:
            os._exit(0)
        time.sleep(BEAT_SECONDS)


if __name__ == "__main__":
    main(sys.argv[1:])
