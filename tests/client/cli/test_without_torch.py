"""A fetch needs no training library: it runs where none can be imported."""

import os
import subprocess
import sys
from pathlib import Path

from tests.client.conftest import Command
from tests.client.standin import StandInVendor

SCRIPT = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "timm", "open_clip", "vendor_api"):
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
from client.cli import app
try:
    app(sys.argv[1:])
except SystemExit as end:
    assert "torch" not in sys.modules
    sys.exit(end.code)
"""


def test_fetch_completes_without_torch(command: Command, data: Path, vendor: StandInVendor) -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "fetch", str(data), "--model", "toy", "--budget", "1"],
        env=environment | command.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(vendor.sold) == 14
