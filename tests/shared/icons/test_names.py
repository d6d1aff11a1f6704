"""Icon names are read by the plan's rules."""

import pytest

from shared.icons import Naming, load_plan

NAMING = Naming(load_plan())


class TestStyle:
    @pytest.mark.parametrize(
        ("icon_set", "name", "style"),
        [
            ("noto", "cat", "shaded"),
            ("twemoji", "cat-face", "flat"),
            ("game-icons", "cat", "solid"),
            ("ri", "home-2-fill", "solid"),
            ("ri", "home-2-line", "line"),
            ("tabler", "heart", "line"),
            ("tabler", "heart-filled", "solid"),
            ("mdi", "heart", "solid"),
            ("mdi", "heart-outline", "line"),
            ("material-symbols", "home-outline-rounded", "line"),
            ("solar", "home-bold-duotone", "other"),
            ("ri", "home", "other"),
        ],
    )
    def test_the_first_rule_that_fits_decides(self, icon_set, name, style):
        assert NAMING.style_of(icon_set, name) == style


class TestCleanName:
    @pytest.mark.parametrize(
        ("name", "clean"),
        [
            ("cat-24-filled", "cat"),
            ("home-2-fill", "home"),
            ("home-outline-rounded", "home"),
            ("bell-duotone", "bell"),
            ("watch-round", "watch"),
            ("oncoming-bus", "oncoming-bus"),
        ],
    )
    def test_sizes_and_styles_are_dropped(self, name, clean):
        assert NAMING.clean_name(name) == clean


class TestConcept:
    @pytest.mark.parametrize(
        ("clean", "concept"),
        [
            ("cat", "cat"),
            ("black-cat", "cat"),
            ("school-bus", "bus"),
            ("cat-and-dog", None),
            ("car-wash", None),
            ("dog", "dog"),
            ("arrow-up", None),
        ],
    )
    def test_a_name_shows_one_thing_or_nothing(self, clean, concept):
        assert NAMING.concept_of(clean) == concept
