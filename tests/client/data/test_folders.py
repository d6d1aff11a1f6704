"""Folders in, manifest out."""

import json
import os
from pathlib import Path

import pytest
from PIL import Image

from client.cache import EmbeddingStore
from client.data import DataError, scan_folders
from client.data.inspection import MAX_FILE_BYTES
from client.data.manifest import FileState
from tests.client.pictures import make_picture, write_folders


class TestScanning:
    def test_domains_classes_and_digests_are_found_in_sorted_order(self, data: Path) -> None:
        manifest = scan_folders(data)
        assert manifest.domains == ("line", "solid")
        assert manifest.classes == ("cat", "dog")
        assert len(manifest.pictures) == 20
        paths = [picture.path for picture in manifest.pictures]
        assert paths == sorted(paths)
        assert paths[0] == "line/cat/000.png"
        assert manifest.file(manifest.pictures[0]).read_bytes() == make_picture(0)

    def test_one_class_index_covers_all_domains(self, tmp_path: Path) -> None:
        write_folders(tmp_path, domains=("a",), classes=("x", "y"), each=1)
        write_folders(tmp_path, domains=("b",), classes=("y", "z"), each=1)
        assert scan_folders(tmp_path).classes == ("x", "y", "z")

    @pytest.mark.parametrize(
        ("name", "kind"),
        [("a.jpg", "JPEG"), ("a.JPEG", "JPEG"), ("a.Png", "PNG"), ("a.webp", "WEBP")],
    )
    def test_jpeg_png_and_webp_are_read_whatever_the_case(
        self, tmp_path: Path, name: str, kind: str
    ) -> None:
        folder = tmp_path / "d" / "c"
        folder.mkdir(parents=True)
        (folder / name).write_bytes(make_picture(1, kind))
        assert [p.path for p in scan_folders(tmp_path).pictures] == [f"d/c/{name}"]

    def test_hidden_and_other_files_are_skipped(self, data: Path) -> None:
        (data / ".cache" / "x").mkdir(parents=True)
        (data / "line" / "cat" / ".hidden.png").write_bytes(b"")
        (data / "line" / "cat" / "notes.txt").write_text("hello")
        (data / "line" / "cat" / ".thumbs").mkdir()
        (data / "line" / "cat" / ".thumbs" / "t.png").write_bytes(make_picture(9))
        manifest = scan_folders(data)
        assert len(manifest.pictures) == 20
        assert manifest.unreadable == ()

    def test_names_in_two_unicode_forms_are_one_class(self, tmp_path: Path) -> None:
        write_folders(tmp_path, domains=("a",), classes=("café",), each=1)
        write_folders(tmp_path, domains=("b",), classes=("cafe\u0301",), each=1)
        assert scan_folders(tmp_path).classes == ("café",)

    def test_groups_come_from_the_manifest_file_else_from_the_content(self, data: Path) -> None:
        row = {"path": "line/cat/000.png", "group": "drawing-1", "set": "tabler"}
        (data / "manifest.jsonl").write_text(json.dumps(row) + "\n\n")
        first, second = scan_folders(data).pictures[:2]
        assert first.group == "drawing-1"
        assert second.group == second.digest.hex()

    def test_an_unchanged_file_is_read_once(self, data: Path, store: EmbeddingStore) -> None:
        first = scan_folders(data, memo=store.digests)
        file = data / "line" / "cat" / "000.png"
        status = file.stat()
        state = FileState(str(file), status.st_size, status.st_mtime_ns)
        assert store.digests.recall([state])[state].digest == first.pictures[0].digest
        assert scan_folders(data, memo=store.digests) == first

    def test_a_changed_file_is_read_again(self, data: Path, store: EmbeddingStore) -> None:
        scan_folders(data, memo=store.digests)
        (data / "line" / "cat" / "000.png").write_bytes(make_picture(777, "JPEG"))
        again = scan_folders(data, memo=store.digests)
        assert again == scan_folders(data)


