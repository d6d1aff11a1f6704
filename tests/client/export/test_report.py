"""The report: one file, everything in it, nothing loaded from elsewhere, names escaped."""

import json
import re
import shutil
from html import unescape
from itertools import pairwise

import numpy as np
import pytest

from client.export.blocks import Gallery, Table
from client.export.evidence import ReportedRun, load_evidence
from client.export.report import write_report
from client.export.sections.domains import describe_agreement
from client.export.sections.mistakes import count_confusions, describe_mistakes
from client.train.errors import TrainingError
from client.train.recipe import run_training
from client.train.runs import RunFolder
from tests.client.train.study import MODEL, buy_study, draw_study, make_job, open_study

METHODS = ("zero-shot", "erm", "adip")


@pytest.fixture(scope="module")
def page(finished, tmp_path_factory):
    out = tmp_path_factory.mktemp("report") / "report.html"
    count = write_report([finished.path], out, image_price=MODEL.price_per_image_usd)
    assert count == len(METHODS)
    return out.read_text(encoding="utf-8")


def _text(page):
    return unescape(re.sub(r"<[^>]+>", " ", page))


def _evidence(finished, method):
    run = ReportedRun.read(finished.run(method))
    return load_evidence(run, finished.experiment.manifest)


class TestPage:
    def test_it_holds_methods_queries_costs_and_figures(self, page, finished):
        text = _text(page)
        for method in METHODS:
            assert method in text
        learned = len(finished.experiment.fold(("wash",)).training)
        assert re.search(rf"adip\s+[\d.]+\s+[\d.]+\s+{learned}\s+6\s+\$0\.\d+", text)
        assert "evaluation cost" in text
        # 6 texts are a tenth of a picture's price each: the break-even counts them.
        assert f"itself after {learned + 1} images" in text
        assert "test_efficientnet" in text
        assert "not published" in text

    def test_it_tells_confusions_calibration_agreement_and_mistakes(self, page):
        text = _text(page)
        for said in (
            "Agreement with the teacher",
            "The most frequent confusions",
            "Reliability by bin",
            "Calibration error of each method",
            "is surest of and wrong",
        ):
            assert said in text

    def test_it_loads_nothing_from_elsewhere(self, page):
        sources = re.findall(r'(?:src|href)="([^"]*)"', page)
        assert sources
        assert all(source.startswith("data:image/") for source in sources)
        assert "<script" not in page
        assert "@import" not in page

    def test_every_image_has_an_alternative_text_and_every_figure_its_numbers(self, page):
        images = re.findall(r"<img[^>]*>", page)
        assert len(images) > 10
        assert all(re.search(r'alt="[^"]{5,}"', image) for image in images)
        figures = re.findall(r"<figure>.*?</figure>", page, re.DOTALL)
        assert len(figures) == 4
        assert all("<table>" in figure and "<caption>" in figure for figure in figures)

    def test_headings_go_down_by_one_level_at_a_time(self, page):
        levels = [int(level) for level in re.findall(r"<h(\d)>", page)]
        assert levels[0] == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))

    def test_the_same_runs_give_the_same_page_but_for_the_measured_speed(
        self, page, finished, tmp_path
    ):
        write_report([finished.path], tmp_path / "a.html", image_price=None)
        write_report([finished.path], tmp_path / "b.html", image_price=None)
        assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


class TestNumbers:
    def test_agreement_is_the_share_of_like_answers(self, finished):
        teacher, student = _evidence(finished, "zero-shot"), _evidence(finished, "adip")
        table = describe_agreement([teacher, student])[0]
        assert isinstance(table, Table)
        rows = student.fold.tested
        ours, theirs = student.answers.classes[rows], teacher.answers.classes[rows]
        assert table.rows[0][3] == f"{100 * np.mean(ours == theirs):.1f}"
        labels = student.fold.labels[rows]
        only = np.mean((ours == labels) & (theirs != labels))
        assert table.rows[0][4] == f"{100 * only:.1f}"
        # The teacher is asked about the validation part alone of what is trained on.
        assert len(teacher.rows("ink")) == len(student.fold.part("ink", "out"))

    def test_confusions_count_every_tested_picture(self, finished):
        evidence = _evidence(finished, "erm")
        counts = count_confusions(evidence)
        assert counts.sum() == len(evidence.fold.tested)
        right = evidence.answers.classes == evidence.fold.labels
        assert np.trace(counts) == right[evidence.fold.tested].sum()

    def test_mistakes_come_surest_first_and_none_is_right(self, finished):
        [gallery] = describe_mistakes(_evidence(finished, "erm"))
        assert isinstance(gallery, Gallery)
        assert not any(item.right for item in gallery.items)
        shares = [int(item.said.split()[-1].rstrip("%")) for item in gallery.items]
        assert shares == sorted(shares, reverse=True)


