"""Every method in the list: what it moves, what it reads, what it leaves behind."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from sqlalchemy import delete

from client.cache.tables import embedding
from client.errors import UsageError
from client.export.timm_folder import export_timm
from client.train.align import align_head
from client.train.answers import load_answers
from client.train.building import BUILDERS, Materials, build_task, make_student
from client.train.errors import Interrupted, TrainingError
from client.train.finished import load_finished
from client.train.heads import PENALTIES
from client.train.loop import start_state, train_student
from client.train.methods import METHODS
from client.train.recipe import Job, run_training
from client.train.rivals import TextHeadTask
from client.train.sampling import DomainSampler
from client.train.student import StudentSpec, build_student
from client.train.tasks import AlignmentTask, ClassificationTask
from tests.client.train.study import CONFIG, make_job

CAPTIONED = {name for name, method in METHODS.items() if method.reads_captions}
"""They need a file of captions: `test_unseen` trains them."""
TRAINED = [name for name, m in METHODS.items() if m.trains and name not in CAPTIONED]
HEAD_FROZEN = {"text-only", "adip", "adip-gelu"}
HEAD_MOVES = {"erm", "lp-ft", "feature-only", "one-stage", "kd", "kd-text", "simkd"} | {
    "adip-head",
    "lp-ft-clip",
}
HEADLESS = {"sd", "wise-ft", "flyp"}
BACKBONE_FIXED = {"linear-probe", "align-only"}


@pytest.fixture
def make(experiment, tmp_path, clip_folder):
    """Make a job of a method, with a teacher's weights where it needs them."""

    def make_it(method: str, name: str = "run", **changes) -> Job:
        if METHODS[method].white_box:
            changes["teacher_weights"] = f"local-dir:{clip_folder}"
        return make_job(experiment, tmp_path / name, method=method, **changes)

    return make_it


def _weights(job: Job) -> dict[str, torch.Tensor]:
    return load_file(job.folder.student)


