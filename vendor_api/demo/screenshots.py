"""Pictures of every page of the dashboard over a made-up month: light and dark, desktop and phone."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from PIL import Image
from rich.console import Console
from rich.progress import track
from sqlalchemy import select

from shared.migrating import upgrade
from vendor_api.auth.pepper import open_pepper
from vendor_api.auth.repository import issue_key
from vendor_api.dashboard.navigation import PAGES
from vendor_api.dashboard.visitors import COOKIE
from vendor_api.db import open_database, read_clock
from vendor_api.db.tables import account, api_key, charge
from vendor_api.demo.customers import CUSTOMERS, PEOPLE
from vendor_api.demo.seed import CHARGES, plant
from vendor_api.people.roster import find_named
from vendor_api.people.sessions import open_session

if TYPE_CHECKING:
    from playwright.sync_api import Browser

MODEL = "icon-clip"
TEACHER = Path(__file__).parent / "teacher"
QUALITY = 45
"""WebP's, of 100."""

Scheme = Literal["light", "dark"]

_log = Console(stderr=True)

__all__ = ["Shot", "main", "plan_shots", "take_shots"]


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture to take."""

    name: str
    path: str
    scheme: Scheme
    phone: bool
    logged_in: bool = True

    @property
    def file(self) -> str:
        """Its file's name."""
        return f"{self.name}-{'phone' if self.phone else 'desktop'}-{self.scheme}.webp"


@dataclass(frozen=True, slots=True)
class Stage:
    """A made-up vendor: who is logged in, and what single pages show."""

    session: str
    key: str
    account_id: str
    charge_id: str
    key_id: str


def plan_shots(stage: Stage) -> Iterator[Shot]:
    """Every page of the menu, one account, charge and key, and the login, each four times."""
    paths = [(page.title.lower().replace(" ", "-"), page.path, True) for page in PAGES]
    paths += [
        ("account", f"/dashboard/accounts/{stage.account_id}", True),
        ("charge", f"/dashboard/charges/{stage.charge_id}", True),
        ("key", f"/dashboard/keys/{stage.key_id}", True),
        ("login", "/dashboard/login", False),
    ]
    schemes: tuple[Scheme, ...] = ("light", "dark")
    for name, path, logged_in in paths:
        for phone in (False, True):
            for scheme in schemes:
                yield Shot(name, path, scheme, phone, logged_in)


def take_shots(
    browser: "Browser", address: str, session: str, shots: Sequence[Shot], out: Path
) -> int:
    """Take each picture into the folder; their bytes together."""
    total = 0
    for shot in track(shots, "taking pictures", console=_log):
        size = {"width": 390, "height": 844} if shot.phone else {"width": 1280, "height": 800}
        context = browser.new_context(
            viewport=size,  # type: ignore[arg-type]
            color_scheme=shot.scheme,
            has_touch=shot.phone,
            base_url=address,
        )
        if shot.logged_in:
            context.add_cookies([{"name": COOKIE, "value": session, "url": f"{address}/dashboard"}])
        page = context.new_page()
        answer = page.goto(shot.path, wait_until="networkidle")
        if answer is None or answer.status != 200:
            raise RuntimeError(f"{shot.path} was answered {answer and answer.status}")
        picture = Image.open(BytesIO(page.screenshot()))
        picture.save(out / shot.file, "WEBP", quality=QUALITY, method=6)
        total += (out / shot.file).stat().st_size
        context.close()
    return total


@contextmanager
def serve(database_url: str, model: str = f"{MODEL}=local-dir:{TEACHER}") -> Iterator[str]:
    """The address of a server of that database, in a process of its own."""
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "vendor_api.cli", "serve", "--model", model, "--port", "0"],
        env=os.environ | {"VENDOR_DATABASE_URL": database_url, "VENDOR_LOG_LEVEL": "warning"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        if process.stdout is None:
            raise RuntimeError("the server has no output")
        line = process.stdout.readline()
        if " ready at http" not in line:
            raise RuntimeError("the server did not start: its reason is above")
        yield line.split()[3]
    finally:
        process.terminate()
        process.wait(60)


def set_stage(database_url: str, charges: int) -> Stage:
    """Plant the month, log an admin in, and make a key that buys."""
    upgrade("vendor", database_url)
    pepper = open_pepper(database_url)
    database = open_database(database_url)
    days = iter(track(range(30), "planting a month", console=_log))
    plant(database, pepper, charges=charges, on_day=lambda _day: next(days, None))
    with database.write() as connection:
        now = read_clock(connection)
        who = find_named(connection, PEOPLE[0][0])
        if who is None:
            raise RuntimeError("the month has no admin")
        first = select(account.c.id).where(account.c.name == CUSTOMERS[0].name)
        account_id = connection.execute(first).scalar_one()
        charge_id = connection.execute(
            select(charge.c.id)
            .where(charge.c.account_id == account_id, charge.c.refunded_nanousd == 0)
            .where(charge.c.state == "captured", charge.c.images > 0, charge.c.texts > 0)
            .order_by(charge.c.id.desc())
            .limit(1)
        ).scalar_one()
        key_id = connection.execute(
            select(api_key.c.id).where(api_key.c.account_id == account_id).limit(1)
        ).scalar_one()
        stage = Stage(
            session=open_session(connection, now, who[0].id, agent="screenshots"),
            key=issue_key(connection, now, pepper, account_id, name="live").text,
            account_id=account_id,
            charge_id=charge_id,
            key_id=key_id,
        )
    database.close()
    return stage


def buy(address: str, key: str, requests: int = 60) -> None:
    """Real requests, so that the first page has something to show."""
    for n in track(range(requests), "buying", console=_log):
        body = {"model": MODEL, "input": [f"a drawing of a {n} {word}" for word in ["cat", "dog"]]}
        request = urllib.request.Request(  # noqa: S310
            f"{address}/v1/embeddings",
            json.dumps(body).encode(),
            {"authorization": f"Bearer {key}", "content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            answer.read()


def main(
    out: Annotated[Path, typer.Option(help="Folder for the pictures; made when missing.")],
    charges: Annotated[int, typer.Option(help="Requests of the made-up month.")] = CHARGES,
    browser: Annotated[
        str, typer.Option(help="The Chromium to take them with: a command or its path.")
    ] = "chromium",
    only: Annotated[
        list[str] | None, typer.Option(help="Names of pages, may repeat; all unless said.")
    ] = None,
) -> None:
    """Take a picture of every page: light and dark, desktop and phone.

    Example: python -m vendor_api.demo.screenshots --out pictures --only now --only account
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise typer.BadParameter("this needs playwright: pip install 'vl2v[dev]'") from error
    program = shutil.which(browser)
    if program is None:
        raise typer.BadParameter(f"there is no {browser}: apt-get install chromium, or --browser")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="vl2v-pictures-") as folder:
        url = f"sqlite:///{folder}/vendor.db"
        stage = set_stage(url, charges)
        shots = [shot for shot in plan_shots(stage) if not only or shot.name in only]
        with serve(url) as address, sync_playwright() as playwright:
            buy(address, stage.key)
            chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
            total = take_shots(chromium, address, stage.session, shots, out)
            chromium.close()
    typer.echo(f"{len(shots)} pictures, {total / 1e6:.2f} MB, in {out}")


if __name__ == "__main__":
    typer.run(main)
