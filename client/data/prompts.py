"""The texts a class is asked about as: its name and synonyms in each prompt template."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol

from client.data.manifest import DataError

SYNONYMS_FILE = "classes.json"
PLAIN_TEMPLATE = "a photo of a {}"
"""VL2V-ADiP's one prompt."""

PromptStyle = Literal["vendor", "plain", "domain"]
"""vendor: synonyms × templates; plain: the class name in PLAIN_TEMPLATE; domain: the class name in
"a {domain} of a {class}" for each domain that is trained on (VL2V-ADiP's E2)."""

__all__ = [
    "PLAIN_TEMPLATE",
    "SYNONYMS_FILE",
    "PromptStyle",
    "build_prompts",
    "list_templates",
    "load_synonyms",
    "make_prompts",
]


class Classified(Protocol):
    """Data of which the classes are known."""

    @property
    def root(self) -> Path:
        """The folder that may hold `classes.json`."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """All, sorted."""
        ...


def make_prompts(
    data: Classified,
    style: PromptStyle = "vendor",
    *,
    templates: Sequence[str],
    sources: Iterable[str],
) -> dict[str, tuple[str, ...]]:
    """Class → the texts it is asked about as, in a style.

    templates: what the vendor recommends; sources: the domains that are trained on. A target's name
    is never among the texts. Raises DataError.
    """
    synonyms = load_synonyms(data.root) if style == "vendor" else None
    own = list_templates(style, templates=templates, sources=sources)
    return build_prompts(data.classes, templates=own, synonyms=synonyms)


def list_templates(
    style: PromptStyle, *, templates: Sequence[str], sources: Iterable[str]
) -> tuple[str, ...]:
    """The style's templates, `{}` where the class name goes; arguments as of `make_prompts`."""
    if style == "plain":
        return (PLAIN_TEMPLATE,)
    if style == "domain":
        return tuple(f"a {name.replace('_', ' ')} of a {{}}" for name in sources)
    return tuple(templates)


def build_prompts(
    classes: Iterable[str],
    *,
    templates: Sequence[str],
    synonyms: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, tuple[str, ...]]:
    """Class → its distinct prompts, the class's own name first, `_` in names read as a space.

    Raises DataError for a template without `{}`, where the name goes.
    """
    for template in templates:
        if "{}" not in template:
            raise DataError(
                f"prompt template {template!r} has no {{}} for the class name: "
                "write it like 'a photo of a {}'"
            )
    if not templates:
        raise DataError("there is no prompt template: give one like 'a photo of a {}'")
    words = {name: [name, *(synonyms or {}).get(name, ())] for name in classes}
    return {
        # A class name may itself hold braces, so this is no str.format.
        name: tuple(
            dict.fromkeys(
                template.replace("{}", word.replace("_", " "))
                for word in words[name]
                for template in templates
            )
        )
        for name in words
    }


def load_synonyms(root: Path) -> dict[str, tuple[str, ...]]:
    """`DATA/classes.json` as class → words; empty without the file.

    Raises DataError when it is not an object of lists of texts.
    """
    file = root / SYNONYMS_FILE
    if not file.is_file():
        return {}
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{file} is not JSON ({error}): correct it or remove it") from error
    if not isinstance(document, dict) or not all(map(_is_words, document.values())):
        raise DataError(
            f'{file} is not an object like {{"truck": ["truck", "lorry"]}}: correct it or remove it'
        )
    return {name: tuple(words) for name, words in document.items()}


def _is_words(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)
