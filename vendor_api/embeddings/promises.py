"""Who was told to come back when: a virtual queue behind the real one.

The real queue takes a bounded time's work. A request beyond it is refused with the moment at which
its turn comes, and that moment is kept for it: its work stands in the virtual queue behind what waits
and what was promised before, so that no more are told a moment than can then be served. The rules:

- A newcomer comes in when all that goes before it, promised work too, and its own work fit the real
  queue; or when that queue runs so low that promised callers have evidently not come.
- One that comes back when told (`EARLY_S` before, `GRACE_S` after) comes in before newcomers and may
  overfill the queue: by once its length at the first time, by twice at the second, at the third by
  whatever it takes. Estimates may be that wrong.
- One that comes back too early is told the same moment again; one that comes too late is a newcomer.
- Accounts take turns: a promise stands behind no more of another account's promised work than it has
  work of its own account up to and with itself. A flood of one account delays only that account.
- Told moments lie `LEAD` of the queue's length before the caller's turn, so that the engine still has
  work when they come a little late.
- A rush is slow in itself: refusals are work too, and over when the promised callers come. So turns are
  counted at the engine's best pace of late, while the real queue holds those for whom that was too
  early; as it overfills, turns in the likely rest of the rush (`GOES_ON` of the time that it has lasted)
  are counted at the pace of now.
- Moments fall on beats: who comes together is held, decoded and charged together, which costs a fraction.

Memory is bounded: at most `max_promises`, of which an account may have as many as are still free, and
none farther ahead than `HORIZON_S`. Whoever is refused beyond that is told to ask again at that horizon.
"""

import heapq
import math
from dataclasses import dataclass

EARLY_S = 0.1
GRACE_S = 5.0
"""`Retry-After` in whole seconds is up to one late, and so may networks be."""
HORIZON_S = 100.0
"""Clients give up on a vendor that asks for more than two minutes."""
SHORTEST_S = 0.05
LEAD = 0.5
LOW = 0.25
"""Of the queue's length: below it newcomers keep the engine busy whatever was promised."""
INTO = 0.25
LAST_CALL = 3
FULL, OVERFULL = 1.25, 1.75
"""Of the queue's length: where the best pace begins to be doubted, and is believed no more."""
CALM_S = 2.0
"""A rush is over when nobody has been refused for so long."""
GOES_ON = 0.25
"""Of the time that a rush has lasted: for so long it is expected to go on."""
BEAT_S = 0.25
BEAT = 0.125
"""Of the queue's length: beats are no longer than that, so that nobody waits long for one."""
MAX_PROMISES = 50_000

