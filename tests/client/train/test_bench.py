"""Choosing settings, comparing methods, and the tables."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sqlalchemy import delete

from client.cache.tables import embedding
from client.errors import UsageError
from client.train.answers import load_answers
from client.train.bench import BenchPlan, Grid, run_bench
from client.train.errors import MissingVectors, TrainingError, UnknownName
from client.train.evaluate import measure
from client.train.methods import METHODS
from client.train.results import is_converged
from client.train.runs import RunFolder
from client.train.selection import apply_choice, is_tunable, select
from client.train.spending import Bill, Spending
from client.train.summary import summarise, table_cells
from client.train.tables import write_tables
from tests.client.train.study import CONFIG, open_study

SHORT = replace(CONFIG, steps=1)


class TestMeasuring:
    def test_per_class_accuracy_counts_rare_classes_as_much(self):
        found = measure(np.array([0, 0, 0, 0]), np.array([0, 0, 0, 1]))
        assert found.plain == 0.75
        assert found.per_class == 0.5


class TestSelection:
    def test_the_best_source_validation_wins_and_is_written_down(self, experiment, tmp_path):
        choice = select(
            experiment,
            SHORT,
            tmp_path,
            [{"lr": 1e-4, "image_weight": 0.3}, {"lr": 1e-3, "image_weight": 0.3}],
        )
        document = json.loads((tmp_path / "choice.json").read_text())
        assert document["lr"] == choice.settings["lr"]
        assert len(choice.trials) == 2
        assert choice.validation == max(trial["validation"] for trial in choice.trials)

    def test_every_method_tries_equally_many_configurations(self):
        grid = Grid(
            learning_rates=(3e-4, 1e-3, 1e-4, 3e-3, 1e-2), image_weights=(0.1, 0.5), steps=2
        )
        tunable = [name for name in METHODS if is_tunable(name) and METHODS[name].distils]
        assert {len(grid.configurations(name)) for name in tunable} == {5}

    def test_a_setting_of_its_own_is_tried_with_the_likeliest_rates(self):
        grid = Grid(learning_rates=(3e-4, 1e-3, 1e-4, 3e-3), image_weights=(0.1, 0.5))
        assert grid.configurations("adip") == [
            {"lr": rate, "image_weight": weight} for rate in (3e-4, 1e-3) for weight in (0.1, 0.5)
        ]
        assert {point["temperature"] for point in grid.configurations("kd")} == {2.0, 4.0}
        assert grid.configurations("erm") == [{"lr": r} for r in grid.learning_rates]

    def test_more_values_than_configurations_are_refused(self):
        with pytest.raises(UsageError, match="give at least 3 to --select-lrs"):
            Grid(learning_rates=(3e-4,), image_weights=(0.1, 0.3, 0.5))

    def test_the_choice_is_the_same_without_the_target_on_disk_and_in_the_cache(
        self, experiment, tmp_path, store
    ):
        def choose(study, out):
            return select(study, SHORT, out, [{"lr": 1e-4}, {"lr": 3e-3}])

        first = choose(experiment, tmp_path / "with")
        for picture in experiment.manifest.pictures:
            if picture.domain == "wash":
                file = experiment.manifest.file(picture)
                file.write_bytes((file.parents[2] / "ink" / "dot" / "1.png").read_bytes())
        with store.database.write() as connection:
            target = [p.digest for p in experiment.manifest.pictures if p.domain == "wash"]
            connection.execute(delete(embedding).where(embedding.c.digest.in_(target)))
        changed = open_study(experiment.manifest.root, store)
        assert choose(changed, tmp_path / "without") == first

    def test_a_method_that_trains_nothing_cannot_be_tuned(self, experiment, tmp_path):
        with pytest.raises(UnknownName, match="trains nothing"):
            select(experiment, replace(SHORT, method="zero-shot"), tmp_path, [{"lr": 1e-3}])

    def test_a_choice_changes_learning_rate_and_lambda(self, tmp_path):
        file = tmp_path / "choice.json"
        file.write_text(json.dumps({"method": "adip", "lr": 0.002, "image_weight": 0.7}))
        found = apply_choice(CONFIG, file)
        assert (found.lr, found.image_weight) == (0.002, 0.7)
        with pytest.raises(TrainingError, match="was chosen for adip"):
            apply_choice(replace(CONFIG, method="erm"), file)
        file.write_text("[]")
        with pytest.raises(TrainingError, match="no choice"):
            apply_choice(CONFIG, file)

    def test_a_choice_of_tau_is_applied_and_an_empty_one_refused(self, tmp_path):
        file = tmp_path / "choice.json"
        file.write_text(json.dumps({"method": "kd", "lr": 0.002, "temperature": 4.0}))
        assert apply_choice(replace(CONFIG, method="kd"), file).temperature == 4.0
        file.write_text(json.dumps({"method": "kd"}))
        with pytest.raises(TrainingError, match="no choice"):
            apply_choice(replace(CONFIG, method="kd"), file)

    def test_a_folder_of_choices_gives_each_method_its_own(self, tmp_path):
        for method, lr in (("adip", 0.002), ("kd", 0.005)):
            document = {"method": method, "lr": lr, "image_weight": 0.3}
            (tmp_path / f"{method}.json").write_text(json.dumps(document))
        found = {
            method: apply_choice(replace(CONFIG, method=method), tmp_path).lr
            for method in ("adip", "kd", "erm")
        }
        assert found == {"adip": 0.002, "kd": 0.005, "erm": CONFIG.lr}


class TestBench:
    def test_compares_every_method_on_every_target(self, experiment, tmp_path):
        plan = BenchPlan(SHORT, ("zero-shot", "erm", "adip"), ("ink", "wash"), seeds=2)
        rows = run_bench(experiment, plan, tmp_path).rows
        assert [(row.method, row.runs) for row in rows] == [
            ("zero-shot", 2),
            ("erm", 4),
            ("adip", 4),
        ]
        assert rows[0].in_domain_error is None
        assert rows[2].out_of_domain_error is not None
        # One purchase serves both folds: each distinct training file once.
        both = {int(i) for t in plan.targets for i in experiment.fold((t,)).training}
        assert rows[2].spending.training.images == len(both)
        table = (tmp_path / "table.md").read_text()
        assert "| adip |" in table
        assert len((tmp_path / "runs.csv").read_text().splitlines()) == 11

    def test_goes_on_where_it_stopped(self, experiment, tmp_path):
        plan = BenchPlan(SHORT, ("erm",), ("wash",), seeds=1)
        run_bench(experiment, plan, tmp_path)
        student = tmp_path / "wash" / "erm" / "seed0" / "student.safetensors"
        written = student.stat().st_mtime_ns
        run_bench(experiment, replace(plan, seeds=2), tmp_path)
        assert student.stat().st_mtime_ns == written
        assert (tmp_path / "wash" / "erm" / "seed1" / "done").is_file()

    def test_missing_vectors_stop_it_before_the_first_training(self, experiment, tmp_path, store):
        with store.database.write() as connection:
            connection.execute(delete(embedding).where(embedding.c.modality == "image"))
        plan = BenchPlan(SHORT, ("erm", "adip"), ("wash",), seeds=1)
        with pytest.raises(MissingVectors):
            run_bench(experiment, plan, tmp_path)
        assert not list(tmp_path.rglob("done"))

    def test_selects_in_each_fold_when_asked(self, experiment, tmp_path):
        plan = BenchPlan(
            SHORT,
            ("text-only",),
            ("wash",),
            seeds=1,
            grid=Grid(learning_rates=(1e-3, 3e-3), steps=2),
        )
        run_bench(experiment, plan, tmp_path)
        chosen = json.loads((tmp_path / "wash/text-only/selection/choice.json").read_text())
        config = json.loads((tmp_path / "wash/text-only/seed0/config.json").read_text())
        assert config["lr"] == chosen["lr"]

    def test_all_seeds_of_a_fold_share_one_choice(self, experiment, tmp_path):
        grid = Grid(learning_rates=(1e-3, 3e-3), steps=2)
        run_bench(experiment, BenchPlan(SHORT, ("erm",), ("wash",), seeds=2, grid=grid), tmp_path)
        rates = {
            json.loads((tmp_path / f"wash/erm/seed{seed}/config.json").read_text())["lr"]
            for seed in (0, 1)
        }
        assert len(rates) == 1
        assert len(list((tmp_path / "wash/erm").glob("selection/*/done"))) == 2

    def test_says_after_each_run_how_much_is_left(self, experiment, tmp_path):
        plan = BenchPlan(SHORT, ("zero-shot", "erm"), ("ink", "wash"), seeds=1)
        heard: list[Any] = []
        run_bench(experiment, plan, tmp_path, hear=heard.append)
        assert [(one.done, one.total) for one in heard] == [(n, 4) for n in (1, 2, 3, 4)]
        assert heard[0].seconds_left is None  # the teacher's row took no training
        assert heard[1].seconds_left is not None
        assert heard[1].seconds_left > 0
        assert heard[-1].seconds_left == 0
        again: list[Any] = []
        run_bench(experiment, plan, tmp_path, hear=again.append)
        assert {one.seconds_left for one in again} == {None}

    def test_differences_are_paired_by_fold_and_seed(self, experiment, tmp_path):
        methods = ("zero-shot", "text-only", "erm", "adip")
        plan = BenchPlan(SHORT, methods, ("ink", "wash"), seeds=2)
        found = run_bench(experiment, plan, tmp_path)
        assert [(d.a, d.b, d.pairs) for d in found.differences] == [
            ("adip", "erm", 4),
            ("adip", "text-only", 4),
        ]
        means = {row.method: row.out_of_domain for row in found.rows}
        for difference in found.differences:
            assert difference.interval.mean == pytest.approx(
                means[difference.a] - means[difference.b]
            )
        for row in found.rows:
            assert row.interval is not None
            assert row.interval.mean == pytest.approx(row.out_of_domain)
            assert row.interval.low <= row.out_of_domain <= row.interval.high
        assert "| adip − erm |" in (tmp_path / "table.md").read_text()
        assert (tmp_path / "differences.csv").read_text().startswith("a,b,pairs,mean,low,high")

    def test_every_line_says_where_it_comes_from(self, experiment, tmp_path):
        plan = BenchPlan(SHORT, ("zero-shot", "erm"), ("wash",), seeds=1)
        run_bench(experiment, plan, tmp_path)
        lines = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
        assert [line["method"] for line in lines] == ["zero-shot", "erm"]
        for line in lines:
            assert {"commit", "changed", "date", "processor", "torch"} <= line["provenance"].keys()

    def test_the_oracle_is_a_column_of_its_own_and_changes_nothing_else(self, experiment, tmp_path):
        grid = Grid(learning_rates=(1e-3, 3e-2), image_weights=(0.5,), temperatures=(2.0,))
        plan = BenchPlan(SHORT, ("zero-shot", "adip"), ("wash",), seeds=1, grid=grid)
        plain = run_bench(experiment, plan, tmp_path)
        files = {f: f.read_bytes() for f in tmp_path.rglob("results.jsonl")}
        assert "oracle" not in (tmp_path / "table.md").read_text()
        shown = run_bench(experiment, replace(plan, oracle=True), tmp_path)
        assert [replace(row, oracle=None) for row in shown.rows] == plain.rows
        assert shown.differences == plain.differences
        assert {f: f.read_bytes() for f in tmp_path.rglob("results.jsonl")} == files
        assert shown.rows[0].oracle is None  # the teacher has no settings
        assert "oracle OOD (chosen on the target)" in (tmp_path / "table.md").read_text()

    def test_the_oracle_takes_what_the_targets_validation_part_likes_best(
        self, experiment, tmp_path
    ):
        grid = Grid(learning_rates=(1e-3, 3e-2, 1e-1), image_weights=(0.5,), temperatures=(2.0,))
        plan = BenchPlan(SHORT, ("erm",), ("wash",), seeds=1, grid=grid, oracle=True)
        [row] = run_bench(experiment, plan, tmp_path).rows
        fold = experiment.fold(("wash",))
        answers = load_answers(RunFolder(tmp_path / "wash/erm/seed0")).classes
        held, all_of_it = fold.part("wash", "out"), fold.tested
        seen = [
            tuple(measure(answers[part], fold.labels[part]).per_class for part in (held, all_of_it))
        ]
        for file in sorted(tmp_path.rglob("oracle.json")):
            kept = json.loads(file.read_text())
            seen.append((kept["held"], kept["whole"]))
        assert len(seen) == 4
        assert row.oracle == max(seen, key=lambda one: one[0])[1]


class TestGain:
    def _rows(self, paid, outside):
        lines = [TestTables()._line(name, 0.6, value) for name, value in outside.items()]
        return {row.method: row for row in summarise(lines, paid)}

    def test_points_per_thousand_paid_images_over_text_only(self):
        bill = {"text-only": Bill(0, 2, 20), "adip": Bill(500, 2, 70), "erm": Bill()}
        rows = self._rows(
            {name: Spending(paid, Bill()) for name, paid in bill.items()},
            {"text-only": 0.5, "adip": 0.53, "erm": 0.9},
        )
        # Three points for 500 images are six for a thousand.
        assert rows["adip"].points_per_1000 == pytest.approx(6.0)
        assert rows["text-only"].points_per_1000 is None
        assert rows["erm"].points_per_1000 is None

    def test_without_text_only_the_best_trained_row_without_paid_images_is_the_base(self):
        bill = {"zero-shot": Bill(), "erm": Bill(), "adip": Bill(1000, 2, 70)}
        rows = self._rows(
            {name: Spending(paid, Bill()) for name, paid in bill.items()},
            {"zero-shot": 0.9, "erm": 0.4, "adip": 0.45},
        )
        assert rows["adip"].points_per_1000 == pytest.approx(5.0)


class TestTables:
    def _line(self, method, inside, outside, seed=0, target="wash"):
        return {
            "method": method,
            "targets": [target],
            "trial_seed": seed,
            "in_domain_acc": inside,
            "in_domain_class_acc": inside,
            "ood_acc": outside,
            "ood_class_acc": outside,
            "chance": 0.1,
            "seconds": 1.0,
        }

    def test_the_error_is_over_seeds_after_averaging_over_targets(self):
        lines = [
            self._line("erm", 0.5, value, seed, target)
            for seed, target, value in ((0, "a", 0.2), (0, "b", 0.4), (1, "a", 0.4), (1, "b", 0.6))
        ]
        [row] = summarise(lines, {"erm": Spending(Bill(), Bill())})
        assert row.out_of_domain == pytest.approx(0.4)
        # Seed means .3 and .5: standard deviation .1414, over √2.
        assert row.out_of_domain_error == pytest.approx(0.1)

    def test_not_converged_below_three_times_chance(self):
        assert not is_converged(self._line("adip", 0.29, 0.5), None)
        assert is_converged(self._line("adip", 0.31, 0.5), None)

    def test_not_converged_more_than_five_points_behind_erm(self):
        erm = self._line("erm", 0.60, 0.5)
        assert not is_converged(self._line("adip", 0.54, 0.9), erm)
        assert is_converged(self._line("adip", 0.56, 0.1), erm)

    def test_the_table_says_not_converged(self):
        lines = [self._line("erm", 0.6, 0.5), self._line("adip", 0.5, 0.6)]
        paid = {"erm": Spending(Bill(), Bill()), "adip": Spending(Bill(3, 2, 320_000), Bill())}
        header, cells = table_cells(summarise(lines, paid))
        rows = [dict(zip(header, row, strict=True)) for row in cells]
        assert [row["note"] for row in rows] == ["", "not converged"]
        assert rows[1]["cost"] == "$0.00032"
        assert (rows[1]["image queries"], rows[1]["text queries"]) == ("3", "2")

    def test_a_csv_cell_cannot_become_a_formula(self, tmp_path):
        line = self._line("erm", 0.6, 0.5, target="=cmd()")
        write_tables(summarise([line], {"erm": Spending(Bill(), Bill())}), [line], tmp_path)
        assert "'=cmd()" in (tmp_path / "runs.csv").read_text()

    def test_a_negative_number_is_no_formula(self, tmp_path):
        line = self._line("erm", 0.6, -0.5)
        write_tables(summarise([line], {"erm": Spending(Bill(), Bill())}), [line], tmp_path)
        assert ",-0.5," in (tmp_path / "runs.csv").read_text()
