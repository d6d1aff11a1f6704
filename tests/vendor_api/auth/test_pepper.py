"""The file that keys are hashed with: made once, private, and tied to its database."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from vendor_api.auth.pepper import PepperMismatch, open_pepper, pepper_file
from vendor_api.refusal import Refusal


def test_it_is_made_at_first_start_for_the_owner_alone(sqlite_url):
    pepper = open_pepper(sqlite_url)
    path = pepper_file(sqlite_url)
    assert path == Path(sqlite_url.removeprefix("sqlite:///") + ".pepper")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(pepper) >= 32
    assert open_pepper(sqlite_url) == pepper


def test_first_starts_at_the_same_time_agree(vendor_database_url, tmp_path):
    with ThreadPoolExecutor(4) as pool:
        peppers = set(
            pool.map(lambda _: open_pepper(vendor_database_url, tmp_path / "p"), range(4))
        )
    assert len(peppers) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["p"]


def test_another_file_is_refused(vendor_database_url, tmp_path):
    open_pepper(vendor_database_url, tmp_path / "right")
    (tmp_path / "wrong").write_text("x" * 64)
    with pytest.raises(PepperMismatch, match="VENDOR_KEY_PEPPER_FILE"):
        open_pepper(vendor_database_url, tmp_path / "wrong")


def test_a_lost_file_is_not_replaced(vendor_database_url, tmp_path):
    open_pepper(vendor_database_url, tmp_path / "pepper")
    (tmp_path / "pepper").unlink()
    with pytest.raises(PepperMismatch, match="restore it"):
        open_pepper(vendor_database_url, tmp_path / "pepper")
    assert not (tmp_path / "pepper").exists()


def test_a_file_too_short_to_be_a_secret_is_refused(sqlite_url, tmp_path):
    (tmp_path / "pepper").write_text("short\n")
    with pytest.raises(PepperMismatch, match="32 bytes"):
        open_pepper(sqlite_url, tmp_path / "pepper")


def test_postgresql_has_to_be_told_where_it_lives():
    with pytest.raises(Refusal, match="VENDOR_KEY_PEPPER_FILE"):
        pepper_file("postgresql://localhost/vendor")
