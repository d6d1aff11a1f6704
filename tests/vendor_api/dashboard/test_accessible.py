"""Every page is one that a keyboard and a screen reader can use, and that no script is written into."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import pytest
from fastapi.routing import iter_route_contexts

VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source"}
UNLABELLED = {"hidden", "submit", "button"}


@pytest.fixture
def vendor_database_url(sqlite_url: str) -> str:
    return sqlite_url


@dataclass
class Element:
    """One element, and what it stands in."""

    tag: str
    attributes: dict[str, str]
    parents: list["Element"]
    words: str = ""

    def inside(self, tag: str) -> bool:
        return any(parent.tag == tag for parent in self.parents)


@dataclass
class Page(HTMLParser):
    """Every element of a page, in order."""

    elements: list[Element] = field(default_factory=list)
    stack: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        assert len(named) == len(attrs), f"an attribute stands twice: {attrs}"
        element = Element(tag, named, [*self.stack])
        self.elements.append(element)
        if tag not in VOID:
            self.stack.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack, f"</{tag}> closes nothing"
        assert self.stack[-1].tag == tag, f"</{tag}> closes {self.stack[-1]}"
        self.stack.pop()

    def handle_data(self, data: str) -> None:
        for element in self.stack:
            element.words += data

    def all(self, *tags: str) -> list[Element]:
        return [element for element in self.elements if element.tag in tags]


def parse(text: str) -> Page:
    page = Page()
    page.feed(text)
    page.close()
    assert not page.stack, f"never closed: {page.stack[-1].tag}"
    return page


def check(text: str) -> None:
    """Raises AssertionError, saying what is missing."""
    page = parse(text)
    (html,) = page.all("html")
    assert html.attributes.get("lang") == "en"
    for tag in ("h1", "title"):
        found = page.all(tag)
        assert len(found) == 1, f"{len(found)} times {tag}"
        assert found[0].words.strip()
    assert len(page.all("main")) == 1
    _check_nothing_inline(page)
    _check_labels(page)
    _check_tables(page)
    _check_names(page)


def _check_nothing_inline(page: Page) -> None:
    for element in page.elements:
        forbidden = {
            name for name in element.attributes if name.startswith("on") or name == "style"
        }
        assert not forbidden, f"{element.tag} has {forbidden}"
        assert element.tag != "style"
        if element.tag == "script":
            assert element.attributes["src"].startswith("/dashboard/static/")
            assert not element.words.strip()
        for name in ("href", "src", "action"):
            assert not element.attributes.get(name, "").lower().startswith("javascript:")


def _check_labels(page: Page) -> None:
    ids = [element.attributes["id"] for element in page.elements if "id" in element.attributes]
    assert len(ids) == len(set(ids)), f"an id stands twice: {sorted(ids)}"
    labelled = {each.attributes.get("for") for each in page.all("label") if each.words.strip()}
    for element in page.all("input", "select", "textarea"):
        if element.attributes.get("type") in UNLABELLED:
            continue
        named = element.attributes.get("id") in labelled or element.inside("label")
        assert named or element.attributes.get("aria-label"), f"no label: {element.attributes}"
    for element in page.elements:
        for name in ("aria-describedby", "aria-labelledby", "for"):
            for wanted in element.attributes.get(name, "").split():
                assert wanted in ids, f"{element.tag} {name} names no id: {wanted}"
    for fieldset in page.all("fieldset"):
        assert any(fieldset in each.parents for each in page.all("legend")), fieldset.attributes


def _check_tables(page: Page) -> None:
    for table in page.all("table"):
        captions = [each for each in page.all("caption") if table in each.parents]
        assert len(captions) == 1
        assert captions[0].words.strip()
        headings = [each for each in page.all("th") if table in each.parents]
        assert all(each.attributes.get("scope") in ("col", "row") for each in headings)
        for row in (each for each in page.all("tr") if table in each.parents):
            first = [each for each in page.all("th", "td") if row in each.parents]
            assert first
            assert first[0].tag == "th"


def _check_names(page: Page) -> None:
    for element in page.all("a", "button"):
        named = element.words.strip() or element.attributes.get("aria-label")
        assert named, f"{element.tag} without words: {element.attributes}"
    for image in page.all("img"):
        assert "alt" in image.attributes


def list_pages(app: Any) -> set[str]:
    """Addresses below /dashboard that a browser may open as they are."""
    paths = [str(r.path) for r in iter_route_contexts(app.routes) if "GET" in (r.methods or ())]
    return {path for path in paths if path.startswith("/dashboard") and "{" not in path}


async def test_every_page_can_be_read_and_used_without_a_mouse(
    visitor_client: Any, vendor: Any, shop: Any, api_key: Any
) -> None:
    await vendor.embed("a", "b")
    admin = await visitor_client("admin")
    account = f"/dashboard/accounts/{admin.account_id}"
    key = f"/dashboard/keys/{api_key.key_id}"
    await admin.post(f"{key}/caps", {"items_per_day": "9"})
    pages = [
        "/dashboard/accounts?q=nobody",
        account,
        f"{account}?done=frozen",
        *(f"{account}/{form}" for form in ("credits", "adjustments", "freeze", "unfreeze")),
        *(f"{account}/{form}" for form in ("credit-limit", "low-balance", "close")),
        key,
        *(f"{key}/{form}" for form in ("rotate", "revoke", "limits", "caps")),
        "/dashboard/prices/what-if?model=icon-clip&text_usd=1&days=3",
    ]
    for path in pages:
        answer = await admin.get(path)
        assert answer.status_code == 200, path
        check(answer.text)
        assert await admin.json(path)


async def test_every_page_without_a_name_in_its_address_can_be_too(
    visitor_client: Any, vendor: Any
) -> None:
    await vendor.embed("a", "b")
    admin = await visitor_client("admin")
    paths = list_pages(vendor.app)
    assert {"/dashboard", "/dashboard/accounts", "/dashboard/keys", "/dashboard/prices"} <= paths
    for path in sorted(paths):
        answer = await admin.get(path)
        if "text/html" in answer.headers.get("content-type", "") and "<html" in answer.text:
            assert answer.status_code == 200, path
            check(answer.text)


async def test_what_is_answered_to_a_form_is_too(visitor_client: Any, api_key: Any) -> None:
    admin = await visitor_client("admin")
    account = f"/dashboard/accounts/{admin.account_id}"
    posts: list[tuple[str, dict[str, str], int]] = [
        (f"{account}/credits", {"amount_usd": "x"}, 400),
        (f"{account}/credits", {"amount_usd": "1", "external_ref": "r", "kind": "credit"}, 200),
        (f"{account}/close", {"reason": "asked for it"}, 200),
        ("/dashboard/accounts", {"name": "ada"}, 409),
        ("/dashboard/keys", {"account": "nobody"}, 400),
        ("/dashboard/keys", {"account": "ada", "scopes": "embed"}, 201),
        (f"/dashboard/keys/{api_key.key_id}/rotate", {"overlap": "1h"}, 201),
        (f"/dashboard/keys/{api_key.key_id}/revoke", {}, 200),
        ("/dashboard/prices", {"model": "icon-clip", "text_usd": "x", "days": "3"}, 400),
    ]
    for path, fields, status in posts:
        answer = await admin.post(path, fields)
        assert answer.status_code == status, path
        check(answer.text)


@pytest.mark.parametrize(
    "wrong",
    [
        '<input id="q" name="q">',
        '<label for="r">R</label><input id="q" name="q">',
        "<table><tr><th>A</th></tr></table>",
        "<h1>Twice</h1>",
        '<p style="color: red">red</p>',
        '<button onclick="go()">Go</button>',
        "<script>go()</script>",
        '<a href="/dashboard"></a>',
        "<div><p>crossed</div></p>",
        '<p id="main">the id stands twice</p>',
    ],
)
def test_what_is_missing_is_found(wrong: str) -> None:
    page = (
        '<html lang="en"><head><title>T</title></head>'
        '<body><main id="main"><h1>T</h1>{}</main></body></html>'
    )
    check(page.format("<p>all is well</p>"))
    with pytest.raises((AssertionError, KeyError)):
        check(page.format(wrong))
