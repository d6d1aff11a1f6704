"""Every link, form and chart of every page that can be reached leads somewhere."""

import re
from html import unescape
from typing import Any
from urllib.parse import urldefrag, urljoin

import pytest


@pytest.fixture
def vendor_database_url(sqlite_url: str) -> str:
    """SQLite alone: what is read is read on both engines by the pages' own tests."""
    return sqlite_url


def shape(address: str) -> str:
    """Addresses that differ in ids and values only are one page."""
    path, _, query = address.partition("?")
    path = re.sub(r"/(acct|chg|key|per|txn)_[0-9A-Za-z]+", r"/\1", path)
    names = sorted({part.partition("=")[0] for part in query.split("&") if part})
    return f"{path}?{'&'.join(names)}"


async def test_every_link_leads_somewhere(visitor_client: Any, vendor: Any) -> None:
    for word in ("a", "b", "b"):
        assert (await vendor.embed(word)).status_code == 200
    admin = await visitor_client("admin")
    todo, seen, ids = ["/dashboard"], {shape("/dashboard")}, dict[str, set[str]]()
    read = set[str]()
    while todo:
        address = todo.pop(0)
        answer = await admin.get(address)
        assert answer.status_code == 200, f"{address}: {answer.status_code}"
        ids[address] = set()
        if not answer.headers["content-type"].startswith("text/html"):
            continue
        plain = shape(address.partition("?")[0])
        if plain in read:  # a selection of a page whose links were followed
            continue
        read.add(plain)
        page = answer.text
        ids[address] = set(re.findall(r'\sid="([^"]*)"', page))
        for found in re.findall(r'\s(?:href|data-chart|hx-get)="([^"]+)"', page):
            target, fragment = urldefrag(urljoin(address, unescape(found)))
            if fragment and target == address:
                assert fragment in ids[address], f"{address} has no #{fragment}"
            if shape(target) not in seen:
                seen.add(shape(target))
                todo.append(target)
    assert len(read) > 20
    assert len(ids) > 40
