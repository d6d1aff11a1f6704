"""Pinned npm packages on disk, installed once and reused."""

import json
import shutil
import subprocess
from pathlib import Path


class NpmMissing(RuntimeError):
    """npm is not on PATH, so icon packages cannot be installed."""


def install_packages(versions: dict[str, str], into: Path) -> Path:
    """The `node_modules` folder holding exactly `versions`; runs npm only when something is missing.

    Raises NpmMissing without npm, RuntimeError with npm's last words when the install fails.
    """
    modules = into / "node_modules"
    if all(_installed_version(modules / name) == wanted for name, wanted in versions.items()):
        return modules
    npm = shutil.which("npm")
    if npm is None:
        raise NpmMissing(
            "npm is needed once to fetch the icon sets: install Node.js (Debian: "
            "`apt-get install npm`), then run the same command again"
        )
    into.mkdir(parents=True, exist_ok=True)
    file = into / "package.json"
    # npm removes what the file does not name: what was installed before stays named.
    wanted = _read_dependencies(file) | versions
    manifest = {"name": "vl2v-icons", "private": True, "dependencies": wanted}
    file.write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    done = subprocess.run(  # noqa: S603  (npm found on PATH, arguments are our own constants)
        [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"],
        cwd=into,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"npm could not install the icon sets:\n{done.stderr.strip()[-800:]}")
    return modules


def _read_dependencies(file: Path) -> dict[str, str]:
    if not file.is_file():
        return {}
    found: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))["dependencies"]
    return found


def _installed_version(package_dir: Path) -> str | None:
    manifest = package_dir / "package.json"
    if not manifest.is_file():
        return None
    version = json.loads(manifest.read_text(encoding="utf-8")).get("version")
    return str(version) if version is not None else None
