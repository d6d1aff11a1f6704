"""`vl2v fetch --upload`: a real server, the real command, one purchase whichever way pictures travel."""

import io
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from client.acquire import Pixels
from client.acquire.pixels import Undecodable
from client.api import ImageInput, VendorClient
from shared.openclip import load_openclip
from tests.bench.serving.pictures import make_jpeg
from tests.contract.conftest import MODEL, Contract, open_contract

ROOT = Path(__file__).parents[2]
TEACHER = ROOT / "vendor_api" / "demo" / "teacher"
PICTURES = 12


def make_pictures(folder: Path) -> Path:
    """JPEGs, PNGs of every mode, WebP, tall, wide and of the very size: 12 files of one class tree."""
    rng = np.random.default_rng(5)
    sizes = [(90, 60), (60, 90), (224, 224), (300, 30), (31, 200), (7, 7)]
    for number in range(PICTURES):
        image = Image.open(io.BytesIO(make_jpeg(sizes[number % 6], number)))
        mode = ("RGB", "L", "P", "RGBA", "LA", "CMYK")[number // 2]
        kind = ("JPEG", "WEBP")[number % 2] if mode in ("RGB", "L") else "PNG"
        kind = "JPEG" if mode == "CMYK" else kind
        if mode in ("RGBA", "LA"):
            image.putalpha(Image.fromarray(rng.integers(0, 255, image.size[::-1], dtype=np.uint8)))
        place = folder / "photo" / f"class{number % 2}"
        place.mkdir(parents=True, exist_ok=True)
        image.convert(mode).save(place / f"{number}.{kind.lower()}", kind)
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_pictures(tmp_path / "data")


class Customer:
    """`vl2v` in processes of its own, logged in to the server."""

    def __init__(self, contract: Contract, home: Path) -> None:
        self.home = home
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("VL2V_")},
            "VL2V_HOME": str(home),
            "VL2V_API_KEY": contract.key,
            "VL2V_BASE_URL": contract.url,
            "NO_COLOR": "1",
            "OMP_NUM_THREADS": "1",
        }

    def type(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "client.cli", *words],
            env=self.environment | environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

    def fetch(self, data: Path, *more: str, **environment: str) -> dict[str, Any]:
        words = ("fetch", str(data), "--model", MODEL, "--budget", "0.5", "--json")
        done = self.type(*words, *more, **environment)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    def vectors(self) -> dict[bytes, NDArray[np.float16]]:
        with closing(sqlite3.connect(self.home / "client.db")) as opened:
            rows = opened.execute("SELECT digest, vector FROM embedding WHERE modality = 'image'")
            return {digest: np.frombuffer(vector, np.float16) for digest, vector in rows}


@pytest.fixture
def customer(contract: Contract, tmp_path: Path) -> Customer:
    return Customer(contract, tmp_path / "home")


def test_pixels_are_bought_once_and_found_again_by_either_upload(
    customer: Customer, data: Path, tmp_path: Path, contract: Contract
) -> None:
    quoted = customer.fetch(data, "--upload", "pixels", "--dry-run")
    images = next(line for line in quoted["lines"] if line["modality"] == "image")
    assert (quoted["upload"], images["form"]) == ("pixels", "pixels")
    assert quoted["upload_bytes"]["pixels"] % images["to_buy"] == 0
    bought = customer.fetch(data, VL2V_UPLOAD="pixels")["receipt"]
    assert bought["images"] == images["to_buy"] > 0
    assert bought["uploaded_bytes"]["pixels"] == quoted["upload_bytes"]["pixels"]
    assert customer.fetch(data)["to_buy"] == 0
    told = customer.type("reconcile")
    assert told.stdout.endswith("0 differences\n"), told.stdout + told.stderr
    other = Customer(contract, tmp_path / "other")
    other.fetch(data, "--run", "files")
    assert customer.vectors().keys() == other.vectors().keys()
    assert min_cosine(customer.vectors(), other.vectors()) >= 0.99999


def test_the_receipt_says_how_pictures_were_sent(customer: Customer, data: Path) -> None:
    words = ("fetch", str(data), "--model", MODEL, "--budget", "0.5", "--upload", "pixels")
    said = customer.type(*words).stdout
    assert "pictures travel as pixels" in said
    assert "of pixels" in said.splitlines()[-1] or "of pixels," in said


def test_a_teacher_that_takes_no_pixels_is_named(customer: Customer, data: Path) -> None:
    words = ("fetch", str(data), "--teacher", f"local:local-dir:{TEACHER}", "--upload", "pixels")
    done = customer.type(*words)
    assert done.returncode == 2
    assert "type --upload original" in " ".join(done.stderr.split())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
class TestDemoTeacher:
    """What the issue asks for, with the real teacher over HTTP."""

    @pytest.fixture
    def vendor(
        self, tmp_path: Path, sqlite_template: Path, serve_vendor: Any, precision: str
    ) -> Iterator[Contract]:
        with open_contract(
            tmp_path, sqlite_template, serve_vendor, weights=TEACHER, VENDOR_PRECISION=precision
        ) as contract:
            yield contract

    def test_pixels_and_vectors_are_the_vendors_own(self, vendor: Contract, data: Path) -> None:
        files = [path.read_bytes() for path in sorted(data.rglob("*.*"))]
        own = load_openclip(f"local-dir:{TEACHER}")
        with VendorClient(api_key=vendor.key, base_url=vendor.url) as client:
            pixels = Pixels(client.models.get(MODEL))
            drawn = np.stack([pixels.draw(file) for file in files])
            theirs = [own.preprocess(Image.open(io.BytesIO(file))) for file in files]
            assert np.array_equal(drawn, np.stack(theirs))
            for file, picture in zip(files[:4], drawn[:4], strict=True):
                alike = (
                    client.images.embed([file], model=MODEL, wire="frames"),
                    client.images.embed_pixels(picture[None], model=MODEL),
                )
                one, other = (answer.data[0].embedding for answer in alike)
                assert one is not None
                assert other is not None
                assert np.array_equal(one, other)  # one picture at a time: the same batch
            apart = client.images.embed_pixels(drawn[4:], model=MODEL)
            for file, item in zip(files[4:], apart.data, strict=True):
                alone = client.embeddings.create(input=[ImageInput(file)], model=MODEL).data[0]
                assert item.embedding is not None
                assert alone.embedding is not None
                assert float(item.embedding @ alone.embedding) >= 0.99999


def test_a_truncated_picture_is_no_pixels(contract: Contract) -> None:
    with VendorClient(api_key=contract.key, base_url=contract.url) as client:
        pixels = Pixels(client.models.get(MODEL))
    with pytest.raises(Undecodable, match="cannot be decoded here"):
        pixels.draw(make_jpeg((50, 40), 1)[:-400])


def min_cosine(
    one: dict[bytes, NDArray[np.float16]], other: dict[bytes, NDArray[np.float16]]
) -> float:
    """The least of the angles' cosines, of vectors as they are kept."""

    def cosine(digest: bytes) -> float:
        a, b = (side[digest].astype(np.float64) for side in (one, other))
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    return min(map(cosine, one))
