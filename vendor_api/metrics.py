"""Every Prometheus metric, declared once; each app has its own registry. No label names an account.

Gauges say how the values of several processes become one (`multiprocess_mode`); nothing here is
computed only when it is asked for, since another process may be the one that is asked.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from time import perf_counter
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from vendor_api.db.clock import SECOND
from vendor_api.engine.base import EngineState
from vendor_api.engine.batcher import BatchReport
from vendor_api.ledger.auditor import AuditReport
from vendor_api.pulse import Pulse

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_ITEMS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
"""What a client writes there may be anything, and a label must have few values."""
_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])")

CHILDREN = 4096
"""Of all metrics, found without a lock; there are fewer combinations of labels."""
OK = "ok"
"""The outcome of what succeeded."""

__all__ = ["OK", "Metrics", "States"]


class States(Protocol):
    """Whatever can say how each model's engine is."""

    def __call__(self) -> Iterable[tuple[str, EngineState]]:
        """Model id and state of each engine."""
        ...


class Metrics:
    """What an operator watches: requests, items, batches, queues, ledger operations, alerts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.pulse = Pulse()
        """The last minutes of this process, for the dashboard and for alerts."""
        self._states: States = lambda: ()
        self._child = lru_cache(maxsize=CHILDREN)(_label)
        self._declare_service()
        self._declare_engines()
        self._declare_ledger()
        self._declare_watch()

    def _declare_service(self) -> None:
        registry = self.registry
        self.requests = Counter(
            "vl2v_http_requests", "Answers sent", ["route", "method", "status"], registry=registry
        )
        self.request_seconds = Histogram(
            "vl2v_http_request_duration_seconds",
            "From the first byte in to the last byte out",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.items = Counter(
            "vl2v_items",
            "Items asked for: charged, free (bought before, repeated or replayed) or failed",
            ["model", "modality", "outcome"],
            registry=registry,
        )
        self.results = Counter(
            "vl2v_results",
            "Items that were not computed: kept from before, or shared with a request under way",
            ["kind"],
            registry=self.registry,
        )
        self.charged = Counter(
            "vl2v_charged_nanousd",
            "Captured, in 1e-9 US dollars; for graphs, the books are in the database",
            ["model"],
            registry=registry,
        )
        self.limit_decisions = Counter(
            "vl2v_ratelimit_decisions",
            "What the limits of keys said: admitted or refused",
            ["policy", "decision"],
            registry=registry,
        )
        self.idempotency = Counter(
            "vl2v_idempotency",
            "What was found under a request's idempotency key: new, replayed, or why it was refused",
            ["result"],
            registry=registry,
        )
        self.redis_degraded = Gauge(
            "vl2v_redis_degraded",
            "1 while Redis is configured and does not answer",
            registry=registry,
            multiprocess_mode="livemax",
        )

    def _declare_engines(self) -> None:
        registry = self.registry
        self.batch_items = Histogram(
            "vl2v_embed_batch_size",
            "Items a batch",
            ["model", "lane"],
            buckets=_ITEMS,
            registry=registry,
        )
        self.batch_seconds = Histogram(
            "vl2v_embed_duration_seconds",
            "Time the model took for a batch",
            ["model", "lane"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.queue_depth = Gauge(
            "vl2v_queue_depth",
            "Items that wait for the model",
            ["model"],
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.queue_seconds = Gauge(
            "vl2v_queue_seconds",
            "Estimated work ahead of a new item",
            ["model"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.engine_alive = Gauge(
            "vl2v_engine_alive",
            "1 while the engine answers",
            ["model"],
            registry=registry,
            multiprocess_mode="livemin",
        )

    def _declare_ledger(self) -> None:
        registry = self.registry
        self.ledger_transactions = Counter(
            "vl2v_ledger_tx",
            "Operations of the ledger: ok, or the refusal or failure",
            ["op", "outcome"],
            registry=registry,
        )
        self.ledger_seconds = Histogram(
            "vl2v_ledger_operation_duration_seconds",
            "Time a request waited for a ledger operation",
            ["op"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.commit_jobs = Histogram(
            "vl2v_ledger_batch_size",
            "Ledger commands in one commit",
            buckets=_ITEMS,
            registry=registry,
        )
        self.commit_seconds = Histogram(
            "vl2v_ledger_commit_duration_seconds",
            "Time a commit of ledger commands took",
            buckets=_SECONDS,
            registry=registry,
        )
        self.holds = Gauge(
            "vl2v_holds_outstanding",
            "Charges that hold money now, of every process",
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self.expired_holds = Counter(
            "vl2v_holds_expired", "Holds the sweeper gave back", registry=registry
        )

    def _declare_watch(self) -> None:
        registry = self.registry
        self.violations = Gauge(
            "vl2v_ledger_invariant_violations",
            "Broken rules that the last audit of the books found",
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self.audit_seconds = Gauge(
            "vl2v_audit_duration_seconds",
            "Time the last audit took",
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self.audit_timestamp = Gauge(
            "vl2v_audit_timestamp_seconds",
            "When the last audit ended",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.alert = Gauge(
            "vl2v_alert",
            "1 while the alert is on",
            ["name", "severity"],
            registry=registry,
            multiprocess_mode="livemax",
        )

    def watch_engines(self, states: States) -> None:
        """Publish each engine's queue and life, now and at each `refresh`."""
        self._states = states
        self.refresh()

    def refresh(self) -> None:
        """Read each engine's state now."""
        for model, state in self._states():
            self.queue_depth.labels(model).set(state.waiting)
            self.queue_seconds.labels(model).set(state.queued_ms / 1000)
            self.engine_alive.labels(model).set(state.alive)

    def observe_answer(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one answer; `route` is a pattern, never a caller's own path."""
        known = method if method in _METHODS else "other"
        self._child(self.requests, route, known, str(status)).inc()
        self._child(self.request_seconds, route).observe(seconds)

    def observe_batch(self, model: str, report: BatchReport) -> None:
        """Count one batch of a model."""
        self._child(self.batch_items, model, report.lane).observe(report.items)
        self._child(self.batch_seconds, model, report.lane).observe(report.seconds)
        self.pulse.note_batch(report.items, report.room)

    def observe_sale(self, model: str, nanousd: int, items: Mapping[tuple[str, str], int]) -> None:
        """Count what a request was charged, and its items by modality and outcome."""
        self._child(self.charged, model).inc(nanousd)
        for (modality, outcome), count in items.items():
            self._child(self.items, model, modality, outcome).inc(count)

    def observe_key(self, result: str) -> None:
        """Count what was found under an idempotency key."""
        self._child(self.idempotency, result).inc()

    def observe_results(self, kind: str, items: int) -> None:
        """Count items that needed no computing."""
        self._child(self.results, kind).inc(items)

    def observe_commit(self, jobs: int, seconds: float) -> None:
        """Count one commit of the ledger's writer."""
        self.commit_jobs.observe(jobs)
        self.commit_seconds.observe(seconds)

    def observe_audit(self, report: AuditReport) -> None:
        """Publish what an audit found."""
        self.violations.set(len(report.violations))
        self.audit_seconds.set(report.seconds)
        self.audit_timestamp.set(report.at / SECOND)

    @contextmanager
    def ledger_operation(self, name: str) -> Iterator[None]:
        """Time a ledger operation and count how it ended."""
        began, outcome = perf_counter(), OK
        try:
            yield
        except BaseException as error:
            outcome = _WORD.sub("_", type(error).__name__).lower()
            raise
        finally:
            self._child(self.ledger_transactions, name, outcome).inc()
            self._child(self.ledger_seconds, name).observe(perf_counter() - began)


def _label(metric: Any, *values: str) -> Any:
    return metric.labels(*values)
