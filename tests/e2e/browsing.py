"""A real Chromium over a real server, that remembers everything a browser complains of."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from vendor_api.dashboard.visitors import COOKIE

SERIOUS = {"serious", "critical"}
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 800}

_WATCH = """
window.vl2vViolations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.vl2vViolations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`);
});
"""


def find_chromium() -> str:
    """The browser of this machine; a test that needs one fails without it."""
    named = os.environ.get("CHROMIUM", "")
    found = named or shutil.which("chromium") or shutil.which("chromium-browser")
    assert found, "there is no chromium: apt-get install chromium, or set CHROMIUM to its path"
    assert Path(found).exists(), f"CHROMIUM names {found}, which is not there"
    return found


@contextmanager
def open_chromium() -> Iterator[Browser]:
    """The browser, closed afterwards."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@dataclass
class Tab:
    """One page of the browser, and what it complained of."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    @staticmethod
    def open(browser: Browser, address: str, **options: Any) -> "Tab":
        """A fresh browser profile at the server."""
        context = browser.new_context(base_url=address, **options)
        context.add_init_script(_WATCH)
        tab = Tab(context.new_page())
        tab.page.on("console", tab._hear)
        tab.page.on("pageerror", lambda error: tab.complaints.append(f"error: {error}"))
        return tab

    def become(self, token: str, address: str) -> None:
        """Have the session of that token."""
        self.page.context.add_cookies(
            [{"name": COOKIE, "value": token, "url": f"{address}/dashboard"}]
        )

    def _hear(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text} ({message.location})")

    def goto(self, path: str, status: int = 200) -> None:
        """Open a page of the server."""
        answer = self.page.goto(path)
        assert answer is not None
        assert answer.status == status, f"{path}: {answer.status}"

    def check(self) -> None:
        """Nothing on the console, and nothing that the content security policy forbids."""
        blocked = self.page.evaluate("window.vl2vViolations")
        assert not blocked, f"{self.page.url}: {blocked}"
        assert not self.complaints, f"{self.page.url}: {self.complaints}"

    def examine(self) -> None:
        """No serious fault for who uses a keyboard or a screen reader, and nothing wider than the page."""
        self.check()
        found = Axe().run(self.page).response["violations"]
        # axe itself puts a style into the page: what it does there is none of ours.
        self.complaints.clear()
        self.page.evaluate("window.vl2vViolations = []")
        faults = [
            f"{each['id']}: {each['help']}: {[node['html'] for node in each['nodes']][:3]}"
            for each in found
            if each["impact"] in SERIOUS
        ]
        assert not faults, f"{self.page.url}: {faults}"
        width = self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert width <= 0, f"{self.page.url} is {width} pixels wider than the screen"
