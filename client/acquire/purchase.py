"""One request from start to end: journal, wire, cache, receipt, in an order no crash can spoil."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from client.acquire.answers import match_problems, match_vectors
from client.acquire.errors import FetchInterrupted, FetchStopped, ReplaysUsedUp
from client.acquire.forms import USUAL, Cargo, Forms, pack
from client.acquire.sharing import leave_out, take_turn
from client.acquire.sources import Sources
from client.acquire.spent_keys import give_up_form, give_up_replays, is_reused
from client.api import (
    APIStatusError,
    ConflictError,
    EmbeddingResult,
    InvalidAnswerError,
    InvalidInputError,
    RateLimitError,
    UnprocessableEntityError,
    VendorError,
)
from client.budget import Batch, Entry, Form, ItemOutcome, Journal, Settlement
from client.cache import EmbeddingStore
from client.data import DataError
from client.failpoints import reach
from client.teachers import Teacher
from shared.codecs import Vector
from shared.errors import ErrorCode
from shared.money import parse_usd
from shared.wire import ChargeDocument

SETTLED_REFUSALS = frozenset({400, 401, 402, 403, 404, 413, 422})
"""Refusals that reserve nothing. 409, 429 and 5xx may be said of a request that was charged."""

IN_FLIGHT_SECONDS = 120.0
"""A vendor that was killed gives a hold up after a minute and a half."""
IN_FLIGHT_PAUSE = 2.0

__all__ = ["Bought", "FetchInterrupted", "FetchStopped", "Purchaser", "ReplaysUsedUp", "is_final"]


@dataclass(frozen=True, slots=True)
class Bought:
    """A settled batch."""

    batch: Batch
    delivered: int
    """Vectors received; not those that another run bought meanwhile."""
    failures: tuple[ItemOutcome, ...]
    cost_nanousd: int
    """What it added to the run's spending; nothing when it was paid before."""
    balance_nanousd: int | None = None
    sent_bytes: int = 0
    """Octets of its items on the wire."""


