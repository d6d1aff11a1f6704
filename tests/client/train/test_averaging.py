"""Which weights a stage leaves: SWAD against its published algorithm, written out plainly."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from client.errors import UsageError
from client.train.averaging import BestHead, Ema, LastWeights, Reading, estimate_batchnorm
from client.train.config import TrainConfig
from client.train.errors import UnknownName
from client.train.loop import is_evaluation
from client.train.recipes import RECIPES, resolve_config
from client.train.student import Student, StudentSpec
from client.train.swad import Swad, Valley

# Eighths add up exactly, so that no rounding decides a comparison.
LOSSES = st.lists(st.integers(0, 24).map(lambda n: n / 8), max_size=40)


def find_valley(losses, n_s=3, n_e=6, r=0.3):
    """Cha et al. 2021, algorithm 1, over all losses at once: (start, threshold, end), from 0."""
    start = threshold = None
    for i in range(len(losses)):
        last = [losses[i - j] for j in range(n_s) if i >= j]
        if start is None:
            if len(last) == n_s and losses[i - n_s + 1] == min(last):
                start, threshold = i - n_s + 1, (1 + r) * (sum(last) / n_s)
        elif threshold < min(losses[i - j] for j in range(n_e) if i >= j):
            return start, threshold, i - n_e
    return start, threshold, None


@given(LOSSES)
def test_the_valley_is_the_published_one(losses):
    valley = Valley()
    for loss in losses:
        valley = valley.after(loss)
    assert (valley.start, valley.threshold, valley.end) == find_valley(losses)


@given(LOSSES)
def test_a_valley_never_ends_before_it_begins(losses):
    valley = Valley()
    for loss in losses:
        valley = valley.after(loss)
    if valley.end is not None:
        assert valley.start is not None
        assert valley.start <= valley.end


class Pool(torch.nn.Module):
    """The smallest backbone with weights, BatchNorm statistics and a counter."""

    num_features = 3

    def __init__(self):
        super().__init__()
        self.norm = torch.nn.BatchNorm2d(3)

    def forward(self, images):
        return self.norm(images).mean(dim=(2, 3))


def _student() -> Student:
    return Student(StudentSpec("pool", 8, 2), Pool(), 3, [0.5] * 3, [0.5] * 3)


class Line:
    """A student whose head's bias is a number that each step changes; the rest stays."""

    def __init__(self):
        self.student = _student()
        self.place = 0.0

    def step(self) -> None:
        self.place = (self.place * 7 + 3) % 11
        with torch.no_grad():
            self.student.linear_head.bias.fill_(self.place)


def _mean(values):
    return sum(values) / len(values)


def _expect(segments, losses):
    """The mean of the segments' means along the valley."""
    start, _, end = find_valley(losses)
    if start is None:
        return _mean(segments[-1])
    last = len(segments) - 1 if end is None else end
    return _mean([_mean(s) for s in segments[start : last + 1]])


@settings(max_examples=40, deadline=None)
@given(
    losses=st.lists(st.integers(1, 24).map(lambda n: n / 8), min_size=1, max_size=24),
    lengths=st.lists(st.integers(1, 3), min_size=24, max_size=24),
    data=st.data(),
)
def test_swad_is_the_mean_of_the_valleys_segments_wherever_it_is_interrupted(losses, lengths, data):
    interrupted = data.draw(st.integers(0, sum(lengths[: len(losses)])))
    line, steps = Line(), 0
    segments: list[list[float]] = []
    heard: list[float] = []
    swad = Swad(line.student)
    for loss, length in zip(losses, lengths, strict=False):
        segments.append([])
        heard.append(loss)
        for _ in range(length):
            if steps == interrupted:
                swad = _hand_over(swad, line.student)
            line.step()
            swad.update()
            steps += 1
            segments[-1].append(line.place)
        swad.evaluate(Reading(steps, 0.5, loss))
        if swad.ended:
            break
    facts = swad.finish()
    start, threshold, end = find_valley(heard)
    first = len(segments) - 1 if start is None else start
    last = len(segments) - 1 if end is None else end
    assert swad.model.linear_head.bias[0].item() == pytest.approx(
        _expect(segments, heard), rel=1e-5
    )
    assert facts == {
        "swad_start": sum(lengths[:first]) + 1,
        "swad_end": sum(lengths[: last + 1]),
        "swad_segments": last - first + 1,
        "swad_threshold": threshold,
    }
    assert swad.ended == (end is not None)


def _hand_over(swad: Swad, student: Student) -> Swad:
    """Another process's SWAD that goes on from this one's tensors and numbers."""
    tensors = {name: value.clone() for name, value in swad.tensors().items()}
    other = Swad(student)
    other.restore(tensors, copy.deepcopy(swad.document()))
    return other


