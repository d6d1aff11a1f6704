"""Which space an account is answered in, and the rotation that takes vectors there."""

import asyncio
import threading
from collections import OrderedDict
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeAlias

from vendor_api.spaces.rotations import Rotation, derive_rotation, derive_seed

KEPT_BYTES = 256 * 2**20
"""Of rotations in memory: a megabyte each at 512 dimensions. Others are made anew, in milliseconds."""
_PURPOSE = "vl2v private space"
_ID_DIGITS = 8

__all__ = ["Space", "Spaces"]

_Key: TypeAlias = "tuple[Space, str, int]"


@dataclass(frozen=True, slots=True)
class Space:
    """An account's private space."""

    account_id: str
    serial: int
    """Counts the account's spaces from 1; a new one is a new rotation."""
    id: str
    """A short public fingerprint: names the space in every answer, says nothing of the rotation."""


class Spaces:
    """Makes rotations from the vendor's pepper and remembers the latest; safe to use from threads."""

    def __init__(self, pepper: bytes, *, kept_bytes: int = KEPT_BYTES) -> None:
        # Not the pepper itself: what is learnt of one use says nothing about the other.
        self._secret = derive_seed(pepper, _PURPOSE)
        self._kept_bytes = kept_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[_Key, Rotation] = OrderedDict()
        self._making: dict[_Key, asyncio.Future[Rotation]] = {}

    def name(self, account_id: str, serial: int) -> Space:
        """The account's space of that number."""
        fingerprint = derive_seed(self._secret, "id", account_id, str(serial)).hex()
        return Space(account_id, serial, f"s{fingerprint[:_ID_DIGITS]}")

    async def open(
        self, space: Space, *, revision: str, dimension: int, pool: Executor
    ) -> Rotation:
        """The space's rotation of one revision of a model; made in the pool, once, when it is not known."""
        key = (space, revision, dimension)
        known = self._kept.get(key)
        if known is not None:
            return known
        making = self._making.get(key)
        if making is None:
            loop = asyncio.get_running_loop()
            making = self._making[key] = loop.run_in_executor(pool, self.derive, *key)
            making.add_done_callback(lambda _: self._making.pop(key, None))
        return await asyncio.shield(making)  # others may wait for it too

    def derive(self, space: Space, revision: str, dimension: int) -> Rotation:
        """The same, made here if need be."""
        key = (space, revision, dimension)
        known = self._kept.get(key)
        if known is None:
            names = ("rotation", space.account_id, str(space.serial), space.id, revision)
            known = derive_rotation(self._secret, dimension, *names)
            with self._lock:
                self._kept[key] = known
                self._forget_oldest()
        return known

    def _forget_oldest(self) -> None:
        size = sum(rotation.blocks.nbytes for rotation in self._kept.values())
        while len(self._kept) > 1 and size > self._kept_bytes:
            _, oldest = self._kept.popitem(last=False)
            size -= oldest.blocks.nbytes