def _same(one, other) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def _copy(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def _take_a_step(job: Job):
    """(task, state) after one step of Distill, its gradients still there."""
    task = build_task(job.config, job.fold, job.teacher)
    student, _ = make_student(job.config, task.head_width)
    state = start_state(student, task, job.config)
    sampler = DomainSampler(job.fold.domains[job.fold.training], job.config.batch, 0)
    train_student(
        state,
        task,
        job.pixels[job.fold.training],
        sampler,
        replace(job.config, steps=1),
        after_step=lambda _state, _row: None,
    )
    return task, state


class TestTheList:
    def test_every_trained_method_has_its_task(self):
        assert set(BUILDERS) == {*TRAINED, *CAPTIONED}

    def test_every_method_says_what_it_is_in_one_line(self):
        for method in METHODS.values():
            assert 0 < len(method.summary) < 80
            assert "\n" not in method.summary

    def test_white_box_methods_say_so(self):
        for method in METHODS.values():
            assert method.summary.startswith("white box") == method.white_box


class TestGradientsFlowOnlyWhereTheStageSays:
    @pytest.mark.parametrize("name", [n for n in TRAINED if METHODS[n].start == "fitted"])
    def test_align_moves_the_head_alone(self, make, name):
        job = make(name)
        task = build_task(job.config, job.fold, job.teacher)
        student, _ = make_student(job.config, task.head_width)
        before, head = _copy(student.backbone), _copy(student.head)
        align_head(student, task, job.pixels, job.fold, job.config)
        assert _same(_copy(student.backbone), before)
        assert not _same(_copy(student.head), head)
        assert all(p.grad is None for p in student.parameters())

    @pytest.mark.parametrize("name", [n for n in TRAINED if METHODS[n].distils])
    def test_distill_moves_what_the_method_says(self, make, name):
        task, state = _take_a_step(make(name))
        student = state.student
        slopes = [p.grad for p in student.backbone.parameters() if p.grad is not None]
        assert sum(float(slope.abs().sum()) for slope in slopes) > 0
        held = {id(p) for group in state.optimizer.param_groups for p in group["params"]}
        inside = {id(p) for p in student.head.parameters()}
        assert {id(p) for p in student.backbone.parameters()} <= held
        if task.trains_head:
            assert inside <= held
            assert all(p.grad is not None for p in student.head.parameters())
        else:
            assert not inside & held
            assert all(p.grad is None for p in student.head.parameters())

    @pytest.mark.parametrize("name", sorted(HEAD_FROZEN | HEAD_MOVES | HEADLESS))
    def test_which_heads_move(self, make, name):
        task, state = _take_a_step(make(name))
        numbers = sum(p.numel() for p in state.student.head.parameters())
        assert (numbers == 0) == (name in HEADLESS)
        assert (task.trains_head and numbers > 0) == (name in HEAD_MOVES)

    @pytest.mark.parametrize("name", sorted(BACKBONE_FIXED))
    def test_without_distill_the_backbone_stays(self, make, name):
        job = make(name)
        line = run_training(job)
        student = load_finished(job.folder).student
        start, _ = make_student(job.config, student.spec.head_width)
        assert _same(_copy(student.backbone), _copy(start.backbone))
        assert not _same(_copy(student.head), _copy(start.head))
        assert line["step"] == line["epoch"] == 0

    def test_zero_shot_has_no_task_and_no_student(self, make):
        job = make("zero-shot")
        run_training(job)
        assert "zero-shot" not in BUILDERS
        assert not job.folder.student.exists()


class TestEveryRun:
    @pytest.mark.parametrize("name", TRAINED)
    def test_deleting_target_rows_leaves_the_student_bit_identical(
        self, experiment, store, make, name
    ):
        first = make(name, "with")
        line = run_training(first)
        target = [p.digest for p in experiment.manifest.pictures if p.domain == "wash"]
        with store.database.write() as connection:
            gone = connection.execute(delete(embedding).where(embedding.c.digest.in_(target)))
        assert gone.rowcount == len(set(target))
        second = make(name, "without")
        assert run_training(second)["ood_class_acc"] == line["ood_class_acc"]
        assert _same(_weights(first), _weights(second))

    @pytest.mark.parametrize("name", TRAINED)
    def test_its_student_answers_alone_as_it_did_in_the_run(self, make, name):
        job = make(name)
        line = run_training(job)
        assert 0 <= line["ood_class_acc"] <= 1
        finished = load_finished(job.folder)
        scores = torch.from_numpy(finished.scores(job.pixels))
        scale = 1.0 if finished.texts is None else finished.logit_scale
        kept = torch.from_numpy(load_answers(job.folder).scores)
        assert torch.allclose(scale * scores, kept, atol=1e-4)

    @pytest.mark.parametrize("name", ["simkd", "adip-gelu", "wise-ft", "one-stage"])
    def test_resumed_is_uninterrupted(self, make, name):
        whole = make(name, "whole")
        run_training(whole)
        asked = iter([False, False, True])
        with pytest.raises(Interrupted):
            run_training(make(name, "parts", stop=lambda: next(asked, False)))
        parts = make(name, "parts")
        run_training(parts)
        assert _same(_weights(whole), _weights(parts))

    @pytest.mark.parametrize("name", ["erm", "one-stage", "simkd"])
    def test_a_fresh_start_has_no_align(self, make, name):
        heard = []
        job = make(name, report=lambda stage, done, total: heard.append(stage))
        line = run_training(job)
        assert set(heard) == {"distill"}
        assert line["penalty"] is None


class TestTheForms:
    def test_erm_starts_from_the_head_as_initialised_and_lp_ft_from_the_probe(self, make):
        erm, lp_ft, probe = make("erm"), make("lp-ft", "ft"), make("linear-probe", "lp")
        assert METHODS["erm"].start == "fresh"
        assert METHODS["lp-ft"].start == "fitted"
        tasks = [build_task(job.config, job.fold, None) for job in (erm, lp_ft, probe)]
        assert all(isinstance(task, ClassificationTask) and task.teacher is None for task in tasks)

    def test_kds_weight_counts_on_the_divergence_alone(self, make):
        rows = torch.arange(6)
        losses = []
        for number, weight in enumerate((0.0, 1.0, 2.0)):
            job = make("kd", f"run{number}", kd_weight=weight)
            task = build_task(job.config, job.fold, job.teacher)
            losses.append(task.loss(torch.zeros(6, 3), rows))
        hard, soft = losses[1]["cross_entropy"], losses[1]["divergence"]
        for weight, found in zip((0.0, 1.0, 2.0), losses, strict=True):
            assert found["loss"].item() == pytest.approx((hard + weight * soft).item())

    def test_kd_with_no_weight_is_lp_ft(self, make):
        jobs = make("kd", "kd", kd_weight=0.0), make("lp-ft", "lp-ft")
        for job in jobs:
            run_training(job)
        assert _same(*map(_weights, jobs))

    def test_one_stage_without_its_image_term_differs_from_text_only_by_its_stages(self, make):
        job = make("one-stage", image_weight=0.0)
        task = build_task(job.config, job.fold, job.teacher)
        other = build_task(make("text-only").config, job.fold, job.teacher)
        outputs, rows = torch.randn(5, 16), torch.arange(5)
        assert torch.equal(task.loss(outputs, rows)["loss"], other.loss(outputs, rows)["loss"])
        assert (task.trains_head, other.trains_head) == (True, False)

    def test_feature_only_never_looks_at_the_labels(self, make):
        job = make("feature-only")
        task = build_task(job.config, job.fold, job.teacher)
        assert isinstance(task, AlignmentTask)
        other = replace(task, labels=task.labels.flip(0))
        outputs, rows = torch.randn(5, 16), torch.arange(5)
        assert torch.equal(task.loss(outputs, rows)["loss"], other.loss(outputs, rows)["loss"])

    def test_simkd_reaches_vectors_with_negative_coordinates(self):
        student, _ = build_student(
            StudentSpec("test_efficientnet", 32, 16, "mlp"), weights="random"
        )
        kinds = [type(module).__name__ for module in student.head.children()]
        assert kinds == ["Linear", "BatchNorm1d", "ReLU", "Linear", "BatchNorm1d", "ReLU", "Linear"]
        student.set_mode(training=True, batchnorm="frozen")
        assert (student(torch.rand(8, 3, 32, 32)) < 0).any()

    def test_a_heads_own_batchnorm_learns_while_the_backbones_is_frozen(self, make):
        _, state = _take_a_step(make("simkd"))
        buffers = dict(state.student.named_buffers())
        assert buffers["head.1.num_batches_tracked"] == 1
        assert buffers["backbone.bn1.num_batches_tracked"] == 0

    def test_kd_text_answers_by_its_cosines_to_the_texts(self, make):
        job = make("kd-text")
        task = build_task(job.config, job.fold, job.teacher)
        given = Materials(job.config, job.fold, job.teacher)
        assert isinstance(task, TextHeadTask)
        assert torch.equal(task.texts, given.texts)
        assert task.classes is task.texts
        assert task.logit_scale == job.teacher.document.logit_scale == 20.0

    @pytest.mark.parametrize("name", TRAINED)
    def test_a_fitted_head_is_better_than_none(self, make, name):
        """Whatever a method's start, its task's solution on fixed features lowers its own loss."""
        job = make(name)
        task = build_task(job.config, job.fold, job.teacher)
        generator = torch.Generator().manual_seed(0)
        features = torch.randn(len(job.fold.training), 24, generator=generator)
        rows = torch.arange(len(features))
        weights = torch.full((len(features),), 1 / len(features))
        fit = task.fit_head(features, rows, weights, lambda w, b: float(w.norm()))
        fitted = task.loss(features @ fit.weight.T + fit.bias, rows)["loss"]
        flat = task.loss(fit.bias.expand(len(rows), -1), rows)["loss"]
        assert fit.penalty == min(PENALTIES)
        assert fitted < flat


class TestSettings:
    @pytest.mark.parametrize("name", TRAINED)
    def test_lambda_is_a_setting_wherever_it_changes_the_task(self, make, name):
        outputs, rows = torch.randn(5, 16, generator=torch.Generator().manual_seed(0)), range(5)
        losses = []
        for number, weight in enumerate((0.2, 0.8)):
            job = make(name, f"run{number}", image_weight=weight)
            task = build_task(job.config, job.fold, job.teacher)
            found = task.loss(outputs[:, : task.head_width], torch.tensor(rows))
            losses.append(found["loss"].item())
        assert (losses[0] != losses[1]) == METHODS[name].weighs_images

    def test_a_projector_with_batchnorm_needs_two_pictures(self):
        with pytest.raises(UsageError, match="--batch must be at least 2 for simkd"):
            replace(CONFIG, method="simkd", batch=1)

    @pytest.mark.parametrize(
        ("wrong", "said"), [({"kd_weight": -1.0}, "--kd-weight"), ({"prompts": "x"}, "plain")]
    )
    def test_wrong_values(self, wrong, said):
        with pytest.raises(UsageError, match=said):
            replace(CONFIG, **wrong)

    @pytest.mark.parametrize("name", ["simkd", "adip-gelu", "sd"])
    def test_a_head_that_is_not_linear_is_not_exported_to_timm(self, make, tmp_path, name):
        job = make(name)
        run_training(job)
        with pytest.raises(TrainingError, match="one linear layer"):
            export_timm(job.folder, tmp_path / "out")
