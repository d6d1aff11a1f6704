"""The styles that can be rendered, on small icon packages written here."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from client.cli import app
from client.data.folders import scan_folders
from client.demo.dataset import write_dataset
from shared.icons import load_plan
from shared.icons.selection import find_candidates, identify

PLAN = load_plan()
SQUARE = '<path fill="currentColor" d="M{} 2h12v12H2z"/>'
NAMES = {
    "noto": ["cat", "fish"],
    "tabler": ["cat", "fish"],
    "openmoji": ["cat", "fish"],
    "game-icons": ["cat", "fish"],
    "pixelarticons": ["fish", "fish-sharp", "calendar", "calendar-2-sharp", "arrow"],
    "streamline-pixel": ["pet-animals-cat", "food-drink-fish", "food-drink-fish-bone"],
}


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """An npm folder where every package of the plan is installed already."""
    place = 0
    for package in PLAN.packages:
        folder = tmp_path / "npm" / "node_modules" / package.name
        folder.mkdir(parents=True)
        icons = {}
        for name in NAMES.get(package.icon_set, []):
            place += 1
            icons[name] = {"body": SQUARE.format(place / 10)}
        document = {"prefix": package.icon_set, "icons": icons, "width": 16, "height": 16}
        (folder / "icons.json").write_text(json.dumps(document), encoding="utf-8")
        (folder / "package.json").write_text(json.dumps({"version": package.version}))
    return tmp_path / "npm"


def _icons(*words):
    return CliRunner().invoke(app, ["demo-data", "icons", *map(str, words)], env={"NO_COLOR": "1"})


def test_the_default_is_the_four_domains(packages, tmp_path):
    done = _icons("--out", tmp_path / "data", "--packages", packages)
    assert done.exit_code == 0, done.output
    assert scan_folders(tmp_path / "data").domains == tuple(sorted(PLAN.domains))


@pytest.mark.parametrize("words", [["--final"], ["--styles", "pixel"]])
def test_the_fifth_style_has_a_folder_of_its_own(packages, tmp_path, words):
    done = _icons("--out", tmp_path / "pixel", "--packages", packages, *words)
    assert done.exit_code == 0, done.output
    manifest = scan_folders(tmp_path / "pixel")
    assert manifest.domains == ("pixel",)
    assert manifest.classes == ("calendar", "cat", "fish")
    # One variant of a drawing; shelf words before a name are none of the name.
    assert [p.path for p in manifest.pictures if p.label == "fish"] == [
        "pixel/fish/pixelarticons--fish.png",
        "pixel/fish/streamline-pixel--food-drink-fish.png",
    ]


def test_a_style_of_ones_own_choice(packages, tmp_path):
    data = write_dataset(PLAN, packages / "node_modules", tmp_path / "d", styles=("line", "flat"))
    assert data.pictures == {"line": 2, "flat": 2}


def test_no_final_drawing_is_among_the_domains(packages):
    found = find_candidates(PLAN, packages / "node_modules", PLAN.classes)
    final = {name for sets in PLAN.final_sets.values() for name in sets}
    assert not final & {icon.icon_set for icons in found.values() for icon in icons}
    assert not final & PLAN.reserved_sets


def test_the_teachers_data_holds_the_final_sets_as_the_command_says():
    roles = {package.icon_set: package.role for package in PLAN.packages}
    assert {roles[name] for sets in PLAN.final_sets.values() for name in sets} == {"teacher"}
    assert "teacher did see those two sets" in " ".join(_icons("--help").output.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--styles", "pixle"], "unknown style 'pixle': choose of"),
        (["--styles", "line,pixel"], "needs a folder of its own"),
        (["--final", "--styles", "line"], "leave --styles out"),
    ],
)
def test_styles_that_cannot_be_are_explained(packages, tmp_path, words, said):
    done = _icons("--out", tmp_path / "data", "--packages", packages, *words)
    assert done.exit_code == 2
    assert said in " ".join(done.stderr.split())


def test_every_final_drawing_names_its_set(packages):
    found = find_candidates(PLAN, packages / "node_modules", PLAN.classes, ("pixel",))
    assert {identify(icon).split("--")[0] for icons in found.values() for icon in icons} == {
        "pixelarticons",
        "streamline-pixel",
    }
