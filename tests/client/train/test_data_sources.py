"""What training says of data that can be bought but not trained on, and of a CSV that can."""

from pathlib import Path

import pytest

from client.data import scan_folders, split_pictures
from client.train.errors import TrainingError
from client.train.fold import Fold, make_fold
from tests.client.pictures import write_folders


def open_fold(data: Path, *targets: str) -> Fold:
    manifest = scan_folders(data)
    return make_fold(manifest, split_pictures(manifest), targets)


def write_list(data: Path, header: str) -> Path:
    """All pictures of a tree, with what their folders say where the header names it."""
    rows = [header]
    for file in sorted(data.rglob("*.png")):
        parts = {"path": str(file), "class": file.parent.name, "domain": file.parent.parent.name}
        rows.append(",".join(parts[name] for name in header.split(",")))
    listing = data.parent / "list.csv"
    listing.write_text("\n".join(rows) + "\n")
    return listing


def test_a_csv_with_classes_and_domains_is_trained_on_as_its_folders_are(data: Path) -> None:
    listed = open_fold(write_list(data, "path,class,domain"), "solid")
    plain = open_fold(data, "solid")
    assert len(listed.training) == len(plain.training)
    assert listed.sources == plain.sources == ("line",)


def test_a_csv_of_one_domain_is_told_what_it_lacks(data: Path) -> None:
    with pytest.raises(TrainingError, match=r"single domain \(list\).* add a column domain"):
        open_fold(write_list(data, "path,class"))


def test_a_csv_without_classes_is_told_so(data: Path) -> None:
    with pytest.raises(TrainingError, match="says no classes: add a column class"):
        open_fold(write_list(data, "path"))


def test_a_tree_of_classes_is_told_how_to_lay_domains_out(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "pets", domains=(".",), classes=("cat", "dog"), each=2)
    with pytest.raises(TrainingError, match=r"single domain \(pets\).* DATA/<domain>/<class>"):
        open_fold(root)
