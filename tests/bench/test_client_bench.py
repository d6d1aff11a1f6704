"""The client's bench runs from end to end; what it measures depends on the machine, so nothing here does."""

import json

import pytest

from tests.bench.client import PARTS, main, show


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_measured_and_put_into_words(capsys, part):
    main(["--quick", "--json", "--only", part])
    report = json.loads(capsys.readouterr().out)
    found = report[part]
    assert "cores" in report["machine"]
    assert {
        "cached": lambda: found["seconds"] > 0,
        "throughput": lambda: found["ratio"] > 0 and found["at_once"] == 2,
        "teacher": lambda: found["ratio"] > 0,
        "trace": lambda: found["stopped"] is None and found["in_flight"]["trace"],
        "memory": lambda: all(peak > 10 for peak in found["peak_mb"]),
    }[part]()
    said = show(part, found)
    assert ("requests in flight" if part == "trace" else "goal") in said
