"""Words beside the class name: a sentence a class, a caption a picture, each from a file of the user's."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from client.data.listing import read_rows
from client.data.manifest import DataError, Picture

DESCRIPTIONS_FILE = "descriptions.json"
"""In the data folder; taken where a command reads descriptions and none are named."""
TEMPLATE = "a photo of {label} . {sentence}"
"""As published: no article, a spaced full stop. A teacher whose captions never held a full stop needs
another one."""

__all__ = [
    "DESCRIPTIONS_FILE",
    "TEMPLATE",
    "Captions",
    "Descriptions",
    "list_texts",
    "load_captions",
    "load_descriptions",
]


@dataclass(frozen=True, slots=True)
class Descriptions:
    """Class → one sentence on what it looks like (Li et al. 2023, language enrichment)."""

    file: Path
    sentences: Mapping[str, str]
    template: str = TEMPLATE

    def texts(self, classes: Iterable[str]) -> dict[str, str]:
        """Class → the template with its name and sentence; `_` in a name reads as a space.

        An empty sentence leaves what comes before `{label}` and the label: the published text without
        enrichment is "a photo of {label}". Raises DataError for a class that is not described.
        """
        names = list(classes)
        missing = [name for name in names if name not in self.sentences]
        if missing:
            raise DataError(
                f"{self.file} describes no {', '.join(missing)}: add a line like "
                f'"{missing[0]}": "four legs, a long tail"'
            )
        return {name: self._describe(name, self.sentences[name]) for name in names}

    def _describe(self, name: str, sentence: str) -> str:
        label = name.replace("_", " ")
        if not sentence:
            return self.template.partition("{label}")[0] + label
        # A name may itself hold braces, so this is no str.format.
        before, _, after = self.template.partition("{label}")
        return before + label + after.replace("{sentence}", sentence)


@dataclass(frozen=True, slots=True)
class Captions:
    """Picture path → its caption."""

    file: Path
    by_path: Mapping[str, str]

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that change with any caption."""
        lines = json.dumps(sorted(self.by_path.items()), ensure_ascii=False)
        return hashlib.sha256(lines.encode()).hexdigest()[:16]

    def texts(self, pictures: Iterable[Picture]) -> list[str]:
        """One caption a picture, in their order. Raises DataError when some have none."""
        wanted = list(pictures)
        missing = [picture.path for picture in wanted if picture.path not in self.by_path]
        if missing:
            raise DataError(
                f"{self.file} has no caption for {len(missing)} of {len(wanted)} pictures: add a line "
                f'like {{"path": "{missing[0]}", "caption": "what it shows"}}'
            )
        return [self.by_path[picture.path] for picture in wanted]


def load_descriptions(file: Path) -> Descriptions:
    """A JSON object of class → sentence; under the empty name perhaps another template.

    Raises DataError when it is none, or the template lacks `{label}` and then `{sentence}`.
    """
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{file} is no JSON file of descriptions ({error}): correct it") from error
    if not isinstance(document, dict) or not all(isinstance(s, str) for s in document.values()):
        raise DataError(
            f'{file} is not an object like {{"dog": "four legs, a long tail"}}: correct it'
        )
    template = document.pop("", TEMPLATE)
    if "{sentence}" not in template.partition("{label}")[2]:
        raise DataError(f"{file}: the template {template!r} is not like {TEMPLATE!r}: correct it")
    sentences = {name: sentence.strip() for name, sentence in document.items()}
    return Descriptions(file, sentences, template)


def load_captions(file: Path) -> Captions:
    """JSON lines, each a `path` below the data folder and its `caption`; or a CSV with such columns.

    Raises DataError.
    """
    if file.suffix.lower() == ".csv":
        rows = read_rows(file, ("path", "caption"))
        return Captions(file, {row["path"]: _require(file, number, row) for number, row in rows})
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"{file} is no file of captions ({error}): correct it") from error
    found = {}
    for number, line in enumerate(lines, start=1):
        if line.strip():
            path, caption = _parse(file, number, line)
            found[path] = caption
    return Captions(file, found)


def list_texts(
    root: Path,
    classes: Iterable[str],
    pictures: Iterable[Picture],
    descriptions: Path | None,
    captions: Path | None,
) -> list[str]:
    """What training on these pictures asks about beside the class prompts.

    Described class texts, of DATA/descriptions.json when no file is named and that one is there; and
    the pictures' captions, of a named file alone. Raises DataError.
    """
    usual = root / DESCRIPTIONS_FILE
    file = descriptions or (usual if usual.is_file() else None)
    texts = list(load_descriptions(file).texts(classes).values()) if file else []
    return texts + (load_captions(captions).texts(pictures) if captions else [])


def _parse(file: Path, number: int, line: str) -> tuple[str, str]:
    try:
        row = json.loads(line)
        path, caption = row["path"], row["caption"]
    except (ValueError, TypeError, KeyError):
        path = caption = None
    if not isinstance(path, str) or not isinstance(caption, str) or not caption.strip():
        raise DataError(
            f'{file}, line {number} is not an object like {{"path": "photo/dog/1.png", '
            '"caption": "a dog on a sofa"}: correct the line'
        )
    return path, caption.strip()


def _require(file: Path, number: int, row: Mapping[str, str]) -> str:
    if row["path"] and row["caption"]:
        return row["caption"]
    raise DataError(f"{file}, row {number} lacks its path or caption: fill it in or remove the row")
