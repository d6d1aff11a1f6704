"""Fewer labels, fewer queries, bought views, fresh views: what each reads, and what it comes to."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from sqlalchemy import delete

from client.budget import Batch, Journal, Settlement
from client.cache.tables import embedding
from client.data.views import find_crop, name_view, name_views
from client.errors import UsageError
from client.train.augment import augment_crops, cut_crops
from client.train.bench import BenchPlan, run_bench
from client.train.building import BUILDERS, Materials, build_task
from client.train.config import TrainConfig
from client.train.errors import Interrupted, MissingVectors, TrainingError
from client.train.fresh import FreshTask, count_queries
from client.train.losses import adip_loss, kd_loss
from client.train.recipe import run_training
from client.train.runs import RunFolder
from client.train.views import BoughtViews, FileViews, choose_views
from tests.client.train.study import CONFIG, DIMENSION, IMAGE_NANOUSD, MODEL, make_job, unit

ROOT = Path(__file__).parents[3]


def _weights(folder: RunFolder):
    return load_file(folder.student)


def _same(one, other) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def _forget(store, digests, view="file"):
    with store.database.write() as connection:
        connection.execute(
            delete(embedding).where(embedding.c.digest.in_(digests), embedding.c.view == view)
        )


def _buy_views(store, experiment, count):
    """Every training picture in `count` views, as `vl2v fetch --views` leaves them."""
    rng = np.random.default_rng(5)
    digests = sorted({experiment.manifest.pictures[i].digest for i in experiment.split.training})
    journal = Journal(store.database)
    for view in name_views(count):
        cost = IMAGE_NANOUSD * len(digests)
        journal.plan(
            Batch(
                run="tests",
                idempotency_key=view,
                model_id=MODEL.id,
                revision=MODEL.revision,
                modality="image",
                purpose="training",
                digests=tuple(digests),
                max_cost_nanousd=cost,
                view=view,
            )
        )
        journal.mark_sent(view)
        journal.settle(view, Settlement(cost))
        vectors = {digest: unit(rng.normal(size=DIMENSION)) for digest in digests}
        store.put_many(MODEL.revision, "image", vectors, view=view)


class TestShots:
    def test_only_the_training_part_shrinks(self, experiment):
        whole = experiment.fold(("wash",), CONFIG)
        few = experiment.fold(("wash",), replace(CONFIG, shots=2))
        assert set(few.training) < set(whole.training)
        assert few.validation.tolist() == whole.validation.tolist()
        assert few.tested.tolist() == whole.tested.tolist()
        assert len(few.training) == 2 * 3 * 2

    def test_a_run_reads_and_counts_the_shots_vectors_alone(self, experiment, tmp_path, store):
        config = replace(CONFIG, shots=2, trial_seed=3)
        fold = experiment.fold(config.targets, config)
        read = {experiment.manifest.pictures[i].digest for i in fold.training}
        others = {p.digest for p in experiment.manifest.pictures} - read
        _forget(store, others)
        line = run_training(make_job(experiment, tmp_path / "run", shots=2, trial_seed=3))
        assert line["training_pictures"] == 12
        assert line["spending"]["training"]["images"] == len(read)

    def test_another_trial_draws_other_shots_of_the_same_split(self, experiment):
        folds = [
            experiment.fold(("wash",), replace(CONFIG, shots=2, trial_seed=seed)) for seed in (0, 1)
        ]
        assert folds[0].training.tolist() != folds[1].training.tolist()

    def test_missing_vectors_say_which_shots_to_buy(self, experiment, tmp_path, store):
        _forget(store, [p.digest for p in experiment.manifest.pictures])
        with pytest.raises(
            MissingVectors, match=r"--target wash --shots 2 --trial-seed 1 --budget"
        ):
            run_training(make_job(experiment, tmp_path / "run", shots=2, trial_seed=1))

    def test_tuning_sees_the_same_shots(self, experiment):
        config = replace(CONFIG, shots=2)
        few = experiment.fold(("wash",), config)
        without = experiment.without(("wash",))
        alone = without.fold((), replace(config, targets=()))
        paths = [without.manifest.pictures[i].path for i in alone.training]
        assert paths == [experiment.manifest.pictures[i].path for i in few.training]

    def test_a_bench_counts_the_shots_of_every_seed(self, experiment, tmp_path):
        config = replace(CONFIG, shots=1, steps=1)
        found = run_bench(experiment, BenchPlan(config, ("adip",), ("wash",), 2), tmp_path)
        drawn = {
            experiment.manifest.pictures[i].digest
            for seed in (0, 1)
            for i in experiment.fold(("wash",), replace(config, trial_seed=seed)).training
        }
        assert found.rows[0].spending.training.images == len(drawn)
        assert len(drawn) > 6


class TestPartialBudgets:
    @pytest.mark.parametrize("method", ["adip", "kd"])
    @pytest.mark.parametrize("selection", ["random", "stratified", "k-center"])
    def test_vectors_of_unqueried_pictures_are_never_read(
        self, experiment, tmp_path, store, method, selection
    ):
        changes = {"method": method, "queries": 0.5, "selection": selection}
        first = make_job(experiment, tmp_path / "with", **changes)
        line = run_training(first)
        read = {experiment.manifest.pictures[i].digest for i in first.fold.queried}
        assert line["spending"]["training"]["images"] == len(read)
        assert line["training_pictures"] == len(experiment.fold(("wash",)).training)
        _forget(store, {p.digest for p in experiment.manifest.pictures} - read)
        second = make_job(experiment, tmp_path / "without", **changes)
        run_training(second)
        assert _same(_weights(first.folder), _weights(second.folder))

    def test_all_queries_are_todays_run(self, experiment, tmp_path):
        first = make_job(experiment, tmp_path / "one")
        second = make_job(experiment, tmp_path / "two", queries=1.0, selection="stratified")
        for job in (first, second):
            run_training(job)
        assert _same(_weights(first.folder), _weights(second.folder))

    def test_a_method_that_cannot_fill_in_trains_on_queried_pictures_only(self, experiment):
        from client.train.methods import METHODS

        assert METHODS["adip"].fills_in
        fold = replace(experiment.fold(("wash",)), chosen=(0, 1), only_chosen=True)
        assert fold.training.tolist() == [0, 1]
        assert len(fold.labelled) > 2

    def test_a_method_without_image_vectors_is_not_narrowed(self, experiment):
        config = replace(CONFIG, method="erm", queries=0.5)
        fold = experiment.fold(("wash",), config)
        assert fold.training.tolist() == fold.queried.tolist()

    def test_unqueried_rows_teach_their_text_alone(self, experiment):
        config = replace(CONFIG, queries=0.5)
        fold = experiment.fold(config.targets, config)
        given = Materials(config, fold, experiment.teacher(config))
        task = build_task(config, fold, experiment.teacher(config))
        outputs = F.normalize(torch.randn(len(fold.training), DIMENSION), dim=-1)
        quiet = torch.nonzero(~given.queried).flatten()
        assert 0 < len(quiet) < len(fold.training)
        loss = task.loss(outputs[quiet], quiet)["loss"]
        texts = given.texts[given.labels[quiet]]
        assert loss.item() == pytest.approx(-(outputs[quiet] * texts).sum(1).mean().item())
        assert given.images[quiet].abs().sum() == 0

    def test_uncertainty_asks_about_what_a_text_only_student_is_least_sure_of(
        self, experiment, tmp_path
    ):
        scorer = make_job(experiment, tmp_path / "scorer", method="text-only")
        run_training(scorer)
        changes = {
            "queries": 0.5,
            "selection": "uncertainty",
            "scored_by": str(tmp_path / "scorer"),
        }
        job = make_job(experiment, tmp_path / "run", **changes)
        run_training(job)
        from client.train.answers import load_answers

        top = np.sort(load_answers(scorer.folder).probabilities, axis=1)
        margins = top[:, -1] - top[:, -2]
        for domain in (0, 1):
            rows = job.fold.training[job.fold.domains[job.fold.training] == domain]
            asked = np.isin(rows, job.fold.queried)
            assert margins[rows[asked]].max() <= margins[rows[~asked]].min()

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"method": "adip"}, "has bought image vectors itself"),
            ({"method": "text-only", "targets": ("pale",)}, "has seen a target domain"),
        ],
    )
    def test_a_scorer_that_may_not_score_is_refused(self, experiment, tmp_path, changes, said):
        run_training(make_job(experiment, tmp_path / "scorer", **changes))
        config = replace(
            CONFIG, queries=0.5, selection="uncertainty", scored_by=str(tmp_path / "scorer")
        )
        with pytest.raises(TrainingError, match=said):
            experiment.fold(config.targets, config)


class TestLosses:
    def test_one_weight_for_all_is_the_plain_loss(self):
        z, t, i = (F.normalize(torch.randn(5, 8), dim=-1) for _ in range(3))
        plain = adip_loss(z, t, i, 0.3)
        rows = adip_loss(z, t, i, torch.full((5,), 0.3))
        for name in plain:
            assert rows[name].item() == pytest.approx(plain[name].item(), abs=1e-6)

    def test_labels_alone_where_the_teacher_was_not_asked(self):
        logits = torch.randn(6, 4, requires_grad=True)
        labels, teacher = torch.randint(4, (6,)), torch.randn(6, 4)
        asked = torch.tensor([True, True, False, True, False, False])
        loss = kd_loss(logits, labels, teacher, 2.0, asked=asked)["loss"]
        heard = kd_loss(logits[asked], labels[asked], teacher[asked], 2.0)["divergence"]
        expected = F.cross_entropy(logits, labels) + heard * 3 / 6
        assert loss.item() == pytest.approx(expected.item(), abs=1e-6)
        [ours] = torch.autograd.grad(loss, logits, retain_graph=True)
        [theirs] = torch.autograd.grad(expected, logits)
        assert torch.allclose(ours, theirs, atol=1e-6)


class TestBoughtViews:
    def test_the_student_sees_the_crop_whose_vector_it_is_taught(self, experiment, store):
        _buy_views(store, experiment, 2)
        config = replace(CONFIG, bought_views=2)
        fold = experiment.fold(config.targets, config)
        views = choose_views(fold)
        assert isinstance(views, BoughtViews)
        given = Materials(config, fold, experiment.teacher(config))
        rows = np.array([3, 0, 3, 5])
        pictures = torch.rand(4, 3, 32, 32)
        images, taught = views.show(pictures, rows, torch.Generator().manual_seed(0))
        assert images.shape == pictures.shape
        n = len(fold.training)
        assert (taught % n).tolist() == rows.tolist()
        twin = torch.Generator().manual_seed(0)
        torch.randint(2, (4,), generator=twin)
        taught_crops = views.crops[taught // n, taught % n]
        assert torch.equal(images, augment_crops(pictures, taught_crops, twin))
        assert len(given.images) == len(given.labels) == len(given.domains) == 2 * n
        for row in taught.tolist():
            digest = experiment.manifest.pictures[fold.training[row % n]].digest
            view = name_view(row // n)
            held = store.get_many(MODEL.revision, "image", [digest], view=view)[digest]
            assert np.allclose(given.images[row], unit(held), atol=1e-6)

    def test_a_view_cut_in_training_looks_like_the_one_that_was_sent(self, experiment, store):
        _buy_views(store, experiment, 3)
        config = replace(CONFIG, bought_views=3)
        fold = experiment.fold(config.targets, config)
        views = choose_views(fold)
        assert isinstance(views, BoughtViews)
        ramp = torch.linspace(0, 1, 64).expand(1, 3, 64, 64).contiguous()
        for view in range(3):
            crop = find_crop(experiment.manifest.pictures[fold.training[4]].digest, view)
            seen = cut_crops(ramp, views.crops[view, [4]])[0, 0, 32]
            left, right = seen[0].item(), seen[-1].item()
            assert (left > right) == crop.mirrored
            assert min(left, right) == pytest.approx(crop.left, abs=0.03)
            assert max(left, right) == pytest.approx(crop.left + crop.width, abs=0.03)

    def test_align_is_shown_each_bought_view_and_what_it_is_taught_by(self, experiment, store):
        _buy_views(store, experiment, 2)
        fold = experiment.fold(("wash",), replace(CONFIG, bought_views=2))
        views = choose_views(fold)
        assert isinstance(views, BoughtViews)
        pictures, rows = torch.rand(3, 3, 32, 32), np.array([4, 1, 2])
        for number in range(3):
            _, taught = views.survey(pictures, rows, number, torch.Generator().manual_seed(0))
            assert (taught // len(fold.training)).tolist() == [number % 2] * 3
            assert (taught % len(fold.training)).tolist() == rows.tolist()
        shown, _ = views.survey(pictures, rows, 1, torch.Generator().manual_seed(0))
        assert torch.equal(shown, cut_crops(pictures, views.crops[1, rows]))

    def test_every_view_is_seen_and_the_file_vector_is_not_needed(
        self, experiment, tmp_path, store
    ):
        _buy_views(store, experiment, 2)
        _forget(store, [p.digest for p in experiment.manifest.pictures])
        job = make_job(experiment, tmp_path / "run", bought_views=2)
        line = run_training(job)
        assert line["spending"]["training"]["images"] == 2 * len(job.fold.training)
        cost = 2 * len(job.fold.training) * IMAGE_NANOUSD + 6 * 10_000
        assert line["spending"]["training"]["cost_nanousd"] == cost

    def test_a_run_counts_the_views_that_it_reads_and_no_others(self, experiment, tmp_path, store):
        _buy_views(store, experiment, 3)
        job = make_job(experiment, tmp_path / "file")
        assert run_training(job)["spending"]["training"]["images"] == len(job.fold.training)
        job = make_job(experiment, tmp_path / "one", bought_views=1)
        assert run_training(job)["spending"]["training"]["images"] == len(job.fold.training)

    def test_views_that_were_not_bought_are_named(self, experiment, tmp_path, store):
        _buy_views(store, experiment, 1)
        with pytest.raises(MissingVectors, match=r"--views 2 --budget"):
            run_training(make_job(experiment, tmp_path / "run", bought_views=2))

    def test_resumed_is_uninterrupted(self, experiment, tmp_path, store):
        _buy_views(store, experiment, 2)
        whole = make_job(experiment, tmp_path / "whole", bought_views=2, queries=0.5)
        run_training(whole)
        asked = iter([False, False, True])
        stopped = make_job(
            experiment,
            tmp_path / "parts",
            bought_views=2,
            queries=0.5,
            stop=lambda: next(asked, False),
        )
        with pytest.raises(Interrupted):
            run_training(stopped)
        run_training(make_job(experiment, tmp_path / "parts", bought_views=2, queries=0.5))
        assert _same(_weights(whole.folder), _weights(stopped.folder))


class Oracle:
    """A teacher of pixels: the mean colour, in DIMENSION numbers; remembers what it saw."""

    def __init__(self):
        self.seen = []

    def __call__(self, pixels):
        self.seen.append(pixels)
        colour = pixels.reshape(len(pixels), -1, 3).mean(axis=1)
        spread = np.tile(colour, (1, DIMENSION))[:, :DIMENSION] + np.arange(DIMENSION)
        return np.stack([unit(row) for row in spread.astype(np.float32)])


class TestFreshViews:
    @pytest.fixture
    def fresh(self, experiment):
        config = replace(CONFIG, fresh_views="local-dir:x")
        fold = experiment.fold(config.targets, config)
        given = Materials(config, fold, experiment.teacher(config))
        pixels = np.repeat(np.repeat(experiment.pixels(32)[fold.training], 2, axis=1), 2, axis=2)
        return FreshTask(given, BUILDERS["adip"], Oracle(), pixels)

    def test_the_teacher_sees_the_students_view_at_its_own_resolution(self, experiment, fresh):
        rows = np.array([2, 7])
        images = torch.from_numpy(experiment.pixels(32)[fresh.materials.fold.training[rows]])
        images = images.permute(0, 3, 1, 2).float() / 255
        shown, taught = fresh.show(images, rows, torch.Generator().manual_seed(3))
        assert taught.tolist() == [0, 1]
        [seen] = fresh.encode.seen
        assert seen.shape == (2, 64, 64, 3)
        small = F.avg_pool2d(torch.from_numpy(seen).permute(0, 3, 1, 2).float() / 255, 2)
        assert (small - shown).abs().mean() < 0.05
        plain = FileViews().show(images, rows, torch.Generator().manual_seed(3))[0]
        assert torch.equal(shown, plain)

    def test_the_loss_is_the_methods_own_on_what_was_said(self, experiment, fresh):
        rows = np.array([2, 7, 2])
        images = torch.rand(3, 3, 32, 32)
        _, taught = fresh.show(images, rows, torch.Generator().manual_seed(3))
        outputs = torch.randn(3, DIMENSION)
        vectors = torch.from_numpy(fresh.encode(fresh.encode.seen[0]))
        given = fresh.materials
        texts = given.texts[given.labels[rows]]
        expected = adip_loss(outputs, texts, vectors, CONFIG.image_weight)["loss"]
        assert fresh.loss(outputs, taught)["loss"].item() == pytest.approx(expected.item())

    def test_no_bought_picture_is_read_or_counted(self, experiment, store):
        _forget(store, [p.digest for p in experiment.manifest.pictures])
        config = replace(CONFIG, fresh_views="local-dir:x")
        fold = experiment.fold(config.targets, config)
        experiment.require_vectors(config, [fold])
        assert len(fold.queried) == 0
        assert count_queries(config, fold) == 2 * len(fold.training) + CONFIG.steps * CONFIG.batch

    def test_a_method_without_image_vectors_has_no_use_for_it(self, experiment, tmp_path):
        job = make_job(experiment, tmp_path / "run", method="text-only", fresh_views="local-dir:x")
        with pytest.raises(TrainingError, match="reads no bought image vectors"):
            run_training(job)

    def test_an_unknown_teacher_is_named(self, experiment, tmp_path):
        job = make_job(experiment, tmp_path / "run", fresh_views="local-dir:/nowhere")
        with pytest.raises(TrainingError, match=r"--fresh-views: /nowhere is no model folder"):
            run_training(job)

    def test_weights_of_another_teacher_are_refused(self, experiment, tmp_path):
        weights = f"local-dir:{ROOT / 'vendor_api' / 'demo' / 'teacher'}"
        job = make_job(experiment, tmp_path / "run", fresh_views=weights)
        with pytest.raises(TrainingError, match=r"bought from toy@0123456789abcdef: give that"):
            run_training(job)


class TestSettings:
    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"shots": 0}, "--shots must be at least 1"),
            ({"queries": 0.0}, "--queries is a share above 0"),
            ({"queries": 0.5, "selection": "uncertainty"}, "needs --scored-by"),
            ({"selection": "best"}, "--selection is one of random"),
            ({"bought_views": -1}, "--views cannot be negative"),
            ({"fresh_views": "x/y", "queries": 0.5}, "leave out --queries and --views"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, changes, said):
        with pytest.raises(UsageError, match=said):
            replace(CONFIG, **changes)

    def test_a_run_folder_of_an_earlier_version_is_read(self):
        document = json.loads(json.dumps(CONFIG.document()))
        new = ("shots", "queries", "selection", "scored_by", "bought_views", "fresh_views")
        for name in new:
            del document[name]
        document["views"] = document.pop("align_views") + 6
        found = TrainConfig.from_run(document)
        assert found == replace(CONFIG, align_views=CONFIG.align_views + 6)
