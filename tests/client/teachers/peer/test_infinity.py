"""`vl2v fetch` from a real infinity: what is bought is what its model says."""

import io
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from client.cache import EmbeddingStore
from client.settings import ClientSettings
from client.teachers import open_teacher
from shared.digests import digest_file, digest_text
from tests.client.conftest import Command, Ended
from tests.client.teachers.peer.conftest import Infinity
from tests.client.teachers.test_openai_compatible import pictures

pytestmark = pytest.mark.peer
CLASSES = ("cat", "dog")


@pytest.fixture
def user(command: Command) -> Command:
    """Somebody who knows no vendor."""
    return replace(command, environment=command.environment | {"VL2V_API_KEY": ""})


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two domains × two classes × 30 pictures in three formats, of many sizes."""
    rng = np.random.default_rng(0)
    for domain in ("line", "solid"):
        for label in CLASSES:
            folder = tmp_path / "photos" / domain / label
            folder.mkdir(parents=True)
            for number in range(30):
                height, width = rng.integers(8, 90, size=2)
                pixels = rng.integers(0, 255, size=(height, width, 3), dtype=np.uint8)
                kind = ("png", "jpg", "webp")[number % 3]
                Image.fromarray(pixels).save(folder / f"{number:02}.{kind}")
    return tmp_path / "photos"


def fetch(user: Command, data: Path, server: Infinity, *more: str) -> Ended:
    done = user.run("fetch", str(data), "--teacher", f"openai:{server.url}", *more)
    print(f"$ vl2v fetch DATA --teacher openai:{server.url} {' '.join(more)}")
    print(done.stdout, done.stderr, f"[exit code {done.returncode}]\n", sep="")
    return done


def test_quote_fetch_cached_run_broken_pictures_and_the_models_own_vectors(
    user: Command, photos: Path, infinity_server: Infinity, store: EmbeddingStore
) -> None:
    cut = (photos / "line" / "cat" / "01.jpg").read_bytes()
    (photos / "line" / "cat" / "cut.jpg").write_bytes(cut[: len(cut) // 2])
    Image.new("RGB", (2, 2), (9, 9, 9)).save(photos / "line" / "dog" / "tiny.png")

    dry = fetch(user, photos, infinity_server, "--dry-run")
    assert dry.returncode == 0
    assert "line/cat/cut.jpg: the image is damaged" in dry.stdout
    for purpose in ("training", "evaluation"):
        assert fetch(user, photos, infinity_server, "--purpose", purpose).returncode == 0
    assert store.count(modality="image") == 120
    again = fetch(user, photos, infinity_server)
    assert "0 to buy" in again.stdout
    said = user.run("reconcile").stdout
    print(f"$ vl2v reconcile\n{said}")
    assert "nothing to reconcile" in said

    document = store.model("clip")
    files = sorted(path for path in photos.rglob("*.*") if path.stem not in ("cut", "tiny"))
    texts = [template.format(name) for template in document.prompt_templates for name in CLASSES]
    own = np.array(infinity_server.embed(files, texts))
    digests = [digest_file(file) for file in files]
    images = store.get_many(document.revision, "image", digests, purpose="evaluation")
    words = store.get_many(document.revision, "text", [digest_text(text) for text in texts])
    kept = np.stack([*map(images.__getitem__, digests), *(words[digest_text(t)] for t in texts)])
    furthest = float(np.abs(kept - own).max())
    print(f"{len(kept)} vectors, furthest number from transformers' own: {furthest:.1e}")
    assert furthest < 1e-3


def test_its_limits_are_learned_and_a_refused_picture_costs_no_neighbour(
    infinity_server: Infinity,
) -> None:
    tiny = io.BytesIO()
    Image.new("RGB", (2, 2)).save(tiny, "PNG")
    items = pictures(70)
    items[33] = replace(items[33], data=tiny.getvalue())
    spec = f"openai:{infinity_server.url}"
    with closing(open_teacher(spec, ClientSettings.load())) as teacher:
        document = teacher.describe("clip", lambda _: [])
        answer = teacher.embed(items, model=document.name, idempotency_key="")
        assert teacher.describe("", lambda _: [document]) == document
    assert [item.index for item in answer.data if item.error] == [33]
    said = answer.data[33].error
    assert said is not None
    print(f"one of 70 pictures refused: {said.code}: {said.message}")
