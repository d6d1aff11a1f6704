"""A strict parser of the part of RFC 9651 that rate limit headers use: lists of items of strings,
tokens and integers with parameters. Anything else is an error."""

import re

Value = str | int
Item = tuple[str, dict[str, Value]]

_STRING = re.compile(r'"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_INTEGER = re.compile(r"-?[0-9]{1,15}(?![0-9.])")
_KEY = re.compile(r"[a-z*][a-z0-9_\-.*]*")

__all__ = ["parse_list"]


def parse_list(text: str) -> dict[str, dict[str, Value]]:
    """Item → parameters. Raises ValueError for what is no list of string items."""
    found: dict[str, dict[str, Value]] = {}
    place = 0
    while True:
        name, place = _match(_STRING, text, place)
        if name in found:
            raise ValueError(f"{name} stands there twice")
        found[name], place = _parameters(text, place)
        if place == len(text):
            return found
        separator = re.compile(r"[ \t]*,[ \t]*").match(text, place)
        if separator is None or separator.end() == len(text):
            raise ValueError(f"no next item at {place} of {text!r}")
        place = separator.end()


def _parameters(text: str, place: int) -> tuple[dict[str, Value], int]:
    found: dict[str, Value] = {}
    while place < len(text) and text[place] == ";":
        place += 1
        while place < len(text) and text[place] == " ":
            place += 1
        key, place = _match(_KEY, text, place)
        if place == len(text) or text[place] != "=":
            raise ValueError(f"{key} has no value")
        place += 1
        if text[place : place + 1] == '"':
            found[key], place = _match(_STRING, text, place)
        else:
            digits, place = _match(_INTEGER, text, place)
            found[key] = int(digits)
    return found, place


def _match(pattern: re.Pattern[str], text: str, place: int) -> tuple[str, int]:
    match = pattern.match(text, place)
    if match is None:
        raise ValueError(f"{pattern.pattern} is not at {place} of {text!r}")
    return match[match.lastindex or 0], match.end()