class TestUnreadableImage:
    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (b"", "the file is empty"),
            (b"GIF89a not really", "no readable JPEG, PNG or WebP image"),
            (make_picture(1)[:46], "the image is damaged"),
        ],
    )
    def test_it_is_listed_with_its_reason_and_left_out(
        self, tmp_path: Path, data: bytes, reason: str
    ) -> None:
        write_folders(tmp_path, domains=("d",), classes=("c",), each=1)
        (tmp_path / "d" / "c" / "bad.png").write_bytes(data)
        manifest = scan_folders(tmp_path)
        assert [p.path for p in manifest.pictures] == ["d/c/000.png"]
        ((path, said),) = manifest.unreadable
        assert path == "d/c/bad.png"
        assert reason in said

    def test_a_jpeg_cut_in_the_middle_is_damaged(self, tmp_path: Path) -> None:
        write_folders(tmp_path, domains=("d",), classes=("c",), each=1)
        noise = Image.effect_noise((256, 256), 80)
        file = tmp_path / "d" / "c" / "cut.jpg"
        noise.save(file, "JPEG")
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        assert "truncated" in scan_folders(tmp_path).unreadable[0][1]

    def test_a_picture_of_too_many_pixels_is_not_decoded(self, tmp_path: Path) -> None:
        write_folders(tmp_path, domains=("d",), classes=("c",), each=1)
        Image.new("1", (30_000, 3_000)).save(tmp_path / "d" / "c" / "big.png")
        assert "pixels are too many" in scan_folders(tmp_path).unreadable[0][1]

    def test_a_dangling_link_is_listed(self, tmp_path: Path) -> None:
        write_folders(tmp_path, domains=("d",), classes=("c",), each=1)
        (tmp_path / "d" / "c" / "gone.png").symlink_to(tmp_path / "nowhere.png")
        assert "cannot be read" in scan_folders(tmp_path).unreadable[0][1]

    def test_a_link_to_itself_and_links_to_folders_are_listed(self, tmp_path: Path) -> None:
        root = write_folders(tmp_path / "data", domains=("d",), classes=("c",), each=1)
        (root / "d" / "c" / "self.png").symlink_to("self.png")
        (root / "d" / "c" / "up").symlink_to(root)
        manifest = scan_folders(root)
        assert len(manifest.pictures) == 1
        (up, says_folder), (_, says_loop) = sorted(manifest.unreadable, reverse=True)
        assert (up, says_folder) == ("d/c/up", "it links to a folder, which is not followed")
        assert "symbolic links" in says_loop

    def test_a_class_that_leads_back_up_is_not_read_again(self, tmp_path: Path) -> None:
        root = write_folders(tmp_path / "data", domains=("d",), classes=("c",), each=1)
        (root / "d" / "loop").symlink_to(root)
        with pytest.raises(DataError, match="class folder d/loop has no readable image"):
            scan_folders(root)

    def test_what_is_no_file_is_not_waited_for(self, tmp_path: Path) -> None:
        root = write_folders(tmp_path / "data", domains=("d",), classes=("c",), each=1)
        os.mkfifo(root / "d" / "c" / "pipe.png")
        assert scan_folders(root).unreadable == (("d/c/pipe.png", "it is no file"),)

    def test_a_file_too_large_to_look_at_is_not_read(self, tmp_path: Path) -> None:
        root = write_folders(tmp_path / "data", domains=("d",), classes=("c",), each=1)
        with (root / "d" / "c" / "big.png").open("wb") as file:
            file.truncate(MAX_FILE_BYTES + 1)
        ((_, reason),) = scan_folders(root).unreadable
        assert reason == "256,000,001 bytes are more than 256,000,000"

    def test_a_picture_beside_the_class_folders_is_listed(self, data: Path) -> None:
        (data / "line" / "loose.png").write_bytes(make_picture(99))
        manifest = scan_folders(data)
        assert len(manifest.pictures) == 20
        assert manifest.unreadable == (("line/loose.png", "it lies outside a class folder"),)


class TestRefusals:
    def test_empty_class(self, data: Path) -> None:
        (data / "solid" / "cow").mkdir()
        with pytest.raises(DataError, match="solid/cow has no readable image: add one or remove"):
            scan_folders(data)

    def test_a_class_of_unreadable_images_alone_is_empty(self, data: Path) -> None:
        (data / "solid" / "cow").mkdir()
        (data / "solid" / "cow" / "x.png").write_bytes(b"")
        with pytest.raises(DataError, match="solid/cow has no readable image"):
            scan_folders(data)

    def test_no_images(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="holds no images"):
            scan_folders(tmp_path)

    def test_images_in_no_class_folder(self, tmp_path: Path) -> None:
        (tmp_path / "loose.png").write_bytes(make_picture(1))
        with pytest.raises(DataError, match="outside class folders: lay them out as DATA/domain"):
            scan_folders(tmp_path)

    def test_no_folder(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="is not a folder"):
            scan_folders(tmp_path / "none")

    @pytest.mark.parametrize("line", ["not json", "[1]", '{"group": "x"}'])
    def test_a_bad_line_in_the_manifest_file_is_named(self, data: Path, line: str) -> None:
        (data / "manifest.jsonl").write_text('{"path": "a"}\n' + line + "\n")
        with pytest.raises(DataError, match=r"manifest.jsonl, line 2 is not an object like"):
            scan_folders(data)

    def test_a_manifest_file_in_another_encoding_is_named(self, data: Path) -> None:
        (data / "manifest.jsonl").write_bytes(b'{"path": "caf\xe9"}\n')
        with pytest.raises(DataError, match="is not UTF-8"):
            scan_folders(data)
