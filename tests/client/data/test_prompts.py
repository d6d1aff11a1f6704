"""The texts a class is asked about as."""

from pathlib import Path

import pytest

from client.data import (
    DataError,
    Manifest,
    build_prompts,
    load_synonyms,
    make_prompts,
    scan_folders,
)
from tests.client.pictures import write_folders


def test_each_word_of_a_class_meets_each_template_once_the_own_name_first() -> None:
    prompts = build_prompts(
        ["truck"], templates=["a {}", "one {}"], synonyms={"truck": ["truck", "lorry"]}
    )
    assert prompts == {"truck": ("a truck", "one truck", "a lorry", "one lorry")}


def test_an_underscore_in_a_name_is_a_space_and_braces_are_kept() -> None:
    prompts = build_prompts(["palm_tree", "{x}"], templates=["a {}"])
    assert prompts == {"palm_tree": ("a palm tree",), "{x}": ("a {x}",)}


@pytest.mark.parametrize("templates", [["no place"], []])
def test_a_template_without_a_place_is_refused(templates: list[str]) -> None:
    with pytest.raises(DataError, match=r"a photo of a \{\}"):
        build_prompts(["cat"], templates=templates)


def test_synonyms_are_read_from_the_data_folder(tmp_path: Path) -> None:
    assert load_synonyms(tmp_path) == {}
    (tmp_path / "classes.json").write_text('{"truck": ["truck", "lorry"]}')
    assert load_synonyms(tmp_path) == {"truck": ("truck", "lorry")}


@pytest.mark.parametrize("text", ["nonsense", "[]", '{"a": "b"}', '{"a": [1]}'])
def test_a_bad_synonyms_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "classes.json").write_text(text)
    with pytest.raises(DataError, match=r"classes\.json is not"):
        load_synonyms(tmp_path)


class TestStyles:
    def _manifest(self, root: Path) -> Manifest:
        domains = ("art_painting", "photo", "sketch")
        write_folders(root, domains=domains, classes=("palm_tree", "{}"), each=1)
        (root / "classes.json").write_text('{"palm_tree": ["palm tree", "palm"]}')
        return scan_folders(root)

    def test_the_vendors_are_synonyms_times_templates(self, tmp_path: Path) -> None:
        manifest = self._manifest(tmp_path)
        prompts = make_prompts(manifest, templates=["a {}"], sources=manifest.domains)
        assert prompts["palm_tree"] == ("a palm tree", "a palm")

    def test_plain_is_one_text_a_class(self, tmp_path: Path) -> None:
        manifest = self._manifest(tmp_path)
        prompts = make_prompts(manifest, "plain", templates=["x {}"], sources=manifest.domains)
        assert prompts == {"palm_tree": ("a photo of a palm tree",), "{}": ("a photo of a {}",)}

    def test_domain_is_one_text_a_source_and_never_names_the_target(self, tmp_path: Path) -> None:
        manifest = self._manifest(tmp_path)
        sources = ("art_painting", "photo")
        prompts = make_prompts(manifest, "domain", templates=["x {}"], sources=sources)
        assert prompts["palm_tree"] == ("a art painting of a palm tree", "a photo of a palm tree")
        assert not [text for texts in prompts.values() for text in texts if "sketch" in text]