def test_swad_keeps_no_more_segments_than_can_still_be_dropped():
    line = Line()
    swad = Swad(line.student)
    for step in range(30):
        line.step()
        swad.update()
        swad.evaluate(Reading(step + 1, 0.5, 1.0))
    kept = {name.split(".")[1] for name in swad.tensors() if name.startswith("swad.")}
    assert kept == {"total", *map(str, range(6))}


def test_ema_is_the_formula_and_exact_where_nothing_moves():
    line = Line()
    ema = Ema(line.student, 0.9)
    before = line.student.state_dict()["backbone.norm.weight"].clone()
    expected = float(line.student.linear_head.bias[0].detach())
    for step in range(20):
        line.step()
        ema.update()
        d = min(0.9, (1 + step) / (10 + step))
        expected = d * expected + (1 - d) * line.place
    assert ema.model.linear_head.bias[0].item() == pytest.approx(expected, rel=1e-5)
    assert torch.equal(ema.model.state_dict()["backbone.norm.weight"], before)


def test_without_averaging_the_last_weights_are_kept():
    line = Line()
    last = LastWeights(line.student)
    line.step()
    last.update()
    assert last.finish() == {}
    assert last.model is line.student


def test_align_by_steps_keeps_the_first_of_the_best_heads():
    line = Line()
    best, places = BestHead(line.student), []
    for step, accuracy in enumerate([0.1, 0.7, 0.7, 0.3]):
        line.step()
        places.append(line.place)
        best.update()
        best.evaluate(Reading(step + 1, accuracy, 1.0))
    assert best.finish() == {"validation": 0.7}
    assert line.student.linear_head.bias[0].item() == pytest.approx(places[1])


def test_batchnorm_is_estimated_as_the_mean_over_the_batches():
    student = _student()
    student.train()
    norm = student.get_submodule("backbone.norm")
    assert isinstance(norm, torch.nn.BatchNorm2d)
    seen = []
    handle = norm.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    momentum = norm.momentum
    batches = [torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(s)) for s in (1, 2)]
    estimate_batchnorm(student, batches)
    handle.remove()
    means = torch.stack([x.mean(dim=(0, 2, 3)) for x in seen]).mean(dim=0)
    spreads = torch.stack([x.var(dim=(0, 2, 3)) for x in seen]).mean(dim=0)
    assert len(seen) == 2
    assert torch.allclose(norm.get_buffer("running_mean"), means, atol=1e-6)
    assert torch.allclose(norm.get_buffer("running_var"), spreads, atol=1e-6)
    assert norm.momentum == momentum
    assert not norm.training


@given(st.integers(1, 300), st.integers(1, 60))
def test_evaluations_are_evenly_spaced_and_the_last_step_is_one(steps, evaluations):
    config = TrainConfig(steps=steps, evaluations=evaluations)
    looks = [step for step in range(1, steps + 1) if is_evaluation(step, config)]
    assert len(looks) == min(steps, evaluations)
    assert looks[-1] == steps
    gaps = [b - a for a, b in zip([0, *looks], looks, strict=False)]
    assert max(gaps) - min(gaps) <= 1


def test_the_papers_recipe_looks_where_domainbed_does():
    config = resolve_config("paper")
    looks = [step for step in range(1, config.steps + 1) if is_evaluation(step, config)]
    assert looks == list(range(101, 5002, 100))


class TestRecipes:
    def test_the_paper(self):
        config = resolve_config("paper", method="adip")
        assert (config.lr, config.weight_decay, config.warmup) == (5e-5, 0, 0)
        assert (config.schedule, config.steps, config.align) == ("constant", 5001, "steps")
        assert (config.batch, config.sampling) == (32, "per-domain")
        assert (config.averaging_kind, config.evaluations) == ("swad", 50)
        assert config.batchnorm == "frozen"

    def test_an_explicit_setting_counts_more(self):
        config = resolve_config("paper", steps=7, averaging_kind="ema")
        assert (config.steps, config.averaging_kind, config.lr) == (7, "ema", 5e-5)
        assert config.evaluations == TrainConfig().evaluations

    def test_fast_is_the_default(self):
        assert resolve_config("fast") == TrainConfig()

    def test_recipes_name_settings_that_exist(self):
        for name in RECIPES:
            assert resolve_config(name).recipe == name

    def test_an_unknown_one_is_explained(self):
        with pytest.raises(UnknownName, match="did you mean paper"):
            resolve_config("papr")

    def test_swad_wants_enough_evaluations(self):
        with pytest.raises(UsageError, match="--evaluations 30 or more"):
            TrainConfig(averaging_kind="swad", evaluations=29)

    def test_a_word_that_is_no_choice_is_explained(self):
        with pytest.raises(UnknownName, match="unknown --averaging-kind 'swa': did you mean swad"):
            resolve_config("fast", averaging_kind="swa")
