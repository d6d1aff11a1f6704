"""Other places that pictures come from: a tree of classes, and a CSV of paths."""

from pathlib import Path

import pytest

from client.data import DataError, scan_folders
from client.data.descriptions import load_captions
from client.data.folders import find_images
from tests.client.pictures import make_picture, write_folders


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """A tree of classes alone."""
    return write_folders(tmp_path / "pets", domains=(".",), classes=("cat", "dog"), each=3)


def write_list(folder: Path, *rows: str, header: str = "path,class,domain") -> Path:
    file = folder / "list.csv"
    file.write_text("\n".join((header, *rows)) + "\n", encoding="utf-8")
    return file


class TestClassTree:
    def test_it_is_one_domain_named_after_its_folder(self, pets: Path) -> None:
        manifest = scan_folders(pets)
        assert manifest.domains == ("pets",)
        assert manifest.classes == ("cat", "dog")
        assert [p.path for p in manifest.pictures][:2] == ["cat/000.png", "cat/001.png"]
        assert manifest.data == pets

    def test_pictures_two_folders_deep_make_it_a_tree_of_domains(self, pets: Path) -> None:
        (pets / "line" / "cow").mkdir(parents=True)
        (pets / "line" / "cow" / "0.png").write_bytes(make_picture(50))
        manifest = scan_folders(pets)
        assert manifest.domains == ("line",)
        assert ("cat/000.png", "it lies outside a class folder") in manifest.unreadable

    def test_an_empty_class_is_named(self, pets: Path) -> None:
        (pets / "cow").mkdir()
        with pytest.raises(DataError, match="class folder cow has no readable image"):
            scan_folders(pets)


class TestListing:
    def test_rows_say_class_and_domain_and_paths_start_at_the_file(self, pets: Path) -> None:
        file = write_list(
            pets.parent, "pets/dog/000.png,hound,photo", f"{pets}/cat/001.png,cat,ink"
        )
        manifest = scan_folders(file)
        assert manifest.data == file
        assert manifest.domains == ("ink", "photo")
        assert manifest.classes == ("cat", "hound")
        files = {manifest.file(p) for p in manifest.pictures}
        assert (
            files == {pets / "dog" / "000.png", pets / "cat" / "001.png"} == set(find_images(file))
        )

    def test_without_columns_it_is_one_domain_of_no_class(self, pets: Path) -> None:
        manifest = scan_folders(write_list(pets.parent, "pets/dog/000.png", header="path"))
        assert (manifest.domains, manifest.classes) == (("list",), ())

    def test_it_reads_what_spreadsheets_write(self, pets: Path) -> None:
        file = pets.parent / "list.csv"
        file.write_bytes(b'\xef\xbb\xbfPath , Class,note\r\n"pets/cat/000.png",cat,"a, b"\r\n\r\n')
        (picture,) = scan_folders(file).pictures
        assert picture.label == "cat"

    @pytest.mark.parametrize(
        ("rows", "header", "said"),
        [
            (
                ("pets/cat/000.png,cat", "gone.png,cat"),
                "path,class",
                r"row 3: gone\.png is not there",
            ),
            (("pets/cat/000.png,",), "path,class", "row 2 has no class"),
            (("pets/cat/000.png,cat,",), "path,class,domain", "row 2 has no domain"),
            ((",cat",), "path,class", "row 2 has no path"),
            (("pets/cat/000.png,cat,more",), "path,class", "row 2 has 3 cells, the header 2"),
            (("pets/cat/000.png",), "file", "row 1 has no column path"),
            (("a,b",), "path,path", "row 1 names the column 'path' twice"),
            ((), "path,class", "names no readable picture"),
            (('"pets/cat',), "path", "cannot be read as CSV"),
        ],
    )
    def test_what_is_wrong_is_said_with_its_row(
        self, pets: Path, rows: tuple[str, ...], header: str, said: str
    ) -> None:
        with pytest.raises(DataError, match=said):
            scan_folders(write_list(pets.parent, *rows, header=header))

    def test_another_encoding_is_named(self, pets: Path) -> None:
        file = pets.parent / "list.csv"
        file.write_bytes(b"path\ncaf\xe9.png\n")
        with pytest.raises(DataError, match="save it as UTF-8"):
            scan_folders(file)

    def test_an_unreadable_picture_is_listed_and_stops_nothing(self, pets: Path) -> None:
        (pets / "bad.png").write_bytes(b"nothing")
        rows = ("pets/bad.png,cat", "pets/cat/000.png,cat")
        manifest = scan_folders(write_list(pets.parent, *rows, header="path,class"))
        assert [p.path for p in manifest.pictures] == ["pets/cat/000.png"]
        assert manifest.unreadable[0][0] == "pets/bad.png"

    def test_a_path_listed_twice_counts_once_unless_the_rows_disagree(self, pets: Path) -> None:
        rows = ["pets/cat/000.png,cat,a"] * 2
        assert len(scan_folders(write_list(pets.parent, *rows)).pictures) == 1
        with pytest.raises(DataError, match=r"000\.png twice, with two classes or domains"):
            scan_folders(write_list(pets.parent, *rows, "pets/cat/000.png,dog,a"))


class TestCaptions:
    def test_a_csv_may_hold_them(self, pets: Path) -> None:
        file = write_list(pets.parent, 'pets/cat/000.png,"a cat, asleep"', header="path,caption")
        assert load_captions(file).by_path == {"pets/cat/000.png": "a cat, asleep"}

    def test_a_row_without_one_is_named(self, pets: Path) -> None:
        with pytest.raises(DataError, match="row 2 lacks its path or caption"):
            load_captions(write_list(pets.parent, "pets/cat/000.png,", header="path,caption"))
