"""What `vl2v fetch` was asked for, as plain values."""

from dataclasses import dataclass
from pathlib import Path

from client.cache import Purpose
from client.cli.narrowing import Narrowing
from client.data import PromptStyle
from client.settings import Upload
from client.teachers import NO_TERMS, Terms

__all__ = ["FetchOrder"]


@dataclass(frozen=True, slots=True)
class FetchOrder:
    """What the user asked for."""

    data: Path
    model: str
    cap_nanousd: int | None
    targets: tuple[str, ...]
    purpose: Purpose
    templates: tuple[str, ...]
    prompts: PromptStyle
    split_seed: int
    run: str | None
    project: str | None
    """The run shares its cap; None leaves the run where it is."""
    dry_run: bool
    in_flight: int | None
    """Requests at once at most; None for the usual."""
    narrowing: Narrowing
    descriptions: Path | None = None
    captions: Path | None = None
    teacher: str | None = None
    """None: what the settings say."""
    terms: Terms = NO_TERMS
    upload: Upload | None = None
    """None: what the settings say."""

    @property
    def compares(self) -> bool:
        """Whether all pictures are in memory together: to choose among them, or to caption them."""
        return self.narrowing.narrows or self.captions is not None