@dataclass(frozen=True, slots=True)
class Purchaser:
    """Sends planned batches; safe to use from several threads."""

    teacher: Teacher
    store: EmbeddingStore
    journal: Journal
    sources: Sources
    rebuy_free_days: int = 0
    """As the model's document says."""
    forms: Forms = USUAL
    """How the teacher is asked, and was perhaps asked before."""
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], object] = time.sleep
    """Answers true when the wait is to be cut short."""

    def buy(self, batch: Batch, *, sent_before: bool = False) -> Bought:
        """Send a planned batch, keep its vectors, settle it to the receipt.

        Killed between any two lines, the same key is sent again on the next start and the vendor
        answers it without charging again. Raises VendorError after noting in the journal what is
        certain, DataError when a file changed before it was sent.
        """
        key = batch.idempotency_key
        try:
            cargo = pack(self.sources, batch)
        except DataError as error:
            if not sent_before:
                self.journal.fail(key, str(error))
            raise
        reach("loaded")
        if sent_before:
            self.journal.mark_sent(key)
        elif bought := take_turn(self, batch):
            return self._buy_rest(batch, bought)
        reach("sent")
        if not cargo.batch.digests:
            return self._close_unsent(cargo, sent_before=sent_before)
        return self._deliver(cargo, sent_before=sent_before)

    def _deliver(
        self, cargo: Cargo, *, sent_before: bool, others: tuple[Form, ...] | None = None
    ) -> Bought:
        """Ask, keep, settle; in one of the `others` where the vendor knows the key by another form."""
        batch = cargo.batch
        try:
            answer = self._ask(cargo)
            reach("answered")
            vectors = match_vectors(batch, answer)
            if answer.replayed:
                self._keep(batch, vectors)
            settlement = self._read_receipt(cargo, answer)
        except VendorError as error:
            if is_reused(error):
                left = self.forms.list_others(cargo.whole) if others is None else others
                if left:
                    return self._deliver_as(cargo, left, sent_before=sent_before)
            return self._close_refused(cargo, error, sent_before=sent_before)
        reach("receipt")
        if answer.replayed:
            new = self.journal.settle(batch.idempotency_key, settlement) or 0
        else:
            new = self.journal.deliver(batch, vectors, settlement) or 0
        reach("settled")
        delivered = len(cargo.whole.digests) - len(settlement.failures)
        return Bought(
            cargo.whole, delivered, settlement.failures, new, answer.balance_nanousd, cargo.size
        )

    def _deliver_as(self, cargo: Cargo, forms: tuple[Form, ...], *, sent_before: bool) -> Bought:
        """Ask for the same items under the same key as they were asked for before."""
        again = pack(self.sources, replace(cargo.whole, form=forms[0]))
        self.journal.note_form(again.whole.idempotency_key, forms[0])
        return self._deliver(again, sent_before=sent_before, others=forms[1:])

    def _close_unsent(self, cargo: Cargo, *, sent_before: bool) -> Bought:
        """Settle a batch of which nothing can be sent, free."""
        if sent_before and (bought := self.close_by_charge(cargo.whole)):
            return bought
        settlement = Settlement(0, failures=cargo.failures)
        new = self.journal.settle(cargo.whole.idempotency_key, settlement) or 0
        return Bought(cargo.whole, 0, cargo.failures, new)

    def _buy_rest(self, batch: Batch, bought: frozenset[bytes]) -> Bought:
        """Buy what another run has not bought meanwhile."""
        rest = leave_out(self, batch, bought)
        reach("narrowed")
        if rest is None:
            return Bought(batch, 0, (), 0)
        return replace(self.buy(rest), batch=batch)

    def resume(self, entry: Entry) -> Bought | None:
        """Close a batch that an earlier fetch left open; None when it was not charged.

        As `recover` says, for one of them.
        """
        batch = entry.batch
        if entry.state == "planned":
            self.journal.fail(batch.idempotency_key, "it was never sent")
            return None
        held = self.store.held(batch.revision, batch.modality, batch.digests, view=batch.view)
        if held.issuperset(batch.digests) or not self.sources.has(batch):
            return self.close_by_charge(batch)
        try:
            return self.buy(batch, sent_before=True)
        except ReplaysUsedUp:
            # Settled; its items are missing from the cache and come under a new key.
            return None
        except VendorError as error:
            if is_final(error):
                return self.close_by_charge(batch)
            raise

    def _ask(self, cargo: Cargo) -> EmbeddingResult:
        """The vendor's answer; an earlier try that it still works on, or had to abandon, is awaited."""
        began = self.clock()
        while True:
            try:
                return self._ask_once(cargo)
            except ConflictError as error:
                patient = self.clock() - began < IN_FLIGHT_SECONDS
                if error.code != ErrorCode.REQUEST_IN_FLIGHT or not patient:
                    raise
                if self.sleep(IN_FLIGHT_PAUSE):
                    raise

    def _ask_once(self, cargo: Cargo) -> EmbeddingResult:
        model, key = cargo.batch.model, cargo.batch.idempotency_key
        if cargo.pixels is not None:
            return self.teacher.embed_pixels(cargo.pixels, model=model, idempotency_key=key)
        framed = cargo.batch.form == "frames"
        return self.teacher.embed(cargo.items, model=model, idempotency_key=key, framed=framed)

    def find_charge(self, batch: Batch) -> ChargeDocument | None:
        """The vendor's own record of the batch. Raises VendorError."""
        return self.teacher.find_charge(batch.idempotency_key)

    def close_by_charge(self, batch: Batch) -> Bought | None:
        """Settle or fail a batch by the vendor's record alone, without sending it again."""
        if not self.teacher.metered:
            return self._close_by_cache(batch)
        charge = self.find_charge(batch)
        reach("recorded")
        if charge is not None and charge.state == "held":
            raise FetchStopped(
                "the vendor is still working on a request of an earlier fetch: run the same "
                "command again in two minutes"
            )
        if charge is None or charge.state != "captured":
            self.journal.fail(batch.idempotency_key, "the vendor did not charge it")
            return None
        settlement = Settlement(parse_usd(charge.cost_usd), charge.id, charge.request_id)
        new = self.journal.settle(batch.idempotency_key, settlement) or 0
        held = self.store.held(batch.revision, batch.modality, batch.digests, view=batch.view)
        return Bought(batch, len(held), (), new)

    def _close_by_cache(self, batch: Batch) -> Bought | None:
        """Where nobody keeps a record: what was kept was answered, the rest may be asked again."""
        held = self.store.held(batch.revision, batch.modality, batch.digests, view=batch.view)
        if not held:
            self.journal.fail(batch.idempotency_key, "no vector of it was kept")
            return None
        lost = tuple(
            ItemOutcome(digest, "not_kept", "no vector of it was kept")
            for digest in batch.digests
            if digest not in held
        )
        price = batch.max_cost_nanousd // len(batch.digests)
        settlement = Settlement(price * len(held), failures=lost)
        new = self.journal.settle(batch.idempotency_key, settlement) or 0
        return Bought(batch, len(held), (), new)

    def _keep(self, batch: Batch, vectors: Mapping[bytes, Vector]) -> None:
        """Keep what is here although the receipt is still to be asked for, which may fail."""
        self.store.put_many(
            batch.revision, batch.modality, vectors, purpose=batch.purpose, view=batch.view
        )
        reach("stored")

    def _read_receipt(self, cargo: Cargo, answer: EmbeddingResult) -> Settlement:
        batch = cargo.batch
        cost, charge_id = answer.cost_nanousd, answer.charge_id
        if answer.replayed:
            # A replay costs nothing itself; the journal needs what the first answer cost.
            charge = self.find_charge(batch)
            if charge is None:
                raise InvalidAnswerError("the vendor replayed a charge that it does not list")
            cost, charge_id = parse_usd(charge.cost_usd), charge.id
        failures = tuple(
            ItemOutcome(batch.digests[item.index], item.error.code, item.error.message)
            for item in answer.data
            if item.error is not None
        )
        return Settlement(cost, charge_id, answer.request_id, failures + cargo.failures)

    def _close_refused(self, cargo: Cargo, error: VendorError, *, sent_before: bool) -> Bought:
        """Note in the journal what a refusal proves; raise it unless it settles the batch."""
        key = cargo.whole.idempotency_key
        if isinstance(error, UnprocessableEntityError) and error.code == ErrorCode.NO_VALID_ITEM:
            failures = match_problems(cargo.batch, error) + cargo.failures
            settlement = Settlement(0, None, error.request_id, failures)
            new = self.journal.settle(key, settlement) or 0
            return Bought(cargo.whole, 0, failures, new, sent_bytes=cargo.size)
        if isinstance(error, RateLimitError) and error.code == ErrorCode.REPLAY_LIMIT:
            give_up_replays(self, cargo.whole, error)
        if isinstance(error, UnprocessableEntityError) and is_reused(error):
            give_up_form(self, cargo.whole, error)
        certain = is_final(error) and not error.retries and not sent_before
        if certain or not self.teacher.metered:
            self.journal.fail(key, str(error))
        else:
            self.journal.mark_unknown(key, str(error))
        raise error


def is_final(error: VendorError) -> bool:
    """Whether the refused request itself was certainly not charged, if it was sent only once."""
    if isinstance(error, InvalidInputError):
        return True  # it was not sent
    if not isinstance(error, APIStatusError):
        return False
    return error.status_code in SETTLED_REFUSALS or error.code == ErrorCode.REVISION_CHANGED
