"""Killed between any two steps of a purchase, the next fetch completes and nothing is paid twice.

The stand-in forgives nothing here: an item sold under two keys would be charged twice.
"""

from pathlib import Path

import pytest

from client.budget import Budgets, Journal
from client.cache import EmbeddingStore
from client.failpoints import KILLED
from tests.client.conftest import Command
from tests.client.pictures import write_folders
from tests.client.standin import IMAGE_NANOUSD, TEXT_NANOUSD, StandInVendor

STEPS = ["planned", "loaded", "sent", "answered", "stored", "receipt", "settled"]


@pytest.fixture
def many(tmp_path: Path) -> Path:
    return write_folders(tmp_path / "many", domains=("line",), classes=("cat", "dog"), each=100)


def fetch(command: Command, data: Path, **environment: str):
    arguments = ("fetch", str(data), "--model", "toy", "--budget", "0.02")
    return command.run(*arguments, **environment)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("time", [1, 3])
def test_a_crash_at_any_step_is_completed_and_charged_once(
    command: Command,
    many: Path,
    vendor: StandInVendor,
    store: EmbeddingStore,
    step: str,
    time: int,
) -> None:
    assert fetch(command, many, VL2V_FAILPOINT=f"{step}:{time}").returncode == KILLED
    done = fetch(command, many)
    assert done.returncode == 0, done.stderr
    assert len(vendor.sold) == len(set(vendor.sold)) == store.count()
    images = store.count(modality="image")
    assert vendor.debited == images * IMAGE_NANOUSD + 2 * TEXT_NANOUSD
    journal = Journal(store.database)
    assert sum(total.cost_nanousd for total in journal.totals()) == vendor.debited
    again = fetch(command, many)
    assert "0 to buy" in again.stdout
    run = again.stdout.split("run ")[1].split()[0]
    assert journal.unfinished(run) == []
    budget = Budgets(store.database).get(run)
    assert budget is not None
    assert (budget.held_nanousd, budget.spent_nanousd) == (0, vendor.debited)


def test_crash_after_crash_at_recovery_itself_still_charges_once(
    command: Command, many: Path, vendor: StandInVendor, store: EmbeddingStore
) -> None:
    for step in ("answered:2", "answered:1", "stored:1", "receipt:1", "sent:1"):
        fetch(command, many, VL2V_FAILPOINT=step)
    assert fetch(command, many).returncode == 0
    assert len(vendor.sold) == len(set(vendor.sold)) == store.count()


@pytest.mark.parametrize("step", ["sent", "answered", "stored"])
def test_recovery_without_the_files_settles_by_the_vendors_record(
    command: Command, many: Path, vendor: StandInVendor, store: EmbeddingStore, step: str
) -> None:
    # The second request is the first of images: texts can always be sent again. Items whose
    # neighbours vanished are bought anew, which this vendor forgives.
    vendor.rebuy_free = True
    assert fetch(command, many, VL2V_FAILPOINT=f"{step}:2").returncode == KILLED
    for file in sorted((many / "line" / "cat").iterdir())[10:]:
        file.unlink()
    done = fetch(command, many)
    assert done.returncode == 0, done.stderr
    assert "sums agree" in command.run("doctor").stdout
    journal = Journal(store.database)
    assert sum(total.cost_nanousd for total in journal.totals()) == vendor.debited
