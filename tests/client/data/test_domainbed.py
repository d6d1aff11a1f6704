"""DomainBed's folders as people have them: known names, one folder too deep, odd copies."""

import json
from dataclasses import replace

import pytest
from PIL import Image
from typer.testing import CliRunner

from client.cli import app
from client.data.domainbed import DATASETS, find_nested, index_domains, recognise
from client.data.folders import scan_folders
from client.data.manifest import DataError

KNOWN = {dataset.name: dataset for dataset in DATASETS}


def _lay_out(root, domains, classes=("cat", "dog"), each=1):
    for domain in domains:
        for label in classes:
            folder = root / domain / label
            folder.mkdir(parents=True)
            for number in range(each):
                (folder / f"{number}.jpg").touch()
    return root


def _data(*words):
    return CliRunner().invoke(app, ["data", *map(str, words)], env={"NO_COLOR": "1"})


@pytest.mark.parametrize("name", KNOWN)
def test_every_data_set_is_known_by_its_folders(tmp_path, name):
    dataset = KNOWN[name]
    layout = recognise(_lay_out(tmp_path, dataset.domains))
    assert layout.dataset is dataset
    assert [d.expected for d in layout.domains] == [dataset.domains[d.name] for d in layout.domains]
    assert set(dataset.pitfalls) <= set(layout.warnings)


@pytest.mark.parametrize("name", KNOWN)
def test_the_parts_of_a_data_set_add_up(name):
    dataset = KNOWN[name]
    counts = [images for images in dataset.domains.values() if images is not None]
    assert not counts or sum(counts) == dataset.images


@pytest.mark.parametrize("above", ["PACS/kfold", "PACS", "kfold"])
def test_a_folder_too_many_is_looked_through(tmp_path, above):
    place = _lay_out(tmp_path / above, KNOWN["PACS"].domains)
    assert find_nested(tmp_path) == place
    layout = recognise(tmp_path)
    assert layout.root == place
    assert layout.dataset is KNOWN["PACS"]
    assert any(f"name {place} as DATA" in warning for warning in layout.warnings)


def test_scanning_says_which_folder_to_name_instead(tmp_path):
    place = _lay_out(tmp_path / "OfficeHomeDataset_10072016", KNOWN["OfficeHome"].domains)
    with pytest.raises(DataError, match=f"the domains lie in {place}: name that folder"):
        scan_folders(tmp_path)


def test_the_index_is_domainbeds_sorted_order_which_is_the_manifests(tmp_path):
    root = tmp_path / "terra"
    for domain in KNOWN["TerraIncognita"].domains:
        (root / domain / "empty").mkdir(parents=True)
        Image.new("RGB", (4, 4), domain_colour(domain)).save(root / domain / "empty" / "1.png")
    layout = recognise(root)
    names = [domain.name for domain in layout.domains]
    assert names == ["location_100", "location_38", "location_43", "location_46"]
    assert [domain.index for domain in layout.domains] == [0, 1, 2, 3]
    assert scan_folders(root).domains == tuple(names) == index_domains(names[::-1])
    assert any("“a photo of a empty”" in warning for warning in layout.warnings)


def domain_colour(domain):
    return (int(domain.rpartition("_")[2]), 0, 0)


@pytest.mark.parametrize("name", ["Real World", "Real_World", "RealWorld", "real world"])
def test_copies_that_spell_a_domain_otherwise_are_known(tmp_path, name):
    layout = recognise(_lay_out(tmp_path, ["Art", "Clipart", "Product", name]))
    assert layout.dataset is KNOWN["OfficeHome"]
    told = any("is called 'Real World' in DomainBed" in warning for warning in layout.warnings)
    assert told == (name != "Real World")


def test_counts_that_differ_from_the_published_ones_are_told(tmp_path):
    layout = recognise(_lay_out(tmp_path, KNOWN["VLCS"].domains, each=2))
    assert "SUN09 holds 4 images, the published lists 3,282" in layout.warnings
    assert "VLCS has 5 classes, this folder 2" in layout.warnings


def test_numbers_and_parts_for_class_names_are_told(tmp_path):
    numbers = recognise(_lay_out(tmp_path / "a", KNOWN["VLCS"].domains, ("0", "1")))
    assert any("class folders are numbers" in warning for warning in numbers.warnings)
    parts = recognise(_lay_out(tmp_path / "b", KNOWN["VLCS"].domains, ("full", "test", "train")))
    assert any("parts of a raw download" in warning for warning in parts.warnings)


def test_a_class_that_a_domain_lacks_is_told(tmp_path):
    root = _lay_out(tmp_path, ["one", "two"])
    (root / "two" / "dog" / "0.jpg").unlink()
    (root / "two" / "dog").rmdir()
    layout = recognise(root)
    assert layout.dataset is None
    assert "two lacks 1 of the 2 classes: dog" in layout.warnings


def test_domainnet_with_its_duplicates_is_told(tmp_path):
    root = _lay_out(tmp_path, KNOWN["DomainNet"].domains)
    small = replace(KNOWN["DomainNet"], classes=2, images=11)
    warnings = recognise(root, [small]).warnings
    assert any("list of 9,431 duplicates" in warning for warning in warnings)


def test_the_command_prints_what_was_found(tmp_path):
    root = _lay_out(tmp_path, KNOWN["PACS"].domains)
    done = _data(root)
    assert done.exit_code == 0, done.output
    assert "PACS, 8 images of 2 classes" in done.stdout
    assert "art_painting" in done.stdout
    document = json.loads(_data(root, "--json").stdout)
    assert document["dataset"] == "PACS"
    assert document["domains"][0] == {
        "index": 0,
        "name": "art_painting",
        "classes": 2,
        "images": 2,
        "expected": 2048,
    }
    assert document["expected_images"] == 9991


def test_check_opens_the_files(tmp_path):
    root = _lay_out(tmp_path, ["one", "two"], ("cat",))
    for number, file in enumerate(sorted(root.rglob("*.jpg"))):
        Image.new("RGB", (4, 4), (number, 0, 0)).save(file.with_suffix(".png"))
    found = json.loads(_data(root, "--check", "--json").stdout)["unreadable"]
    assert [path for path, _ in found] == ["one/cat/0.jpg", "two/cat/0.jpg"]


def test_no_folder_and_no_image_are_explained(tmp_path):
    for place, said in ((tmp_path / "no", "is not a folder"), (tmp_path, "holds no images")):
        done = _data(place)
        assert done.exit_code == 1
        assert said in " ".join(done.stderr.split())


def test_a_tree_of_classes_and_a_list_are_counted(tmp_path):
    for label in ("cat", "dog"):
        folder = tmp_path / "pets" / label
        folder.mkdir(parents=True)
        (folder / "0.jpg").touch()
    (tmp_path / "list.csv").write_text("path,class,domain\npets/cat/0.jpg,cat,one\n")
    for place, images in ((tmp_path / "pets", 2), (tmp_path / "list.csv", 1)):
        done = _data(place)
        assert done.exit_code == 0, done.output
        assert f"{images} images of {images} classes" in done.stdout
        assert "leaves a domain out" in done.stderr
