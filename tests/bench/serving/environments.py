"""A peer's own environment: its own pins first, and torch borrowed from ours, so that all compute alike."""

import subprocess
import sys
import sysconfig
from pathlib import Path

PEERS = {
    "infinity": (
        "infinity-emb[server]==0.0.78",
        "transformers>=4.57,<5",
        "pillow",
        "aiohttp",
        "numpy<2",
    ),
    "litserve": ("litserve==0.2.19",),
}
"""What each is installed from."""

__all__ = ["PEERS", "find_program"]


def find_program(peer: str, program: str, folder: Path) -> Path:
    """The program in the peer's environment under `folder`, which is made at first use."""
    home = folder / peer
    if not (home / "installed").exists():
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        pip: list[str | Path] = [home / "bin" / "python", "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, "--disable-pip-version-check", *PEERS[peer]], check=True)
        _borrow(home)
        (home / "installed").touch()
    return home / "bin" / program


def _borrow(home: Path) -> None:
    """Paths of a .pth file come last: what the peer has installed itself wins."""
    (packages,) = (home / "lib").glob("python*/site-packages")
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
