"""The program of an engine's own process: load a model, then encode what comes down the line.

`python -m vendor_api.engine.worker` is started by `vendor_api.engine.process` and by nobody else.
"""

import json
import os
import socket
import sys
import threading
import time
from dataclasses import asdict
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from shared.wire import Preprocessing
from vendor_api.engine.base import ModelInfo
from vendor_api.engine.line import Line
from vendor_api.refusal import Refusal

if TYPE_CHECKING:
    from vendor_api.engine.base import Model
    from vendor_api.engine.clip import ClipModel

BEAT_SECONDS = 0.2
Operation = Literal["images", "texts"]

__all__ = ["BEAT_SECONDS", "Operation", "main", "read_info", "write_info"]


def main(arguments: list[str]) -> None:
    """Serve until the line is closed. `arguments`: one JSON object, see `process`."""
    given = json.loads(arguments[0])
    line, pulse = Line(socket.socket(fileno=given["line"])), Connection(given["pulse"])
    threading.Thread(target=_beat, args=(pulse,), daemon=True).start()
    model = _load(line, given)
    if model is not None:
        line.send({"info": write_info(model.info), "fill": model.fill})
        _serve(line, model)


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


def _load(line: Line, given: dict[str, Any]) -> "ClipModel | None":
    from shared.openclip import ModelNotFound, limit_threads
    from vendor_api.engine.clip import ClipModel

    if given["threads"]:
        limit_threads(given["threads"])
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
        line.send({"refusal": str(error)})
        return None


def _serve(line: Line, model: "Model") -> None:
    while True:
        try:
            head, items = line.receive()
        except (EOFError, OSError):
            return
        encode = model.encode_texts if head["operation"] == "texts" else model.encode_images
        try:
            vectors = encode(items)
        except Exception as error:
            kind = "item" if isinstance(error, ValueError) else "engine"
            said = f"{type(error).__name__}: {error}"
            line.send({"fault": kind, "reason": said})
            continue
        line.send({}, vectors.astype(np.float32, copy=False))


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
