"""The committed plan: which icon sets at which version, which words make a class, which styles exist."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import Any


@dataclass(frozen=True)
class Package:
    """One pinned npm package of icons and the terms it may be used under."""

    name: str
    version: str
    licence: str
    role: str

    @property
    def icon_set(self) -> str:
        """The set's short name, as in `@iconify-json/tabler`."""
        return self.name.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Plan:
    """`plan.json`, read once; every rule about names and sets refers to it."""

    document: dict[str, Any]

    @cached_property
    def packages(self) -> tuple[Package, ...]:
        """Every icon package, in the plan's order."""
        return tuple(
            Package(row["package"], row["version"], row["licence"], row["role"])
            for row in self.document["packages"]
        )

    @cached_property
    def domains(self) -> tuple[str, ...]:
        """The drawing styles that serve as domains."""
        return tuple(self.document["domains"])

    @cached_property
    def client_sets(self) -> dict[str, tuple[str, ...]]:
        """Domain → the icon sets whose drawings of the classes belong to the client."""
        return {domain: tuple(self.document["client_sets"][domain]) for domain in self.domains}

    @cached_property
    def final_sets(self) -> dict[str, tuple[str, ...]]:
        """Style kept for one last test → its icon sets; the teacher's data holds them too."""
        return {style: tuple(sets) for style, sets in _lists(self.document["final_sets"])}

    @cached_property
    def name_prefixes(self) -> dict[str, tuple[str, ...]]:
        """Icon set of a final style → what it puts before its names, longest first."""
        return {
            icon_set: tuple(sorted(words, key=len, reverse=True))
            for icon_set, words in _lists(self.document["name_prefixes"])
        }

    @cached_property
    def styles(self) -> dict[str, tuple[str, ...]]:
        """Every style that can be rendered → its icon sets: the domains, then the final ones."""
        return self.client_sets | self.final_sets

    @cached_property
    def classes(self) -> dict[str, tuple[str, ...]]:
        """Class → the words that name it."""
        return {name: tuple(words) for name, words in self.document["classes"].items()}

    @cached_property
    def other_classes(self) -> dict[str, tuple[str, ...]]:
        """Concepts outside the classes → their words; used to reject ambiguous names and to validate."""
        return {name: tuple(words) for name, words in self.document["other_class_words"].items()}

    @cached_property
    def modifiers(self) -> frozenset[str]:
        """Words that may stand beside a class word without changing the class."""
        return frozenset(self.document["modifiers"])

    @cached_property
    def reserved_sets(self) -> frozenset[str]:
        """Client sets and their twins: their drawings of the classes never reach the teacher."""
        owned = {name for sets in self.client_sets.values() for name in sets}
        twins = {twin for sets in self.document["twin_sets"].values() for twin in sets}
        return frozenset(owned | twins)

    def versions(self, sets: "frozenset[str] | None" = None) -> dict[str, str]:
        """npm package → pinned version, for all packages or only those of `sets`."""
        return {
            package.name: package.version
            for package in self.packages
            if sets is None or package.icon_set in sets
        }


def _lists(entry: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """The entry's lists; a `note` beside them is for people."""
    return ((name, value) for name, value in entry.items() if isinstance(value, list))


def load_plan() -> Plan:
    """The plan that ships with the project."""
    return Plan(json.loads((files("shared.icons") / "plan.json").read_text(encoding="utf-8")))
