"""What a client installs without extras: a wheel in an empty environment buys, and torch is not there."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FETCH = """
import json, sys
from importlib.metadata import packages_distributions
from client.cli import app
try:
    app(sys.argv[1:], standalone_mode=False)
except SystemExit as exit:
    assert not exit.code, exit.code
owners = {name: packages_distributions()[name] for name in ("client", "shared", "vendor_api")}
heavy = sorted({"torch", "torchvision", "timm", "open_clip", "fastapi"} & set(sys.modules))
print(json.dumps({"owners": owners, "heavy": heavy}))
"""


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory):
    """Python of a fresh environment with the built wheel and no extras."""
    folder = tmp_path_factory.mktemp("bare")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--wheel-dir", str(folder), str(ROOT)], check=True, cwd=folder
    )
    (wheel,) = folder.glob("vl2v-*.whl")
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    python = folder / "venv" / "bin" / "python"
    subprocess.run(
        [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", "install", str(wheel)],
        check=True,
    )
    return python


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_fetch_completes_without_torch(bare_python, shop, pictures, tmp_path):
    data = tmp_path / "data"
    count = pictures(data, per_class=4, seed=0)
    shop.start()
    words = ["fetch", str(data), "--model", "tiny-clip", "--budget", "1"]
    done = subprocess.run(
        # From an empty folder, so that nothing of the checkout can be imported.
        [str(bare_python), "-c", FETCH, *words],
        env=shop.environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["heavy"] == []
    assert said["owners"] == {name: ["vl2v"] for name in ("client", "shared", "vendor_api")}
    ((bought,),) = shop.query("SELECT SUM(items) FROM purchase_lot WHERE modality = 'image'")
    assert 0 < bought <= count
    missing = subprocess.run(
        [str(bare_python), "-c", "import torch"], capture_output=True, check=False
    )
    assert missing.returncode != 0


@pytest.mark.slow
def test_training_without_its_extra_says_what_to_install(bare_python, tmp_path):
    done = subprocess.run(
        [str(bare_python.parent / "vl2v"), "train", str(tmp_path), "--out", str(tmp_path / "run")],
        env={"VL2V_HOME": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "vl2v[train]" in done.stderr
    assert "Traceback" not in done.stderr
