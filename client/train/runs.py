"""A run's folder: config.json, metrics.jsonl, results.jsonl, answers.safetensors,
student.safetensors, done.

While training also checkpoints/last.safetensors, the whole state."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from client.train.errors import TrainingError

__all__ = ["RunFolder", "find_runs", "read_json", "write_json"]

Document = dict[str, Any]
STAGES = ("align", "distill", "average")
"""What rows of the training curves are about, in the order of a run."""


@dataclass(frozen=True)
class RunFolder:
    """Where one run keeps everything; each file is written whole or appended by whole lines."""

    path: Path

    @property
    def config_file(self) -> Path:
        return self.path / "config.json"

    @property
    def checkpoint(self) -> Path:
        """The whole state; gone when the run is done."""
        return self.path / "checkpoints" / "last.safetensors"

    @property
    def student(self) -> Path:
        """The finished student."""
        return self.path / "student.safetensors"

    @property
    def answers(self) -> Path:
        """What the run says to every picture of the folder (`answers.save_answers`)."""
        return self.path / "answers.safetensors"

    @property
    def is_done(self) -> bool:
        return self._done.is_file()

    def claim(
        self, config: Document, *, resume: bool, defaults: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        """Write config.json, or accept the same one, where settings that an older version did not
        know have their defaults. Raises TrainingError for another run's folder."""
        self.path.mkdir(parents=True, exist_ok=True)
        if not resume:
            files = (self._done, self.checkpoint, self.student, self.answers)
            for file in (*files, self._metrics, self._results):
                file.unlink(missing_ok=True)
        elif self.config_file.is_file():
            differing = _differences({**defaults, **self.read_config()}, config)
            if differing:
                raise TrainingError(
                    f"{self.path} holds a run with other settings ({', '.join(differing)}): give "
                    "another --out, or --no-resume to start it over"
                )
        write_json(self.config_file, config)

    def read_config(self) -> Document:
        """config.json. Raises TrainingError when this is no run's folder."""
        try:
            document: Document = json.loads(self.config_file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise TrainingError(
                f"{self.path} is no run folder ({error}): name one that `vl2v train --out` wrote"
            ) from error
        return document

    def require_done(self) -> Document:
        """The config of a finished run. Raises TrainingError otherwise."""
        config = self.read_config()
        if not self.is_done:
            raise TrainingError(
                f"{self.path} is not finished: run its `vl2v train` command again, it resumes"
            )
        return config

    def log(self, row: Document) -> None:
        """Append to the training curves."""
        _append(self._metrics, row)

    def cut_log(self, stage: str, step: int) -> None:
        """Forget curve rows after `step` of `stage`: a resumed run writes them again."""
        place = (STAGES.index(stage), step)
        rows = [r for r in self.metrics() if (STAGES.index(r["stage"]), r["step"]) <= place]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        partial = self._metrics.with_suffix(".partial")
        partial.write_text(text, encoding="utf-8")
        partial.replace(self._metrics)

    def metrics(self) -> list[Document]:
        """The training curves so far; a last line that was cut short is left out."""
        return _read_lines(self._metrics)

    def finish(self, result: Document) -> None:
        """Write the result line, then the `done` marker; the training state is of no more use."""
        self._results.write_text(json.dumps(result) + "\n", encoding="utf-8")
        self._done.write_text("done\n", encoding="utf-8")
        self.checkpoint.unlink(missing_ok=True)

    def result(self) -> Document:
        """The result line of a finished run. Raises TrainingError."""
        self.require_done()
        return _read_lines(self._results)[-1]

    @property
    def _done(self) -> Path:
        return self.path / "done"

    @property
    def _metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def _results(self) -> Path:
        return self.path / "results.jsonl"


def find_runs(folder: Path) -> list[RunFolder]:
    """The finished runs at or below a folder, sorted by path."""
    return [
        RunFolder(file.parent)
        for file in sorted(folder.rglob("config.json"))
        if RunFolder(file.parent).is_done
    ]


def read_json(file: Path) -> Document:
    """A JSON object. Raises TrainingError when it is none."""
    try:
        document: Document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(f"{file} cannot be read: {error}") from error
    return document


def write_json(file: Path, document: Document) -> None:
    """Write beside its place, then rename."""
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    partial.replace(file)


def _append(file: Path, row: Document) -> None:
    with file.open("a", encoding="utf-8") as out:
        out.write(json.dumps(row) + "\n")


def _read_lines(file: Path) -> list[Document]:
    return list(_parse_lines(file)) if file.is_file() else []


def _parse_lines(file: Path) -> Iterator[Document]:
    for line in file.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.endswith("\n"):
            yield json.loads(line)


def _differences(old: Document, new: Document) -> list[str]:
    return sorted(
        key
        for key in {*old, *new}
        if json.dumps(old.get(key), sort_keys=True) != json.dumps(new.get(key), sort_keys=True)
    )
