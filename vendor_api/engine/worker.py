"""The program of an engine's own process: load a model, then encode what comes down the line.

`python -m vendor_api.engine.worker` is started by `vendor_api.engine.process` and by nobody else.
"""

import json
import os
import sys
import threading
import time
from dataclasses import asdict
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from shared.wire import Preprocessing
from vendor_api.engine.base import EngineLost, ModelInfo
from vendor_api.engine.cuda_plan import CudaPlan
from vendor_api.engine.lines import LineEnd, WorkerLine
from vendor_api.refusal import Refusal

if TYPE_CHECKING:
    from vendor_api.engine.base import Model
    from vendor_api.engine.clip import ClipModel

BEAT_SECONDS = 0.2

__all__ = ["BEAT_SECONDS", "main", "read_info", "write_info"]


def main(arguments: list[str]) -> None:
    """Serve until the line is closed. `arguments`: one JSON object, see `process`."""
    given = json.loads(arguments[0])
    lines = [WorkerLine(LineEnd(**end)) for end in given["lines"]]
    threading.Thread(target=_beat, args=(Connection(given["pulse"]),), daemon=True).start()
    first, *others = lines
    from shared.openclip import ModelNotFound

    try:
        model = _load(given)
        _make_desks(model, lines)
    except (ModelNotFound, Refusal) as error:
        first.line.send({"refusal": str(error)})
        return
    report = asdict(model.cuda.report) if model.cuda else None
    hello = {"info": write_info(model.info), "fill": model.fill, "cuda": report}
    first.line.send(hello)
    for line in others:
        threading.Thread(target=_serve, args=(line, model), daemon=True).start()
    _serve(first, model)


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


def _load(given: dict[str, Any]) -> "ClipModel":
    from shared.openclip import limit_threads
    from vendor_api.engine.clip import ClipModel

    if given["threads"]:
        limit_threads(given["threads"])
    return ClipModel.load(
        given["id"],
        given["spec"],
        given["precision"],
        given["runtime"],
        given["threads"],
        given["device"],
        CudaPlan(**given["cuda"]),
    )


def _make_desks(model: "ClipModel", lines: list[WorkerLine]) -> None:
    """Memory for the pixels of whole batches, from which the device copies them. Raises Refusal."""
    if model.cuda is None:
        return
    for line in lines:
        memory = line.make_desk(model.cuda.report.image_batch_bytes)
        if memory is not None:
            model.cuda.pin(memory)


def _serve(line: WorkerLine, model: "Model") -> None:
    for operation, items in line.receive():
        encode = model.encode_texts if operation == "texts" else model.encode_images
        try:
            vectors = encode(items)
        except EngineLost as error:
            # Nothing can be computed in here any more: another process is started at once.
            sys.stderr.write(f"the engine ends: {error}\n")
            os._exit(1)
        except Exception as error:
            line.report(error)
        else:
            line.answer(vectors)


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
    sys.stderr.flush()
    # Another line's thread may still compute, and torch's threads do not survive an orderly end.
    os._exit(0)
