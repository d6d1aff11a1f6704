"""The texts a class is asked about as."""

from pathlib import Path

import pytest

from client.data import DataError, build_prompts, load_synonyms


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
