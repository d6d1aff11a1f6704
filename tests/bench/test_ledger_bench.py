"""The ledger's bench runs from end to end; what it measures depends on the machine, so nothing here does."""

import gc
import json

import pytest

from tests.bench.ledger import main
from vendor_api.ledger.writer import GROUP_LIMIT

TINY = ["--seconds", "0.05", "--rounds", "1", "--items", "2", "--callers", "3"]


@pytest.fixture(autouse=True)
def _the_collector_as_it_was():
    """The bench calms it as a server does; other tests want leaks found."""
    threshold = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_it_reports_both_group_limits(capsys, engine):
    # Not below pytest's own folder: each new session closes that to the server's user.
    main([*TINY, "--engines", engine, "--json"])
    report = json.loads(capsys.readouterr().out)
    (cell,) = report["cells"]
    assert (cell["engine"], cell["items"], cell["callers"]) == (engine, 2, 3)
    assert set(cell["charges_per_s"]) == {str(GROUP_LIMIT), "1"}
    assert cell["commands_per_commit"]["1"] == 1
    assert all(run["charges"] > 0 for runs in cell["runs"].values() for run in runs)
    assert "flushes/s" in report["machine"]


def test_it_prints_a_table(capsys, tmp_path):
    main([*TINY, "--engines", "sqlite", "--dir", str(tmp_path)])
    *_, line = capsys.readouterr().out.strip().splitlines()
    assert line.startswith("| sqlite | 2 | 3 |")
