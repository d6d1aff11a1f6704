"""What a GPU does with no server at all: one way of computing after the other, run in a process of its own.

    python -m tests.bench.serving.gpu_bare FOLDER [--device cuda|cpu] [--batch N]

On the processor it shows only that it runs.
"""

import argparse
import io
import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image

from shared.cores import count_cores
from shared.openclip import OpenClip, limit_threads, load_openclip
from tests.bench.serving.bare import make_text
from tests.bench.serving.pictures import Pictures
from vendor_api.engine.clip import ClipModel
from vendor_api.engine.cuda_clip import CudaClip
from vendor_api.engine.cuda_device import CudaDevice
from vendor_api.engine.cuda_plan import CudaPlan

BATCHES = (1, 8, 32, 64, 256)
ROUNDS = 5
"""Of which the median counts, each of about this long:"""
ROUND_SECONDS = 0.12
CHECKED = 64
"""Pictures, and texts, whose vectors are compared."""

Encode = Callable[[Any], Any]
Found = dict[str, Any]

__all__ = ["BATCHES", "main"]


def main(arguments: list[str] | None = None) -> None:
    """Print one JSON object: rates by way and batch, and how far vectors are apart."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--batch", type=int, default=256, help="the largest batch")
    chosen = parser.parse_args(arguments)
    print(json.dumps(measure(f"local-dir:{chosen.folder}", chosen.device, chosen.batch)))


def measure(spec: str, device: str, largest: int) -> Found:
    """All ways, and the agreement of each with fp32 on the processor."""
    reference = ClipModel.load("bare", spec)
    side = reference.info.preprocessing.image_size
    rng = np.random.default_rng(0)
    batches = [size for size in BATCHES if size <= largest]
    # More than one batch, so that no cache of the device holds what the next one reads.
    pictures = rng.integers(0, 256, (2 * largest, side, side, 3), dtype=np.uint8)
    texts = reference.tokenize([make_text(number) for number in range(2 * largest)]).tokens
    some = min(CHECKED, largest)
    truth = (reference.encode_images(pictures[:some]), reference.encode_texts(texts[:some]))
    found: Found = {"device": _name(device), "torch": torch.__version__, "ways": {}}
    found["decode"] = measure_decoding(reference)
    for precision in ("fp32", "bf16"):
        # A copy for each: what is pinned stays so.
        own = pictures.copy()
        for way, model, threads in list_ways(spec, precision, device, largest, own):
            row: Found = {"images/s": {}, "texts/s": {}}
            vectors = (model.encode_images(pictures[:some]), model.encode_texts(texts[:some]))
            row["agreement"] = [_compare(*pair) for pair in zip(vectors, truth, strict=True)]
            for size in batches:
                row["images/s"][size] = _time(model.encode_images, own, size, threads)
                row["texts/s"][size] = _time(model.encode_texts, texts, size, threads)
            found["ways"][f"{precision}, {way}"] = row
            print(f"{precision}, {way}: done", file=sys.stderr)
        if device == "cuda":
            found[f"{precision} alone"] = measure_device(spec, precision, pictures, batches)
    return found


def measure_decoding(model: ClipModel) -> Found:
    """JPEGs a second from file to pixels on this machine's processor: in one thread, in one for each core."""
    pictures = Pictures()
    files = [pictures.take(number) for number in range(32)]
    limit_threads(1)

    def decode(data: bytes) -> None:
        with Image.open(io.BytesIO(data)) as image:
            model.preprocess(image)

    found: Found = {}
    for threads in (1, count_cores()):
        with ThreadPoolExecutor(threads, initializer=limit_threads, initargs=(1,)) as pool:
            list(pool.map(decode, files))
            began = time.perf_counter()
            list(pool.map(decode, files * (1 + threads // 2)))
            found[str(threads)] = len(files) * (1 + threads // 2) / (time.perf_counter() - began)
    return found


def measure_device(spec: str, precision: Any, pictures: Any, sizes: list[int]) -> Found:
    """Images a second of what is on the device already, as a graph; gigabytes a second to the device."""
    clip, device = load_openclip(spec, precision, "cuda"), CudaDevice()
    clip.fuse_attention()
    stream = device.open_stream()
    rates: Found = {}
    for size in reversed(sizes):
        items = torch.from_numpy(pictures[:size]).to("cuda")
        vectors = device.allocate((size, clip.dimension), torch.float32)
        work = torch.inference_mode()(partial(_embed, clip, items, vectors))
        graph = stream.capture(work)
        count = 20 if size == sizes[-1] else 100
        found = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            for _ in range(count):
                stream.run(graph)
            stream.mark().wait()
            found.append(size * count / (time.perf_counter() - began))
        rates[str(size)] = median(found)
    source = device.allocate_host(tuple(items.shape), torch.uint8)
    source.copy_(items)
    began = time.perf_counter()
    for _ in range(200):
        stream.copy(items, source)
    stream.mark().wait()
    return {"images/s": rates, "GB/s": 200 * source.nbytes / 1e9 / (time.perf_counter() - began)}


def _embed(clip: OpenClip, items: Any, vectors: Any) -> None:
    vectors.copy_(clip.embed_pixels(items))


def list_ways(spec: str, precision: Any, device: str, largest: int, pictures: Any) -> Any:
    """A name, what encodes, and from how many threads."""
    yield "eager", load_openclip(spec, precision, device), 1
    if device != "cuda":
        return
    began = time.perf_counter()
    graphs = CudaClip(load_openclip(spec, precision, device), CudaDevice(), CudaPlan(largest))
    print(f"{precision} prepared in {time.perf_counter() - began:.1f} s: {graphs.report}")
    yield "graphs", graphs, 1
    yield "graphs, two batches under way", graphs, 2
    graphs.pin(pictures.reshape(-1))
    yield "the same, from pinned memory", graphs, 2


def _time(encode: Encode, items: Any, size: int, threads: int) -> float:
    """Items a second from host memory to host memory; the median of some rounds."""
    batches = [items[start : start + size] for start in range(0, len(items), size)][:64]
    began = time.perf_counter()
    for number in range(3):
        encode(batches[number % len(batches)])
    count = max(threads * 2, int(3 * threads * ROUND_SECONDS / (time.perf_counter() - began)))
    count = min(count, 4000)
    rates = []
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(ROUNDS):
            began = time.perf_counter()
            shares = [range(number, count, threads) for number in range(threads)]
            list(pool.map(lambda share: [encode(batches[n % len(batches)]) for n in share], shares))
            rates.append(size * count / (time.perf_counter() - began))
    return median(rates)


def _compare(vectors: Any, truth: Any) -> Found:
    cosines = (vectors * truth).sum(axis=1)
    return {
        "difference": float(np.abs(vectors - truth).max()),
        "least cosine": float(cosines.min()),
        "mean cosine": float(cosines.mean()),
    }


def _name(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else "processor"


if __name__ == "__main__":
    main()
