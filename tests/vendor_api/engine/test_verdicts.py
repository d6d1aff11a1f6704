"""What `VENDOR_PRECISION=auto` comes to, and what it is kept for."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from vendor_api.cli import app
from vendor_api.engine.precision_gate import ENOUGH, Agreement
from vendor_api.engine.verdicts import (
    Processor,
    find_verdict,
    keep_verdict,
    load_settled,
    read_processor,
)

HERE = Processor("x86_64 fast", ("avx2", "avx512_bf16"), "2.14.1")
ALIKE = Agreement(ENOUGH, 0.99995, 0.9998, 0.998)
APART = replace(ALIKE, top1=0.99)


def settle(model: Path, folder: Path, processor: Processor = HERE) -> tuple[str, str]:
    clip, why = load_settled("m", f"local-dir:{model}", "auto", folder=folder, processor=processor)
    return clip.precision, why


@pytest.fixture
def revision(clip_folder: Path) -> str:
    return load_settled("m", f"local-dir:{clip_folder}", "fp32")[0].revision


def test_nothing_measured_is_fp32_and_says_what_to_run(clip_folder: Path, tmp_path: Path) -> None:
    precision, why = settle(clip_folder, tmp_path)
    assert precision == "fp32"
    assert f"`vl2v-vendor precision FOLDER --model m=local-dir:{clip_folder}`" in why


def test_bf16_that_is_near_enough_is_sold_under_a_revision_of_its_own(
    clip_folder: Path, tmp_path: Path, revision: str
) -> None:
    keep_verdict(revision, HERE, ALIKE, tmp_path, "2026-11-26")
    clip, why = load_settled(
        "m", f"local-dir:{clip_folder}", "auto", folder=tmp_path, processor=HERE
    )
    assert clip.precision == "bf16"
    assert clip.revision != revision
    assert "1,000 pictures on 2026-11-26: cosine 0.999950 on average" in why
    assert clip.revision == load_settled("m", f"local-dir:{clip_folder}", "bf16")[0].revision


def test_bf16_that_is_too_far_is_not_sold(clip_folder: Path, tmp_path: Path, revision: str) -> None:
    keep_verdict(revision, HERE, APART, tmp_path)
    precision, why = settle(clip_folder, tmp_path)
    assert (precision, "the same top-1 for 99.00%" in why) == ("fp32", True)


@pytest.mark.parametrize(
    "other",
    [
        replace(HERE, name="x86_64 another"),
        replace(HERE, features=(*HERE.features, "avx512_fp16")),
        replace(HERE, torch="2.15.0"),
    ],
)
def test_a_verdict_holds_for_its_processor_and_its_torch(
    clip_folder: Path, tmp_path: Path, revision: str, other: Processor
) -> None:
    keep_verdict(revision, HERE, ALIKE, tmp_path)
    assert settle(clip_folder, tmp_path, other)[0] == "fp32"
    assert settle(clip_folder, tmp_path)[0] == "bf16"


def test_a_processor_without_bf16_computes_fp32_whatever_was_kept(
    clip_folder: Path, tmp_path: Path, revision: str
) -> None:
    old = replace(HERE, features=("avx2",))
    keep_verdict(revision, old, ALIKE, tmp_path)
    assert settle(clip_folder, tmp_path, old) == ("fp32", "auto: x86_64 fast has no bf16")


def test_the_last_measurement_counts_and_a_small_one_is_no_measurement(tmp_path: Path) -> None:
    keep_verdict("r", HERE, APART, tmp_path)
    keep_verdict("r", HERE, ALIKE, tmp_path)
    assert keep_verdict("r", HERE, replace(APART, pictures=ENOUGH - 1), tmp_path) is None
    found = find_verdict("r", HERE, tmp_path)
    assert found is not None
    assert found.agreement == ALIKE
    assert find_verdict("another", HERE, tmp_path) is None


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"agreement": {"pictures": 1}}'])
def test_a_damaged_verdict_is_none(tmp_path: Path, damage: str) -> None:
    path = keep_verdict("r", HERE, ALIKE, tmp_path)
    assert path is not None
    path.write_text(damage)
    assert find_verdict("r", HERE, tmp_path) is None


def test_what_was_asked_for_is_not_settled(clip_folder: Path, tmp_path: Path) -> None:
    clip, why = load_settled("m", f"local-dir:{clip_folder}", "bf16", folder=tmp_path)
    assert (clip.precision, why) == ("bf16", "")


def test_this_processor_is_read() -> None:
    here = read_processor()
    assert here.name
    assert here.features
    assert here.torch


def test_the_command_keeps_what_doctor_and_models_then_say(
    clip_folder: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(ENOUGH // 2):
            noise = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(noise).save(tmp_path / "photos" / name / f"{number}.png")
    database = f"sqlite:///{tmp_path / 'vendor.db'}"
    env = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "VENDOR_DATABASE_URL": database}
    env |= {"VENDOR_MODELS": f"m=local-dir:{clip_folder}", "VENDOR_PRECISION": "auto"}
    run = CliRunner(env=env).invoke
    assert run(app, ["migrate"]).exit_code == 0
    words = ["models", "--json"]
    (before,) = json.loads(run(app, words).stdout)
    assert before["precision"] == "fp32"
    measured = json.loads(run(app, ["precision", str(tmp_path / "photos"), "--json"]).stdout)
    assert measured["pictures"] == ENOUGH
    assert Path(measured["kept"]).is_relative_to(tmp_path / "cache")
    (after,) = json.loads(run(app, words).stdout)
    sold = "bf16" if measured["passes"] and measured["has_bf16"] else "fp32"
    assert after["precision"] == sold
    assert (after["revision"] == before["revision"]) == (sold == "fp32")
    assert after["says"].startswith("auto: ")
    assert after["says"] != before["says"] or not measured["has_bf16"]
    assert after["says"] in run(app, ["doctor"]).stdout
