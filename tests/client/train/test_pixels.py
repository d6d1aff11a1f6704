"""Decoded pictures on disk: the same pixels, decoded once, and again when they cannot be trusted."""

import os
from dataclasses import replace

import numpy as np
import pytest

from client.data import scan_folders
from client.train.errors import TrainingError
from client.train.experiment import open_experiment
from client.train.pixel_cache import PAGE, open_pixels, pixel_digest
from client.train.pixels import PixelSelection, decode_manifest
from client.train.recipe import run_training
from tests.client.train.study import CONFIG, draw_study, make_job


@pytest.fixture
def manifest(tmp_path):
    return scan_folders(draw_study(tmp_path / "drawn"))


class Ear:
    """Counts the pictures that were decoded."""

    def __init__(self):
        self.heard = []

    def __call__(self, stage, done, total):
        self.heard.append((stage, done, total))


def _file(folder):
    [file] = folder.glob("*.pixels")
    return file


def test_the_file_holds_what_decoding_gives(manifest, tmp_path):
    pixels = open_pixels(manifest, 24, tmp_path / "pixels")
    assert isinstance(pixels, np.memmap)
    assert np.array_equal(pixels, decode_manifest(manifest, 24))


def test_pictures_are_decoded_once(manifest, tmp_path):
    first, second = Ear(), Ear()
    open_pixels(manifest, 24, tmp_path / "pixels", first)
    written = _file(tmp_path / "pixels").stat().st_mtime_ns
    open_pixels(manifest, 24, tmp_path / "pixels", second)
    assert first.heard == [("decode", 0, 54), ("decode", 54, 54)]
    assert second.heard == []
    assert _file(tmp_path / "pixels").stat().st_mtime_ns == written


@pytest.mark.parametrize("damage", ["cut", "longer", "header", "empty"])
def test_a_damaged_file_is_made_again(manifest, tmp_path, damage):
    expected = np.array(open_pixels(manifest, 24, tmp_path / "pixels"))
    file = _file(tmp_path / "pixels")
    whole = file.read_bytes()
    bad = {
        "cut": whole[:-1],
        "longer": whole + b"x",
        "header": whole[:40] + b"x" + whole[41:],
        "empty": b"",
    }
    file.write_bytes(bad[damage])
    assert np.array_equal(open_pixels(manifest, 24, tmp_path / "pixels"), expected)
    assert file.read_bytes() == whole


def test_other_pictures_or_sizes_have_files_of_their_own(manifest):
    changed = replace(manifest.pictures[0], digest=bytes(32))
    others = replace(manifest, pictures=(changed, *manifest.pictures[1:]))
    swapped = replace(manifest, pictures=manifest.pictures[::-1])
    digests = {pixel_digest(m, s) for m in (manifest, others, swapped) for s in (24, 32)}
    assert len(digests) == 6


def test_what_was_left_by_a_killed_process_is_no_hindrance(manifest, tmp_path):
    folder = tmp_path / "pixels"
    folder.mkdir()
    (folder / f"{pixel_digest(manifest, 24)[:32]}.partial").write_bytes(b"half")
    assert len(open_pixels(manifest, 24, folder)) == 54
    assert not list(folder.glob("*.partial"))


def test_an_unreadable_picture_leaves_no_file(manifest, tmp_path):
    manifest.file(manifest.pictures[3]).write_bytes(b"no image")
    with pytest.raises(TrainingError, match="cannot be read as an image"):
        open_pixels(manifest, 24, tmp_path / "pixels")
    assert {f.suffix for f in (tmp_path / "pixels").iterdir()} == {".lock"}


def test_a_folder_that_cannot_be_written_is_explained(manifest, tmp_path):
    (tmp_path / "pixels").write_text("a file is in the way")
    with pytest.raises(TrainingError, match="--no-pixel-cache"):
        open_pixels(manifest, 24, tmp_path / "pixels")


def test_writing_into_the_array_does_not_change_the_file(manifest, tmp_path):
    before = np.array(open_pixels(manifest, 24, tmp_path / "pixels"))
    open_pixels(manifest, 24, tmp_path / "pixels")[:] = 7
    assert np.array_equal(open_pixels(manifest, 24, tmp_path / "pixels"), before)
    assert _file(tmp_path / "pixels").stat().st_size == PAGE + before.size


def test_two_processes_decode_once(manifest, tmp_path):
    """The second waits for the first's lock and then finds its file."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        heard = Ear()
        open_pixels(manifest, 24, tmp_path / "pixels", heard)
        os.write(write, bytes([len(heard.heard)]))
        os._exit(0)
    mine = Ear()
    pixels = open_pixels(manifest, 24, tmp_path / "pixels", mine)
    os.waitpid(child, 0)
    theirs = os.read(read, 1)[0]
    os.close(read)
    os.close(write)
    assert sorted([len(mine.heard), theirs]) == [0, 2]
    assert np.array_equal(pixels, decode_manifest(manifest, 24))


def test_a_selection_reads_only_what_it_is_asked_for(manifest):
    pixels = decode_manifest(manifest, 24)
    chosen = PixelSelection(pixels, np.array([5, 3, 8]))
    assert len(chosen) == 3
    assert np.array_equal(chosen[1:], pixels[[3, 8]])
    assert np.array_equal(chosen[np.array([2, 0, 2])], pixels[[8, 5, 8]])


def test_a_run_on_mapped_pictures_is_the_same_run(experiment, store, tmp_path):
    mapped = open_experiment(experiment.manifest.root, CONFIG, store, tmp_path / "pixels")
    jobs = [make_job(e, tmp_path / n) for e, n in ((experiment, "memory"), (mapped, "mapped"))]
    for job in jobs:
        run_training(job)
    assert isinstance(jobs[1].pixels, np.memmap)
    assert jobs[0].folder.student.read_bytes() == jobs[1].folder.student.read_bytes()
