"""Real processes: a vendor serving a small random CLIP, and commands typed against it."""

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

MODEL = "tiny-clip"
IMAGE_PRICE = "0.000100"
TEXT_PRICE = "0.000010"


@pytest.fixture(scope="session")
def tiny_teacher(tmp_path_factory):
    """A random open_clip model of 64 pixels, slow enough that a hold stays open a little."""
    torch.manual_seed(0)
    config = {
        "embed_dim": 32,
        "vision_cfg": {"image_size": 64, "patch_size": 8, "width": 128, "layers": 4},
        "text_cfg": {
            "context_length": 16,
            "vocab_size": 49408,
            "width": 32,
            "heads": 2,
            "layers": 1,
        },
    }
    folder = tmp_path_factory.mktemp("teacher")
    weights = open_clip.model.CLIP(**config).state_dict()
    weights.pop("attn_mask", None)
    save_file(
        {name: w.contiguous() for name, w in weights.items()},
        folder / "open_clip_model.safetensors",
    )
    preprocessing = {
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
        "interpolation": "bicubic",
        "resize_mode": "shortest",
    }
    document = {"model_cfg": config, "preprocess_cfg": preprocessing, "prompt_templates": ["a {}"]}
    (folder / "open_clip_config.json").write_text(json.dumps(document), encoding="utf-8")
    return folder


def write_pictures(root: Path, *, per_class: int, seed: int) -> int:
    """Two domains of two classes, every picture different; returns how many."""
    rng = np.random.default_rng(seed)
    count = 0
    for domain in ("ink", "paint"):
        for label in ("cat", "dog"):
            folder = root / domain / label
            folder.mkdir(parents=True)
            for i in range(per_class):
                pixels = rng.integers(0, 255, (48, 48, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{i:04d}.png")
                count += 1
    return count


@dataclass
class Shop:
    """A vendor's database, its process (when it runs) and a customer's environment."""

    home: Path
    teacher: Path
    port: int = 0
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "VENDOR_DATABASE_URL": f"sqlite:///{self.vendor_file}",
            "VENDOR_MODELS": f"{MODEL}=local-dir:{self.teacher}",
            "VL2V_BASE_URL": f"http://127.0.0.1:{self.port}",
            "VL2V_HOME": str(self.home / "client"),
        }

    @property
    def vendor_file(self) -> Path:
        return self.home / "vendor.db"

    @property
    def client_file(self) -> Path:
        return self.home / "client" / "client.db"

    def open(self, credit: str = "100") -> None:
        """Prices, an account with credit, a key."""
        self.type("vl2v-vendor", "migrate")
        self.type(
            "vl2v-vendor", "prices", "set", MODEL, "--image", IMAGE_PRICE, "--text", TEXT_PRICE
        )
        self.type("vl2v-vendor", "accounts", "create", "lab")
        self.type("vl2v-vendor", "credit", "lab", credit, "--ref", "first")
        made = self.type("vl2v-vendor", "keys", "create", "--account", "lab", "--json")
        self.environment["VL2V_API_KEY"] = json.loads(made.stdout)["api_key"]

    def type(self, *words: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run one command to its end; `code` is what it must exit with."""
        done = subprocess.run(
            self.command(*words),
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert code is None or done.returncode == code, f"{words}: {done.stdout}\n{done.stderr}"
        return done

    def command(self, *words: str) -> list[str]:
        """The words with the program's full path."""
        return [str(Path(sys.executable).parent / words[0]), *words[1:]]

    def start(self) -> None:
        """Start the vendor and wait until it is ready."""
        with (self.home / "vendor.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command("vl2v-vendor", "serve", "--port", str(self.port)),
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and self.process.poll() is None:
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=2),
            ):
                return
            time.sleep(0.05)
        raise AssertionError((self.home / "vendor.log").read_text(encoding="utf-8")[-3000:])

    def kill(self) -> None:
        """kill -9 of the vendor."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM and wait; the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(90)

    def query(self, sql: str) -> list[tuple[int, ...]]:
        """Plain SQL on the vendor's database."""
        return query(self.vendor_file, sql)

    def query_client(self, sql: str) -> list[tuple[int, ...]]:
        """Plain SQL on the customer's database."""
        return query(self.client_file, sql)

    def count_holds(self) -> int:
        """Charges that are held now."""
        return self.query("SELECT COUNT(*) FROM charge WHERE state = 'held'")[0][0]


def query(file: Path, sql: str) -> list[tuple[int, ...]]:
    """Plain SQL on a SQLite file, beside whoever writes to it."""
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=5)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


@pytest.fixture
def shop(tmp_path, tiny_teacher) -> Iterator[Shop]:
    """A shop that is set up; its vendor is stopped afterwards if it runs."""
    opened = Shop(tmp_path, tiny_teacher)
    opened.open()
    yield opened
    if opened.process is not None and opened.process.poll() is None:
        opened.process.kill()
        opened.process.wait()


@pytest.fixture
def pictures():
    """A function that writes a data folder."""
    return write_pictures
