"""Choosing settings, comparing methods, and the tables."""

import json
from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy import delete

from client.cache.tables import embedding
from client.train.bench import BenchPlan, Grid, run_bench
from client.train.errors import MissingVectors, TrainingError, UnknownName
from client.train.evaluate import measure
from client.train.results import is_converged
from client.train.selection import apply_choice, select
from client.train.spending import Bill, Spending
from client.train.summary import summarise, table_cells, write_tables
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
            experiment, SHORT, tmp_path, learning_rates=(1e-4, 1e-3), image_weights=(0.3,)
        )
        document = json.loads((tmp_path / "choice.json").read_text())
        assert document["lr"] == choice.lr
        assert len(choice.trials) == 2
        assert choice.validation == max(trial["validation"] for trial in choice.trials)

    def test_lambda_is_tried_for_adip_alone(self, experiment, tmp_path):
        config = replace(SHORT, method="erm")
        choice = select(
            experiment, config, tmp_path, learning_rates=(1e-3,), image_weights=(0.1, 0.9)
        )
        assert [trial["image_weight"] for trial in choice.trials] == [config.image_weight]

    def test_the_choice_is_the_same_without_the_target_on_disk_and_in_the_cache(
        self, experiment, tmp_path, store
    ):
        def choose(study, out):
            return select(study, SHORT, out, learning_rates=(1e-4, 3e-3), image_weights=(0.5,))

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
            select(experiment, replace(SHORT, method="zero-shot"), tmp_path)

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
        rows = run_bench(experiment, plan, tmp_path)
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
        plan = BenchPlan(SHORT, ("text-only",), ("wash",), seeds=1, grid=Grid(steps=2))
        run_bench(experiment, plan, tmp_path)
        chosen = json.loads((tmp_path / "wash/text-only/selection/choice.json").read_text())
        config = json.loads((tmp_path / "wash/text-only/seed0/config.json").read_text())
        assert config["lr"] == chosen["lr"]


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
