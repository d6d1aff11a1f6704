"""Figures as other programs read them: money as decimal dollars, instants as ISO 8601 in UTC."""

from dataclasses import fields, is_dataclass
from typing import Any

from shared.money import format_usd
from vendor_api.db import format_instant

_INSTANTS = {"at", "as_of", "since", "until"}

__all__ = ["describe", "describe_cells"]


def describe(report: Any) -> Any:
    """The report as JSON carries it: `*_nanousd` becomes `*_usd` with nine decimals."""
    if is_dataclass(report) and not isinstance(report, type):
        pairs = [(field.name, getattr(report, field.name)) for field in fields(report)]
        return dict(_describe_pair(name, value) for name, value in pairs)
    if isinstance(report, dict):
        return dict(_describe_pair(name, value) for name, value in report.items())
    if isinstance(report, list | tuple):
        return [describe(each) for each in report]
    return report


def describe_cells(report: Any) -> dict[str, Any]:
    """A row for a file: like `describe`, with each amount in whole nano-dollars beside it."""
    cells: dict[str, Any] = {}
    for field in fields(report):
        value = getattr(report, field.name)
        if field.name.endswith("_nanousd"):
            cells[field.name] = value
        name, described = _describe_pair(field.name, value)
        cells[name] = described
    return cells


def _describe_pair(name: str, value: Any) -> tuple[str, Any]:
    if name.endswith("_nanousd"):
        shown = f"{name.removesuffix('_nanousd')}_usd"
        return shown, None if value is None else format_usd(value)
    if isinstance(value, int) and (name in _INSTANTS or name.endswith("_at")):
        return name, format_instant(value)
    return name, describe(value)
