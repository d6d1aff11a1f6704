"""What each purpose asks the teacher about."""

from pathlib import Path

import pytest

from client.acquire import choose_images, choose_wants
from client.data import scan_folders, split_pictures
from client.errors import UsageError
from shared.digests import digest_text
from tests.client.pictures import make_picture


def domains(manifest, indices) -> set[str]:
    return {manifest.pictures[i].domain for i in indices}


def test_training_wants_the_training_part_of_every_domain_but_the_targets(data: Path) -> None:
    manifest = scan_folders(data)
    split = split_pictures(manifest)
    assert choose_images(manifest, split, "training") == list(split.training)
    chosen = choose_images(manifest, split, "training", ["solid"])
    assert domains(manifest, chosen) == {"line"}
    assert set(chosen) <= set(split.training)


def test_evaluation_wants_source_validation_and_all_of_the_target(data: Path) -> None:
    manifest = scan_folders(data)
    split = split_pictures(manifest, holdout=0.5)
    chosen = choose_images(manifest, split, "evaluation", ["solid"])
    target = {i for i, picture in enumerate(manifest.pictures) if picture.domain == "solid"}
    assert target <= set(chosen)
    assert set(chosen) - target == {i for i in split.validation if i not in target}


def test_identical_files_and_texts_count_once(data: Path) -> None:
    (data / "line" / "cat" / "copy.png").write_bytes(make_picture(0))
    (data / "solid" / "dog" / "copy.png").write_bytes(make_picture(0))
    manifest = scan_folders(data)
    split = split_pictures(manifest, holdout=0)
    wants = choose_wants(manifest, split, {"cat": ["a cat", "cat"], "kitten": ["a cat"]})
    assert len(wants.images) == 20
    assert set(wants.texts) == {digest_text("a cat"), digest_text("cat")}


def test_unknown_target(data: Path) -> None:
    manifest = scan_folders(data)
    with pytest.raises(UsageError, match=r"is no domain .*: did you mean solid\?"):
        choose_images(manifest, split_pictures(manifest), "training", ["soldi"])
    with pytest.raises(UsageError, match="they are line, solid"):
        choose_images(manifest, split_pictures(manifest), "training", ["xyz"])


def test_a_target_of_every_domain_leaves_nothing_to_train_on(data: Path) -> None:
    manifest = scan_folders(data)
    with pytest.raises(UsageError, match="leave at least one"):
        choose_images(manifest, split_pictures(manifest), "training", ["line", "solid"])
