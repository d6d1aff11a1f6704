"""Two servers on one PostgreSQL and one folder of metrics: each answers for both."""

import os
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from vendor_api import exposition
from vendor_api.refusal import Refusal

SOLD = 'vl2v_items_total{modality="text",model="icon-clip",outcome="charged"}'
ALIVE = 'vl2v_engine_alive{model="icon-clip"}'


@pytest.fixture
def vendor_database_url(postgres_url: str) -> str:
    return postgres_url


def buy(serving: Any, key: str, *texts: str) -> None:
    headers = {"authorization": f"Bearer {key}"}
    body = {"model": "icon-clip", "input": list(texts)}
    answer = httpx.post(f"{serving.url}/v1/embeddings", json=body, headers=headers, timeout=60)
    assert answer.status_code == 200, answer.text


def read_metrics(serving: Any) -> dict[str, float]:
    text = httpx.get(f"{serving.url}/metrics", timeout=30).text
    rows = (re.fullmatch(r"(\S+(?:\{.*\})?) (\S+)", line) for line in text.splitlines())
    return {row[1]: float(row[2]) for row in rows if row is not None}


@pytest.mark.slow
def test_servers_that_share_a_folder_answer_for_each_other(
    serve_vendor: Any,
    shop: Any,
    vendor_database_url: str,
    pepper_file: Path,
    api_key: Any,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "metrics"
    variables = {exposition.VARIABLE: str(folder)}
    with serve_vendor(vendor_database_url, pepper_file, **variables) as first:
        with serve_vendor(vendor_database_url, pepper_file, **variables) as second:
            buy(first, api_key.text, "one")
            buy(second, api_key.text, "two", "three")
            for serving in (first, second):
                seen = read_metrics(serving)
                assert seen[SOLD] == 3
                assert seen['vl2v_ledger_tx_total{op="capture",outcome="ok"}'] == 2
                assert seen["vl2v_ledger_batch_size_count"] >= 4
                assert seen[ALIVE] == 1
                assert seen["vl2v_redis_degraded"] == 0
            assert {int(path.stem.rsplit("_", 1)[1]) for path in folder.glob("*.db")} == {
                first.process.pid,
                second.process.pid,
            }
            second.process.kill()
            second.process.wait()
        seen = read_metrics(first)
        assert seen[SOLD] == 3, "a counter never falls while another process counts on"
        left = {path.name for path in folder.glob(f"gauge_*_{second.process.pid}.db")}
        assert not left, "a dead process has no gauges"
        assert first.stop() == 0
    assert not list(folder.glob("gauge_*.db"))
    with serve_vendor(vendor_database_url, pepper_file, **variables) as third:
        assert read_metrics(third).get(SOLD) is None, "everybody counts anew"


def make_file(folder: Path, kind: str, pid: int) -> Path:
    path = folder / f"{kind}_{pid}.db"
    path.write_bytes(b"")
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(exposition.VARIABLE, str(tmp_path / "metrics"))
    (tmp_path / "metrics").mkdir()
    return tmp_path / "metrics"


DEAD = 2**22 + 1
"""No process can have this id."""


def test_a_first_process_finds_an_empty_folder(folder: Path) -> None:
    mine, dead = os.getpid(), DEAD
    files = [
        make_file(folder, kind, pid)
        for kind in ("counter", "histogram", "gauge_livemax")
        for pid in (mine, dead)
    ]
    exposition.prepare_folder()
    assert not any(path.exists() for path in files)


def test_a_process_beside_others_takes_nothing_from_their_sums(folder: Path) -> None:
    other = os.getppid()
    kept = [
        make_file(folder, "counter", other),
        make_file(folder, "gauge_livemax", other),
        make_file(folder, "counter", DEAD),
    ]
    gone = make_file(folder, "gauge_livemax", DEAD)
    exposition.prepare_folder()
    assert all(path.exists() for path in kept)
    assert not gone.exists()


def test_a_folder_that_cannot_be_is_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv(exposition.VARIABLE, str(tmp_path / "file" / "metrics"))
    with pytest.raises(Refusal, match=exposition.VARIABLE):
        exposition.prepare_folder()
