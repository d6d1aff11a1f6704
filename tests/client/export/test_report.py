"""The report: one file, everything in it, nothing loaded from elsewhere, names escaped."""

import re
import shutil
from html import unescape

import pytest

from client.export.report import write_report
from client.train.errors import TrainingError
from client.train.recipe import run_training
from tests.client.train.study import MODEL, buy_study, draw_study, make_job, open_study

METHODS = ("zero-shot", "erm", "adip")


@pytest.fixture
def page(finished, tmp_path):
    out = tmp_path / "report.html"
    count = write_report([finished.path], out, image_price=MODEL.price_per_image_usd)
    assert count == len(METHODS)
    return out.read_text(encoding="utf-8")


def test_it_holds_methods_queries_costs_and_figures(page, finished):
    text = unescape(re.sub(r"<[^>]+>", " ", page))
    for method in METHODS:
        assert method in text
    learned = len(finished.experiment.fold(("wash",)).training)
    assert re.search(rf"adip\s+[\d.]+\s+[\d.]+\s+{learned}\s+6\s+\$0\.\d+", text)
    assert "evaluation cost" in text
    # 6 texts are a tenth of a picture's price each: the break-even counts them.
    assert re.search(rf"itself after\s+{learned + 1}\s+images", text)
    assert "test_efficientnet" in text
    assert "not published" in text


def test_it_loads_nothing_from_elsewhere(page):
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert sources
    assert all(source.startswith("data:image/") for source in sources)
    assert "<script" not in page
    assert "@import" not in page


def test_every_image_has_an_alternative_text(page):
    images = re.findall(r"<img[^>]*>", page)
    assert len(images) > 10
    assert all(re.search(r'alt="[^"]{5,}"', image) for image in images)


def test_names_of_folders_are_escaped(tmp_path, store):
    root = draw_study(tmp_path / "study", domains=("ink", "pale"))
    draw_study(tmp_path / "more", domains=("wash",))
    shutil.move(tmp_path / "more" / "wash", root / "<b>bold")
    buy_study(store, root)
    experiment = open_study(root, store)
    run_training(make_job(experiment, tmp_path / "runs", targets=("<b>bold",), steps=1))
    write_report([tmp_path / "runs"], tmp_path / "r.html", image_price=None)
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<b>bold" not in page
    assert "&lt;b&gt;bold" in page


def test_it_is_written_without_the_pictures_when_the_data_has_moved(tmp_path, store):
    root = draw_study(tmp_path / "study")
    buy_study(store, root)
    experiment = open_study(root, store)
    run_training(make_job(experiment, tmp_path / "runs", steps=1))
    shutil.move(experiment.manifest.root, tmp_path / "elsewhere")
    write_report([tmp_path / "runs"], tmp_path / "r.html", image_price="0.000100000")
    assert 'class="shots"' not in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_a_folder_without_runs_is_explained(tmp_path):
    with pytest.raises(TrainingError, match=r"no finished run.*vl2v train"):
        write_report([tmp_path], tmp_path / "r.html", image_price=None)
