"""Restyled views: inside [0, 1], a sample's own, decided by the generator alone."""

import pytest
import torch

from client.train.augment import augment, to_unit_range
from client.train.styles import STYLES, restyle


@pytest.fixture
def images(experiment):
    return to_unit_range(experiment.pixels(32))


@pytest.mark.parametrize("name", STYLES)
def test_a_style_keeps_the_shape_and_changes_the_picture(images, name):
    draws = torch.rand(8, len(images), generator=torch.Generator().manual_seed(0))
    styled = STYLES[name](images, draws).clamp(0, 1)
    assert styled.shape == images.shape
    assert styled.dtype == images.dtype
    assert torch.isfinite(styled).all()
    changed = (styled - images).abs().amax(dim=(1, 2, 3)) > 0.05
    assert changed.float().mean() > 0.2  # a black silhouette has no hole to fill


def test_values_stay_between_nought_and_one(images):
    noise = torch.rand(32, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    for pictures in (images, noise, torch.ones(4, 3, 16, 16), torch.zeros(4, 3, 16, 16)):
        styled = restyle(pictures, torch.Generator().manual_seed(2), 1.0)
        assert 0 <= styled.min() <= styled.max() <= 1


def test_the_same_generator_draws_the_same_styles(images):
    first, again, other = (
        restyle(images, torch.Generator().manual_seed(seed), 0.5) for seed in (3, 3, 4)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_share_says_how_many_samples_change():
    pictures = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)).repeat(
        1000, 1, 1, 1
    )
    styled = restyle(pictures, torch.Generator().manual_seed(6), 0.3)
    share = (styled != pictures).any(dim=3).any(dim=2).any(dim=1).float().mean()
    assert 0.2 < share < 0.35


def test_restyling_leaves_what_it_is_given_alone(images):
    before = images.clone()
    restyle(images, torch.Generator().manual_seed(0), 1.0)
    assert torch.equal(images, before)


def test_each_copy_of_a_picture_gets_a_style_of_its_own(images):
    copies = images[:1].repeat(16, 1, 1, 1)
    styled = restyle(copies, torch.Generator().manual_seed(0), 1.0)
    assert len({tuple(view.flatten().tolist()) for view in styled}) > 6


def test_a_filled_ring_has_ink_in_its_middle(experiment):
    pictures = experiment.manifest.pictures
    rows = [i for i, p in enumerate(pictures) if (p.label, p.domain) == ("ring", "ink")][:4]
    rings = to_unit_range(experiment.pixels(32)[rows])
    draws = torch.full((8, len(rings)), 0.4)
    draws[0] = 0.9  # a silhouette, not a coloured drawing
    filled = STYLES["fill"](rings, draws)
    for ring, full in zip(rings, filled, strict=True):
        inked = torch.nonzero(ring.amin(dim=0) < 0.5)
        row, column = inked.float().mean(dim=0).round().long().tolist()
        assert ring[:, row, column].min() > 0.9
        assert full[:, row, column].max() < 0.2


def test_views_are_as_before_unless_styles_are_asked_for(images):
    plain = augment(images, torch.Generator().manual_seed(7))
    assert torch.equal(plain, augment(images, torch.Generator().manual_seed(7), styles=False))
    assert not torch.equal(plain, augment(images, torch.Generator().manual_seed(7), styles=0.9))


def test_strong_views_stay_in_range_and_differ(images):
    strong = augment(images, torch.Generator().manual_seed(7), strong=True)
    assert strong.shape == images.shape
    assert 0 <= strong.min() <= strong.max() <= 1
    assert not torch.equal(strong, augment(images, torch.Generator().manual_seed(7)))
