"""Every kind of teacher, opened the way a command opens it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from client.settings import ClientSettings
from client.teachers import Teacher, Terms, VendorTeacher, open_teacher
from tests.client.standin import StandInVendor
from tests.client.teachers.infinity import StandInInfinity

URL = "http://127.0.0.1:7997"
OpenInfinity = Callable[..., Teacher]


@pytest.fixture
def infinity() -> StandInInfinity:
    return StandInInfinity()


@pytest.fixture
def open_infinity(infinity: StandInInfinity) -> OpenInfinity:
    """The endpoint as a teacher, under the terms given."""

    def open_(url: str = URL, key: str | None = None, **terms: Any) -> Teacher:
        settings = ClientSettings.load(teacher_api_key=key)
        transport = infinity.transport()
        return open_teacher(
            f"openai:{url}", settings, Terms(**terms), transport=transport, sleep=lambda _: None
        )

    return open_


@pytest.fixture(params=["vendor", "openai", "local"])
def teacher(
    request: pytest.FixtureRequest, open_infinity: OpenInfinity, clip_folder: Path
) -> Teacher:
    if request.param == "vendor":
        return VendorTeacher(StandInVendor().client(sleep=lambda _: None))
    if request.param == "openai":
        return open_infinity(item_price_nanousd=5)
    settings = ClientSettings.load()
    return open_teacher(f"local:local-dir:{clip_folder}", settings, Terms(item_price_nanousd=5))


@pytest.fixture
def model(teacher: Teacher) -> str:
    """What to type after --model for it."""
    return "toy" if teacher.metered else ""
