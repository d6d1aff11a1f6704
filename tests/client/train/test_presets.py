"""Presets name methods that exist, and say what they stand for."""

import pytest

from client.train.errors import UnknownName
from client.train.methods import METHODS, find_method
from client.train.plus_methods import IDEAS
from client.train.presets import CONTRASTS, FAIR, PRESETS, find_preset, find_presets


@pytest.mark.parametrize(
    ("preset", "method"), [(p.name, m) for p in PRESETS.values() for m in p.methods]
)
def test_every_method_of_a_preset_exists(preset, method):
    assert find_method(method).name == method
    assert not find_method(method).white_box


def test_full_is_every_method_that_a_vendors_vectors_are_enough_for():
    full = set(find_preset("full").methods)
    left = {name: method for name, method in METHODS.items() if name not in full}
    losing = set(IDEAS) - set(FAIR)
    assert all(m.white_box or m.reads_captions or name in losing for name, m in left.items())
    assert full >= set(FAIR) | set(find_preset("core").methods)


def test_contrasts_are_about_methods_that_exist():
    named = {name for pair in CONTRASTS for name in pair} - {"*"}
    assert named <= set(METHODS)


def test_presets_go_from_small_to_large():
    assert list(find_presets()) == ["smoke", "core", "full"]


def test_an_unknown_preset_is_explained():
    with pytest.raises(UnknownName, match="unknown preset 'cor': did you mean core"):
        find_preset("cor")
