"""Failpoints: silent unless armed, exact in their counting, refused when misspelt."""

import os
import signal
import subprocess
import sys

import pytest

from vendor_api import failpoints
from vendor_api.refusal import Refusal


def passes(name: str, times: int) -> list[bool]:
    """Whether each time of coming by raised."""
    raised = []
    for _ in range(times):
        try:
            failpoints.reach(name)
        except failpoints.FailpointError:
            raised.append(True)
        else:
            raised.append(False)
    return raised


def test_nothing_happens_unless_armed() -> None:
    assert passes("after_reserve", 2) == [False, False]
    assert not failpoints.is_armed("after_reserve")


@pytest.mark.parametrize(
    ("term", "raised"),
    [
        ("after_reserve=error", [True, True, True]),
        ("after_reserve=error@2", [False, True, False]),
        ("after_reserve=error@2+", [False, True, True]),
        ("mid_forward=error", [False, False, False]),
        ("mid_forward=error, after_reserve=error@3", [False, False, True]),
    ],
)
def test_a_count_says_which_time(term: str, raised: list[bool]) -> None:
    with failpoints.armed(term):
        assert passes("after_reserve", 3) == raised
    assert passes("after_reserve", 1) == [False]


@pytest.mark.parametrize("term", ["after_lunch=kill", "after_reserve=explode", "after_reserve"])
def test_what_is_no_failpoint_is_refused_with_the_list_of_names(term: str) -> None:
    with pytest.raises(Refusal) as caught:
        failpoints.arm(term)
    assert all(name in str(caught.value) for name in failpoints.NAMES)


def test_the_environment_arms_and_kill_is_a_kill() -> None:
    code = "from vendor_api import failpoints as f; f.arm(); f.reach('mid_body'); print('alive')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, failpoints.VARIABLE: "mid_body=kill"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    assert done.stdout == b""


async def test_a_sleep_lets_others_go_on() -> None:
    with failpoints.armed("after_reserve=sleep:0.01"):
        await failpoints.pause("after_reserve")
        failpoints.reach("after_reserve")
