"""`vl2v account export` writes what the vendor keeps, checked whole, or nothing."""

import hashlib
import io
import json
import zipfile

import pytest


def pack(rows: bytes, *, said: str | None = None, count: int = 2) -> bytes:
    """A ZIP as the vendor makes it; `said` and `count` are what its manifest claims."""
    checksum = hashlib.sha256(rows).hexdigest() if said is None else said
    files = [{"name": "charges.ndjson", "rows": count, "sha256": checksum}]
    manifest = {"account_id": "acct_1", "as_of": "2026-11-22T09:00:00Z", "files": files}
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("charges.ndjson", rows)
        archive.writestr("manifest.json", json.dumps(manifest))
    return data.getvalue()


ROWS = b'{"id": "chg_1"}\n{"id": "chg_2"}\n'


def test_the_file_is_written_and_counted(command, vendor, tmp_path):
    vendor.export, out = pack(ROWS), tmp_path / "account.zip"
    done = command.run("account", "export", "--out", str(out), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["files"][0]["rows"] == 2
    assert out.read_bytes() == vendor.export
    assert not list(tmp_path.glob("*.partial"))


def test_a_person_reads_a_table(command, vendor, tmp_path):
    vendor.export = pack(ROWS)
    done = command.run("account", "export", "--out", str(tmp_path / "account.zip"))
    assert "charges.ndjson" in done.stdout
    assert "as of 2026-11-22T09:00:00Z" in done.stdout


def test_a_file_that_is_there_is_never_overwritten(command, vendor, tmp_path):
    vendor.export, out = pack(ROWS), tmp_path / "account.zip"
    out.write_bytes(b"mine")
    done = command.run("account", "export", "--out", str(out))
    assert done.returncode == 2
    assert "exists already: name a new file" in done.stderr
    assert out.read_bytes() == b"mine"


@pytest.mark.parametrize(
    "data", [b"no zip", pack(ROWS, said="0" * 64), pack(ROWS, count=3), pack(ROWS)[:-40]]
)
def test_a_damaged_answer_writes_nothing(command, vendor, tmp_path, data):
    vendor.export, out = data, tmp_path / "account.zip"
    done = command.run("account", "export", "--out", str(out))
    assert done.returncode == 1
    assert not out.exists()
