"""Class descriptions and captions, read from files."""

import json
from pathlib import Path

import pytest

from client import demo
from client.data.descriptions import load_captions, load_descriptions
from client.data.manifest import DataError, Picture
from shared.icons import load_plan


@pytest.fixture
def write(tmp_path):
    def write(text, name="file.json"):
        file = tmp_path / name
        file.write_text(text, encoding="utf-8")
        return file

    return write


class TestDescriptions:
    def test_the_text_is_the_published_one(self, write):
        found = load_descriptions(write('{"polar_bear": " white fur ", "cat": ""}'))
        assert found.texts(["polar_bear", "cat"]) == {
            "polar_bear": "a photo of polar bear . white fur",
            "cat": "a photo of cat",
        }

    def test_the_empty_name_holds_another_template(self, write):
        words = '{"": "an icon of a {label} {sentence}", "cat": "pet", "dog{sentence}": "tail"}'
        assert load_descriptions(write(words)).texts(["cat", "dog{sentence}"]) == {
            "cat": "an icon of a cat pet",
            "dog{sentence}": "an icon of a dog{sentence} tail",
        }

    @pytest.mark.parametrize("template", ["a {label}", "{sentence} {label}", "", "an icon"])
    def test_a_template_without_its_places_is_refused(self, write, template):
        with pytest.raises(DataError, match="the template"):
            load_descriptions(write(json.dumps({"": template, "cat": "pet"})))

    def test_an_undescribed_class_is_named(self, write):
        found = load_descriptions(write('{"cat": "whiskers"}'))
        with pytest.raises(DataError, match=r'describes no cow, dog: add a line like "cow"'):
            found.texts(["cat", "cow", "dog"])

    @pytest.mark.parametrize("text", ["[]", '{"cat": ["whiskers"]}', "{", '"cat"'])
    def test_another_document_is_refused(self, write, text):
        with pytest.raises(DataError, match=r"file\.json"):
            load_descriptions(write(text))

    def test_a_missing_file_is_named(self, tmp_path):
        with pytest.raises(DataError, match=r"nowhere\.json"):
            load_descriptions(tmp_path / "nowhere.json")


class TestCaptions:
    picture = Picture("ink/dot/1.png", "ink", "dot", b"d", "g")

    def test_each_picture_has_its_own(self, write):
        line = json.dumps({"path": "ink/dot/1.png", "caption": " a dot ", "by": "me"})
        found = load_captions(write(line + "\n\n"))
        assert found.texts([self.picture, self.picture]) == ["a dot", "a dot"]

    def test_missing_ones_are_counted(self, write):
        with pytest.raises(DataError, match=r"no caption for 1 of 1 pictures.*ink/dot/1\.png"):
            load_captions(write("")).texts([self.picture])

    @pytest.mark.parametrize(
        "line",
        ["{", '{"path": "a"}', '{"path": 1, "caption": "a"}', '{"path": "a", "caption": ""}'],
    )
    def test_a_bad_line_is_named(self, write, line):
        with pytest.raises(DataError, match="line 2 is not an object"):
            load_captions(write('{"path": "a", "caption": "b"}\n' + line))

    def test_the_digest_changes_with_any_caption(self, write):
        one, other = (f'{{"path": "a", "caption": "{word}"}}' for word in "bc")
        assert load_captions(write(one)).digest != load_captions(write(other)).digest


def test_the_demo_describes_each_of_its_classes_within_the_teachers_context():
    classes = load_plan().classes
    found = load_descriptions(Path(demo.__file__).parent / "descriptions.json")
    assert found.sentences.keys() == set(classes)
    # Twelve tokens, two of them marks; no word in these texts is rarer than two tokens.
    assert all(len(text.split()) <= 9 for text in found.texts(classes).values())
