"""A tower on a GPU: every vector its own item's, in any order of streams, with two batches under way."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from tests.vendor_api.engine.lazy_device import LazyDevice
from vendor_api.engine.base import EngineLost
from vendor_api.engine.cuda_tower import SLOTS, Tower, TowerPlan

FORMS = ((3,), (5,))
PLAN = TowerPlan(FORMS, (1, 2, 4, 8), torch.int32, dimension=2)


def embed(items: Tensor) -> Tensor:
    """Of each row its sum and its length."""
    sums = items.float().sum(dim=1)
    return torch.stack([sums, torch.full_like(sums, items.shape[1])], dim=1)


def make_tower(device: LazyDevice, embed: Any = embed, plan: TowerPlan = PLAN) -> Tower:
    return Tower(device, embed, plan)


def rows(first: int, count: int, length: int = 3) -> NDArray[np.int32]:
    steps = np.arange(count * length, dtype=np.int32).reshape(count, length)
    return first * 1000 + steps


def expect(items: NDArray[np.int32]) -> list[list[float]]:
    return [[float(row.sum()), float(len(row))] for row in items]


@settings(max_examples=40, deadline=None)
@given(
    asks=st.lists(st.tuples(st.integers(1, 20), st.sampled_from([3, 5])), min_size=1, max_size=12)
)
def test_every_item_gets_its_own_vector_from_many_threads(asks: list[tuple[int, int]]) -> None:
    tower = make_tower(LazyDevice())
    batches = [rows(number, count, length) for number, (count, length) in enumerate(asks)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(tower, batches))
    assert [vectors.tolist() for vectors in found] == [expect(items) for items in batches]


def test_every_size_is_captured_and_run_before_the_first_batch_the_largest_first() -> None:
    device = LazyDevice()
    seen: list[tuple[int, ...]] = []

    def watch(items: Tensor) -> Tensor:
        seen.append(tuple(items.shape))
        return embed(items)

    tower = make_tower(device, watch)
    order = [(size, length) for length in (5, 3) for size in (8, 4, 2, 1)]
    assert seen[::2] == order
    assert seen[1::2] == order
    captured = sum(said.startswith("capture") for said in device.said)
    assert captured == len(order)
    before = device.count_bytes()
    tower(rows(1, 7))
    assert device.count_bytes() == before
    assert sum(said.startswith("capture") for said in device.said) == captured
    assert seen[-1] == (8, 3)  # padded to the next size


def test_without_graphs_the_same_is_run_and_nothing_captured() -> None:
    device = LazyDevice(capturable=False)
    plan = TowerPlan(FORMS, (1, 2, 4, 8), torch.int32, dimension=2, graphs=False)
    tower = make_tower(device, plan=plan)
    assert tower(rows(3, 5)).tolist() == expect(rows(3, 5))
    with pytest.raises(RuntimeError, match="capturing"):
        make_tower(device)


def test_copies_have_streams_of_their_own() -> None:
    device = LazyDevice()
    tower = make_tower(device)
    device.said.clear()
    tower(rows(1, 2))
    (slot,) = {said.split()[1] for said in device.said} - {"1"}
    assert device.said == [
        f"copy {slot}",  # to the device
        "copy 1",
        "run 1",
        "copy 1",
        f"copy {slot}",  # and back
    ]


def test_no_more_batches_are_under_way_than_there_are_slots() -> None:
    device = LazyDevice()
    entered, gate = threading.Event(), threading.Event()
    ready = False

    def hold(items: Tensor) -> Tensor:
        if ready:
            entered.set()
            assert gate.wait(30)
        return embed(items)

    tower = make_tower(device, hold)
    device.said.clear()
    ready = True
    with ThreadPoolExecutor(SLOTS + 3) as pool:
        found = [pool.submit(tower, rows(number, 1)) for number in range(SLOTS + 3)]
        assert entered.wait(30)
        time.sleep(0.05)
        arrived = [said for said in device.said if said.startswith("copy") and said != "copy 1"]
        assert len(arrived) <= SLOTS
        gate.set()
        assert [one.result().tolist() for one in found] == [
            expect(rows(number, 1)) for number in range(SLOTS + 3)
        ]


def test_items_in_pinned_memory_are_not_copied_on_the_host() -> None:
    device = LazyDevice()
    tower = make_tower(device)
    memory = np.zeros(64, dtype=np.uint8)
    device.pin(memory)
    items = memory[:24].view(np.int32).reshape(2, 3)
    items[:] = rows(4, 2)
    device.sources.clear()
    assert tower(items).tolist() == expect(items)
    assert device.sources[0] == memory.ctypes.data
    device.sources.clear()
    assert tower(rows(5, 2)).tolist() == expect(rows(5, 2))
    assert device.sources[0] != memory.ctypes.data


def test_items_of_another_form_are_refused() -> None:
    tower = make_tower(LazyDevice())
    with pytest.raises(ValueError, match="no item"):
        tower(rows(1, 2, 4))


def test_a_failure_costs_its_batch_and_no_other() -> None:
    device = LazyDevice()
    failing = False

    def fail(items: Tensor) -> Tensor:
        if failing:
            raise RuntimeError("a kernel failed")
        return embed(items)

    tower = make_tower(device, fail)
    failing = True
    with pytest.raises(RuntimeError, match="a kernel failed"):
        tower(rows(1, 2))
    failing = False
    for _ in range(SLOTS + 1):
        assert tower(rows(2, 2)).tolist() == expect(rows(2, 2))
    assert tower.lost is None
    failing, device.lost = True, True
    with pytest.raises(EngineLost, match="a kernel failed"):
        tower(rows(1, 2))
    assert tower.lost == "a kernel failed"


def test_memory_that_runs_out_is_told_before_anything_is_served() -> None:
    with pytest.raises(MemoryError):
        make_tower(LazyDevice(capacity=100))
