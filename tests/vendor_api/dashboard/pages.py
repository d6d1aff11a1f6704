"""What tests read off a page."""

import html
import re


def cells(page: str, row_id: str) -> list[str]:
    """The texts of one table row."""
    match = re.search(rf'<tr id="{re.escape(row_id)}".*?</tr>', page, re.DOTALL)
    assert match is not None, f"there is no row {row_id}"
    return [strip(cell) for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", match[0], re.DOTALL)]


def rows(page: str, table_id: str) -> list[list[str]]:
    """The texts of a table's body, row by row."""
    match = re.search(rf'<table id="{table_id}">.*?<tbody>(.*?)</tbody>', page, re.DOTALL)
    assert match is not None, f"there is no table {table_id}"
    return [
        [strip(cell) for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL)]
        for row in re.findall(r"<tr.*?</tr>", match[1], re.DOTALL)
    ]


def facts(page: str) -> dict[str, str]:
    """The pairs of every `dl` of the page."""
    found = re.findall(r"<dt>(.*?)</dt>\s*<dd[^>]*>(.*?)</dd>", page, re.DOTALL)
    return {strip(name): strip(value) for name, value in found}


def tiles(page: str) -> dict[str, str]:
    """The tiles' values by their titles."""
    found = re.findall(
        r'<p class="tile-title">(.*?)</p><p class="tile-value">(.*?)</p>', page, re.DOTALL
    )
    return {strip(name): strip(value) for name, value in found}


def typed(page: str) -> dict[str, str]:
    """What stands in the inputs, by name."""
    inputs = re.findall(r"<input [^>]*>", page)
    found = {}
    for each in inputs:
        name = re.search(r'name="([^"]*)"', each)
        value = re.search(r'value="([^"]*)"', each)
        if name and value and name[1] != "csrf":
            found[name[1]] = html.unescape(value[1])
    return found


def wrongs(page: str) -> dict[str, str]:
    """What is said to be wrong, by field."""
    found = re.findall(r'<p class="wrong" id="([^"]*)-hint">(.*?)</p>', page, re.DOTALL)
    return {name: strip(text) for name, text in found}


def strip(text: str) -> str:
    """The words without their tags."""
    return html.unescape(re.sub(r"<[^>]+>", "", text)).strip()
