"""What can stop a training, each as one sentence that says what to type next."""

import difflib
from collections.abc import Iterable

from client.errors import ClientError, UsageError

__all__ = ["Interrupted", "MissingVectors", "TrainingError", "UnknownName", "check_name"]


class TrainingError(ClientError):
    """The command cannot go on; the message says why and what to do."""


class UnknownName(UsageError):
    """A name on the command line that means nothing here."""


class MissingVectors(TrainingError):
    """The cache lacks embeddings that the method reads."""


class Interrupted(TrainingError):
    """Stopped by Ctrl-C after the state was saved."""

    exit_code = 130


def check_name(kind: str, name: str, known: Iterable[str]) -> str:
    """`name`, when it is one of `known`. Raises UnknownName with the closest ones, or all of a few."""
    options = list(known)
    if name in options:
        return name
    close = difflib.get_close_matches(name, options, n=5, cutoff=0.5)
    if close:
        raise UnknownName(f"unknown {kind} {name!r}: did you mean {', '.join(close)}?")
    few = f": choose one of {', '.join(options)}" if len(options) <= 12 else ""
    raise UnknownName(f"unknown {kind} {name!r}{few}")