class TestFolders:
    @pytest.fixture
    def copy(self, finished, tmp_path):
        return shutil.copytree(finished.path, tmp_path / "runs")

    def _report(self, folder):
        write_report([folder], folder / "r.html", image_price=None)
        return (folder / "r.html").read_text(encoding="utf-8")

    def test_paired_differences_are_told_where_the_bench_wrote_them(self, copy):
        rows = [{"method": "erm", "spending": _nothing()}]
        difference = {"a": "adip", "b": "<erm>", "mean": 0.031, "low": 0.002, "high": 0.06}
        summary = {"rows": rows, "differences": [difference | {"level": 0.9}]}
        (copy / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
        text = _text(self._report(copy))
        assert re.search(r"adip − <erm>\s+\+3\.1\s+\+0\.2 to \+6\.0\s+yes", text)
        assert "90 % interval" in text

    def test_frontier_and_shots_are_drawn_where_they_lie(self, copy):
        point = {"method": "adip", "mean": 0.5, "error": 0.01, "seeds": 3}
        frontier = {"x_name": "paid queries", "points": [{"x": x, **point} for x in (0, 90)]}
        shots = {
            "x_name": "labels of a class",
            "points": [{"x": 4, **point, "error": None}],
            "claims": [{"said": "erm passes adip at 16"}],
        }
        (copy / "frontier.json").write_text(json.dumps(frontier), encoding="utf-8")
        (copy / "shots.json").write_text(json.dumps(shots), encoding="utf-8")
        text = _text(self._report(copy))
        assert re.search(r"adip\s+90\s+50\.0 ± 1\.0\s+3", text)
        assert re.search(r"adip\s+4\s+50\.0\s+3", text)
        assert "erm passes adip at 16" in text

    def test_runs_with_fewer_labels_stay_out_of_the_tables(self, copy):
        shutil.copytree(copy / "adip", copy / "adip-few")
        config = json.loads((copy / "adip-few" / "config.json").read_text(encoding="utf-8"))
        changed = json.dumps(config | {"shots": 2})
        (copy / "adip-few" / "config.json").write_text(changed, encoding="utf-8")
        text = _text(self._report(copy))
        assert "1 runs of these folders learned from fewer labels" in text

    def test_several_seeds_have_errors(self, tmp_path, store):
        experiment = open_study(_bought(tmp_path / "study", store), store)
        for seed in (0, 1):
            job = make_job(experiment, tmp_path / f"r/adip/seed{seed}", trial_seed=seed, steps=1)
            run_training(job)
        text = _text(self._report(tmp_path / "r"))
        results = [RunFolder(tmp_path / f"r/adip/seed{seed}").result() for seed in (0, 1)]
        values = [100 * result["env2_class_acc"] for result in results]
        error = np.std(values, ddof=1) / np.sqrt(2)
        assert f"{np.mean(values):.1f} ± {error:.1f}" in text
        assert "one standard error over 2 seeds" in text

    def test_names_of_folders_are_escaped(self, tmp_path, store):
        root = draw_study(tmp_path / "study", domains=("ink", "pale"))
        draw_study(tmp_path / "more", domains=("wash",))
        shutil.move(tmp_path / "more" / "wash", root / "<b>bold $x_1$")
        buy_study(store, root)
        experiment = open_study(root, store)
        job = make_job(experiment, tmp_path / "runs", targets=("<b>bold $x_1$",), steps=1)
        run_training(job)
        page = self._report(tmp_path / "runs")
        assert "<b>bold" not in page
        assert "&lt;b&gt;bold" in page

    def test_it_is_written_without_the_pictures_when_the_data_has_moved(self, tmp_path, store):
        experiment = open_study(_bought(tmp_path / "study", store), store)
        run_training(make_job(experiment, tmp_path / "runs", steps=1))
        shutil.move(experiment.manifest.root, tmp_path / "elsewhere")
        page = self._report(tmp_path / "runs")
        assert 'class="items"' not in page
        assert "Mean per-class accuracy" in page

    def test_a_folder_without_runs_is_explained(self, tmp_path):
        with pytest.raises(TrainingError, match=r"no finished run.*vl2v train"):
            write_report([tmp_path], tmp_path / "r.html", image_price=None)


def _bought(root, store):
    draw_study(root)
    buy_study(store, root)
    return root


def _nothing():
    bill = {"images": 0, "texts": 0, "cost_nanousd": 0}
    return {"training": bill, "evaluation": bill}
