"""The committed faults still fit the code, so that `make mutate` breaks what it says it breaks."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parent.parent


def _load_runner():
    spec = importlib.util.spec_from_file_location("mutation_run", ROOT / "tests/mutation/run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_fault_fits_exactly_one_line_and_names_tests_that_exist():
    faults = _load_runner().read_faults()
    assert len(faults) >= 12
    assert len({fault.name for fault in faults}) == len(faults)
    for fault in faults:
        assert fault.find != fault.replace
        assert all((ROOT / test).exists() for test in fault.tests.split()), fault.name
