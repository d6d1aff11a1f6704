"""Which drawings belong to the client, on small icon packages written here."""

import json

import pytest

from shared.icons import load_plan
from shared.icons.packages import install_packages
from shared.icons.render import read_icons, render_png
from shared.icons.selection import draw, find_candidates, identify, load_deny_list

PLAN = load_plan()
SQUARE = '<path fill="currentColor" d="M2 2h12v12H2z"/>'


@pytest.fixture
def modules(tmp_path):
    names = {
        "noto": ["cat", "dog", "cat-face"],
        "tabler": ["cat", "cat-filled", "heart", "heart-2", "arrow-up"],
        "game-icons": [f"cat-{word}" for word in ("black", "big", "small", "old", "new")],
    }
    for icon_set in {name for sets in PLAN.client_sets.values() for name in sets}:
        icons = {name: {"body": SQUARE} for name in names.get(icon_set, [])}
        folder = tmp_path / "@iconify-json" / icon_set
        folder.mkdir(parents=True)
        document = {"prefix": icon_set, "icons": icons, "width": 16, "height": 16}
        (folder / "icons.json").write_text(json.dumps(document), encoding="utf-8")
    return tmp_path


def test_each_set_serves_its_own_style_only(modules):
    found = find_candidates(PLAN, modules, PLAN.classes)
    assert [identify(icon) for icon in found["shaded", "cat"]] == ["noto--cat", "noto--cat-face"]
    assert [identify(icon) for icon in found["line", "cat"]] == ["tabler--cat"]
    assert ("line", "dog") not in found
    assert ("solid", "heart") not in found


def test_numbered_variants_of_one_drawing_count_once(modules):
    found = find_candidates(PLAN, modules, PLAN.classes)
    assert [identify(icon) for icon in found["line", "heart"]] == ["tabler--heart"]


def test_the_draw_is_fixed_and_other_classes_do_not_move_it(modules):
    found = find_candidates(PLAN, modules, PLAN.classes)
    drawn = draw(found, at_most=2)
    assert drawn == draw(found, at_most=2)
    assert len(drawn["solid", "cat"]) == 2
    without = draw(found, at_most=2, denied=frozenset({"noto--cat"}))
    assert without["solid", "cat"] == drawn["solid", "cat"]
    assert [identify(icon) for icon in without["shaded", "cat"]] == ["noto--cat-face"]


def test_an_icon_is_rendered_square_on_white(modules):
    icon = next(iter(read_icons(modules / "@iconify-json" / "tabler")))
    png = render_png(icon, 32)
    assert png.startswith(b"\x89PNG")


def test_every_denied_icon_names_a_client_set():
    owned = {name for sets in PLAN.client_sets.values() for name in sets}
    denied = load_deny_list()
    assert denied
    assert {entry.split("--")[0] for entry in denied} <= owned


def test_npm_missing_says_what_to_install(tmp_path, monkeypatch):
    from shared.icons import NpmMissing

    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NpmMissing, match=r"install Node\.js"):
        install_packages({"@iconify-json/noto": "1.2.9"}, tmp_path / "npm")
