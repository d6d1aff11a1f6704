"""What an icon's name says: its drawing style, its plain name, the class it shows."""

import re
from dataclasses import dataclass
from functools import cached_property

from shared.icons.plan import Plan

_NUMBER = re.compile(r"-\d+(?=-|$)")
_LEFTOVER = re.compile(r"-(duotone|bold|rounded|sharp|twotone|round)$")
_MIXED = re.compile(r"duotone|broken|twotone|remix")


@dataclass(frozen=True)
class Naming:
    """Reads icon names by the plan's rules."""

    plan: Plan

    @cached_property
    def _skip(self) -> re.Pattern[str]:
        return re.compile(self.plan.document["skip_names"]["regex"])

    @cached_property
    def _suffixes(self) -> tuple[tuple[str, str], ...]:
        rules = self.plan.document["style_rules"]
        found = [(f"-{suffix}", "solid") for suffix in rules["solid_suffixes"]]
        found += [(f"-{suffix}", "line") for suffix in rules["line_suffixes"]]
        return tuple(sorted(found, key=lambda row: -len(row[0])))

    @cached_property
    def _class_of_word(self) -> dict[str, str]:
        known = {**self.plan.classes, **self.plan.other_classes}
        return {word: name for name, words in known.items() for word in words}

    def is_skipped(self, name: str) -> bool:
        """Whether the name is one of many near-copies (skin tones) or a flag."""
        return bool(self._skip.search(name))

    def style_of(self, icon_set: str, name: str) -> str:
        """The drawing style: shaded, flat, solid, line or other, by the plan's order of rules."""
        rules = self.plan.document["style_rules"]
        for style in ("shaded", "flat", "solid"):
            if icon_set in rules[f"{style}_sets"]:
                return style
        for suffix, style in self._suffixes:
            if name.endswith(suffix):
                return style
        if _MIXED.search(name):
            return "other"
        for style in ("solid", "line"):
            if icon_set in rules[f"{style}_by_default"]:
                return style
        return "other"

    def clean_name(self, name: str) -> str:
        """The name without sizes and style words, still hyphenated."""
        plain = _NUMBER.sub("", name)
        for suffix, _ in self._suffixes:
            if plain.endswith(suffix):
                plain = plain[: -len(suffix)]
                break
        return _LEFTOVER.sub("", plain)

    def concept_of(self, clean: str) -> str | None:
        """The one class or other concept that a clean name shows, or None if it is ambiguous."""
        words = clean.split("-")
        named = {self._class_of_word[word] for word in words if word in self._class_of_word}
        rest = [word for word in words if word not in self._class_of_word]
        if len(named) == 1 and all(self._is_modifier(word) for word in rest):
            return named.pop()
        return None

    def hits_class_word(self, clean: str, classes: dict[str, tuple[str, ...]]) -> bool:
        """Whether any word of the name belongs to any of `classes`."""
        words = {word for group in classes.values() for word in group}
        return any(part in words for part in clean.split("-"))

    def _is_modifier(self, word: str) -> bool:
        return word.isdigit() or word in self.plan.modifiers