__all__ = ["GRACE_S", "HORIZON_S", "Caller", "Load", "Promises", "Refused"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks for what: the same request sent again is the same caller."""

    account: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Load:
    """The real queue now; work in any unit that stays the same."""

    backlog: float
    """What waits or is computed."""
    bound: float
    """What may wait."""
    pace: float = 1.0
    """How much of it is done in a millisecond."""
    best: float = 0.0
    """The same at its best lately."""


@dataclass(frozen=True, slots=True)
class Refused:
    """No place now."""

    delay_s: float
    """Until the caller's turn."""
    promised: bool
    """Whether a place is kept for it then."""


@dataclass(frozen=True, slots=True, order=True)
class _Promise:
    due: float
    caller: Caller
    work: float
    calls: int
    """How often its caller has been refused and came back when told, this time included."""


class Promises:
    """The virtual queue of one engine's lane. Times are seconds of any clock that only goes forward."""

    def __init__(self, max_promises: int = MAX_PROMISES) -> None:
        self._max_promises = max_promises
        self._kept: dict[Caller, _Promise] = {}
        self._work: dict[str, float] = {}
        """Promised work by account."""
        self._counts: dict[str, int] = {}
        self._by_due: list[tuple[float, int, _Promise]] = []
        """A heap; entries that are kept no more are passed over."""
        self._serial = 0
        self._rush_began = self._refused = -math.inf

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def entries(self) -> int:
        """What is remembered in all, for whoever doubts that it is bounded."""
        return len(self._by_due)

    def ask(self, caller: Caller, work: float, load: Load, now: float) -> Refused | None:
        """None: the caller comes in now, and what it was promised is kept. Else when to come back."""
        self._forget_late(now)
        known = self._kept.get(caller)
        if known is not None:
            self._drop(known)
        if self._takes(caller, work, load, known, now):
            return None
        if known is not None and now < known.due - EARLY_S:
            self._keep(known)
            return Refused(known.due - now, promised=True)
        return self._promise(caller, work, load, 1 if known is None else known.calls + 1, now)

    def _takes(
        self, caller: Caller, work: float, load: Load, known: _Promise | None, now: float
    ) -> bool:
        backlog, bound = load.backlog, load.bound
        if known is not None and now >= known.due - EARLY_S:
            # One request may be longer than the queue: its promise has made room for all of it.
            counted = min(work, bound)
            return known.calls >= LAST_CALL or backlog + counted <= (1 + known.calls) * bound
        if not self._kept and backlog <= LEAD * bound:
            return True  # of any size: that is how wrong estimates are corrected
        return (
            backlog + work <= LOW * bound or self._find_before(caller, work, load) + work <= bound
        )

    def _find_before(self, caller: Caller, work: float, load: Load) -> float:
        """Work that is to be done before this caller's."""
        own = self._work.get(caller.account, 0.0)
        share = own + work
        others = sum(
            min(promised, share)
            for account, promised in self._work.items()
            if account != caller.account
        )
        return load.backlog + own + others

    def _promise(self, caller: Caller, work: float, load: Load, calls: int, now: float) -> Refused:
        # Somewhat into its turn: a long request that came before a short one would keep that waiting.
        turn = self._find_before(caller, work, load) + INTO * min(work, load.bound)
        self._note_rush(now)
        rush_s = GOES_ON * (now - self._rush_began)
        delay = _find_beat(now, _count_seconds(turn - LEAD * load.bound, load, rush_s), load) - now
        free = self._max_promises - len(self._kept)
        if delay > HORIZON_S or self._counts.get(caller.account, 0) >= free:
            return Refused(min(delay, HORIZON_S), promised=False)
        self._keep(_Promise(now + delay, caller, work, calls))
        return Refused(delay, promised=True)

    def _note_rush(self, now: float) -> None:
        """Somebody is refused, for the first time or again in one rush."""
        if now - self._refused > CALM_S:
            self._rush_began = now
        self._refused = now

    def _keep(self, promise: _Promise) -> None:
        account = promise.caller.account
        self._kept[promise.caller] = promise
        self._work[account] = self._work.get(account, 0.0) + promise.work
        self._counts[account] = self._counts.get(account, 0) + 1
        self._serial += 1
        heapq.heappush(self._by_due, (promise.due, self._serial, promise))
        if len(self._by_due) > 2 * len(self._kept) + 64:
            self._by_due = [row for row in self._by_due if self._kept.get(row[2].caller) is row[2]]
            heapq.heapify(self._by_due)

    def _drop(self, promise: _Promise) -> None:
        account = promise.caller.account
        del self._kept[promise.caller]
        self._counts[account] -= 1
        self._work[account] -= promise.work
        if not self._counts[account]:
            del self._counts[account], self._work[account]

    def _forget_late(self, now: float) -> None:
        while self._by_due and self._by_due[0][0] + GRACE_S < now:
            _, _, promise = heapq.heappop(self._by_due)
            if self._kept.get(promise.caller) is promise:
                self._drop(promise)


def _count_seconds(work: float, load: Load, rush_s: float) -> float:
    """In how many that much work is done, if the rush goes on for `rush_s`."""
    best = max(load.best, load.pace)
    doubt = (load.backlog / load.bound - FULL) / (OVERFULL - FULL)
    pace = best + min(max(doubt, 0.0), 1.0) * (load.pace - best)
    rushed = min(work, 1000 * pace * rush_s)
    return (rushed / pace + (work - rushed) / best) / 1000


def _find_beat(now: float, delay: float, load: Load) -> float:
    """The first beat that is so much later than now."""
    beat = min(BEAT_S, BEAT * load.bound / load.pace / 1000)
    return math.ceil((now + max(SHORTEST_S, delay)) / beat) * beat
