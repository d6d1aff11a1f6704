"""README, handbooks, CHANGELOG and compose file stay true: what they name exists."""

import re
from pathlib import Path

import pytest
import typer
import yaml

from client.api import EmbeddingResult
from client.cli import app as client_app
from client.settings import ClientSettings
from vendor_api.cli import app as vendor_app
from vendor_api.settings import VendorSettings

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / name for name in ("README.md", "vendor_api/README.md", "client/README.md")]
README = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
PROGRAMS = {"vl2v": client_app, "vl2v-vendor": vendor_app}
WRITTEN = sorted(set(re.findall(r"(?:`|\$ )(vl2v(?:-vendor)?) ((?:[a-z][a-z-]+ ?){1,2})", README)))


def _commands(group: object, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], object]:
    found = {path: group}
    for name, command in getattr(group, "commands", {}).items():
        found |= _commands(command, (*path, name))
    return found


COMMANDS = {program: _commands(typer.main.get_command(app)) for program, app in PROGRAMS.items()}


@pytest.mark.parametrize(("program", "words"), WRITTEN)
def test_every_command_in_the_readme_exists(program, words):
    first = words.split()[0]
    assert (first,) in COMMANDS[program], f"{program} {words}"


def test_every_option_in_the_readme_exists():
    for line in README.splitlines():
        call = re.match(r"\$ (vl2v(?:-vendor)?) (.+?)(?:\s{2,}#.*)?$", line)
        if call is None:
            continue
        program, words = call.group(1), call.group(2).split(" # ")[0].split()
        path = tuple(words[:2]) if tuple(words[:2]) in COMMANDS[program] else tuple(words[:1])
        command = COMMANDS[program][path]
        known = {name for parameter in command.params for name in parameter.opts}  # type: ignore[attr-defined]
        used = {word for word in words if word.startswith("--")}
        assert used <= known, line


@pytest.mark.parametrize(
    "name",
    [f"VENDOR_{name.upper()}" for name in VendorSettings.model_fields]
    + [f"VL2V_{name.upper()}" for name in ClientSettings.model_fields],
)
def test_every_setting_is_in_the_readme(name):
    assert f"`{name}`" in README


def test_every_setting_in_the_readme_exists():
    known = {f"VENDOR_{name.upper()}" for name in VendorSettings.model_fields}
    known |= {f"VL2V_{name.upper()}" for name in ClientSettings.model_fields}
    assert set(re.findall(r"`((?:VENDOR|VL2V)_[A-Z_]*[A-Z])`", README)) <= known


def test_every_command_of_both_programs_has_help():
    for program, commands in COMMANDS.items():
        for path, command in commands.items():
            assert getattr(command, "help", None), f"{program} {' '.join(path)}"


def test_every_option_of_both_programs_is_explained():
    for program, commands in COMMANDS.items():
        for path, command in commands.items():
            for parameter in command.params:  # type: ignore[attr-defined]
                assert getattr(parameter, "help", None), (
                    f"{program} {' '.join(path)} {parameter.name}"
                )


def test_every_make_target_in_the_readme_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", README)) <= targets


def test_every_member_that_the_readme_reads_of_an_answer_exists():
    used = set(re.findall(r"\banswer\.([a-z_]+)", README))
    assert used
    assert used <= set(dir(EmbeddingResult)) | set(EmbeddingResult.__annotations__)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_linked_file_and_heading_exists(page):
    text = page.read_text(encoding="utf-8")
    for target, heading in re.findall(r"\]\((?!http)([^)#]*)(?:#([^)]+))?\)", text):
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), target
        if heading:
            assert heading in _headings(file.read_text(encoding="utf-8")), f"{target}#{heading}"


def _headings(text):
    """Anchors as they are made of headings: lower case, no punctuation, hyphens for blanks."""
    titles = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_compose_file_starts_what_it_names():
    services = COMPOSE["services"]
    for name in ("migrate", "vendor", "vendor-gpu"):
        program, *words = services[name]["command"]
        assert tuple(words) in COMMANDS[program]
        assert (ROOT / services[name]["build"]["dockerfile"]).is_file()


def test_the_walk_over_commands_finds_some():
    # The walk above relies on it; without it, every test here would pass on nothing.
    assert all(len(commands) > 3 for commands in COMMANDS.values())
