"""What training and evaluation ask about, decided for each picture by itself."""

from pathlib import Path

import pytest

from client.acquire import check_targets, is_wanted
from client.data import scan_folders, split_pictures
from client.errors import UsageError


def test_training_takes_the_training_part_of_every_domain_but_the_targets(data: Path) -> None:
    manifest = scan_folders(data)
    split = split_pictures(manifest)
    wanted = [p for p in manifest.pictures if is_wanted(p, "training")]
    assert wanted == [manifest.pictures[i] for i in split.training]
    fewer = [p for p in manifest.pictures if is_wanted(p, "training", ["solid"])]
    assert fewer == [p for p in wanted if p.domain == "line"]


def test_evaluation_takes_validation_and_all_of_the_targets(data: Path) -> None:
    manifest = scan_folders(data)
    validation = {manifest.pictures[i].path for i in split_pictures(manifest).validation}
    chosen = {p.path for p in manifest.pictures if is_wanted(p, "evaluation", ["solid"])}
    assert chosen == {
        p.path for p in manifest.pictures if p.domain == "solid" or p.path in validation
    }


def test_the_split_seed_decides(data: Path) -> None:
    manifest, seeds = scan_folders(data), range(4)
    sides = [
        tuple(is_wanted(p, "training", split_seed=seed) for p in manifest.pictures)
        for seed in seeds
    ]
    assert len(set(sides)) > 1
    for seed, side in zip(seeds, sides, strict=True):
        training = split_pictures(manifest, seed=seed).training
        assert tuple(i for i, wanted in enumerate(side) if wanted) == training


def test_a_target_that_is_no_domain_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="did you mean solid"):
        check_targets(("line", "solid"), Path("data"), ["soldi"], "training")
    with pytest.raises(UsageError, match="they are line, solid"):
        check_targets(("line", "solid"), Path("data"), ["xyz"], "training")


def test_at_least_one_domain_is_left_to_train_on() -> None:
    with pytest.raises(UsageError, match="leave at least one"):
        check_targets(("line", "solid"), Path("data"), ["line", "solid"], "training")
    check_targets(("line", "solid"), Path("data"), ["line", "solid"], "evaluation")
