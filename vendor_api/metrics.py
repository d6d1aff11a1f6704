"""Every Prometheus metric, declared once; each app has its own registry. No label names an account."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from vendor_api.db.clock import SECOND
from vendor_api.engine.base import EngineState
from vendor_api.engine.batcher import BatchReport
from vendor_api.ledger.auditor import AuditReport
from vendor_api.pulse import Pulse

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_ITEMS = (1, 2, 4, 8, 16, 32, 64, 128, 256)

__all__ = ["Metrics"]


class States(Protocol):
    """Whatever can say how each model's engine is."""

    def __call__(self) -> Iterable[tuple[str, EngineState]]:
        """Model id and state of each engine."""
        ...


class Metrics:
    """What an operator watches: requests, items, batches, queues, ledger operations."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.pulse = Pulse()
        self.requests = Counter(
            "vl2v_requests", "Answers sent", ["route", "method", "status"], registry=self.registry
        )
        self.request_seconds = Histogram(
            "vl2v_request_seconds",
            "From the first byte in to the last byte out",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.items = Counter(
            "vl2v_items",
            "Items asked for: charged, free (bought before, repeated or replayed) or failed",
            ["model", "modality", "outcome"],
            registry=self.registry,
        )
        self.charged = Counter(
            "vl2v_charged_nanousd",
            "Captured, in 1e-9 US dollars",
            ["model"],
            registry=self.registry,
        )
        self.batch_items = Histogram(
            "vl2v_batch_items",
            "Items a batch",
            ["model", "lane"],
            buckets=_ITEMS,
            registry=self.registry,
        )
        self.batch_seconds = Histogram(
            "vl2v_batch_seconds",
            "Time the model took for a batch",
            ["model", "lane"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.ledger_seconds = Histogram(
            "vl2v_ledger_seconds",
            "Time a ledger operation took",
            ["operation"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.commit_jobs = Histogram(
            "vl2v_ledger_commit_jobs",
            "Ledger commands in one commit",
            buckets=_ITEMS,
            registry=self.registry,
        )
        self.commit_seconds = Histogram(
            "vl2v_ledger_commit_seconds",
            "Time a commit of ledger commands took",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.violations = Gauge(
            "vl2v_ledger_violations",
            "Broken rules that the last audit of the books found",
            registry=self.registry,
        )
        self.audit_seconds = Gauge(
            "vl2v_audit_seconds", "Time the last audit took", registry=self.registry
        )
        self.audit_timestamp = Gauge(
            "vl2v_audit_timestamp_seconds", "When the last audit ended", registry=self.registry
        )
        self.ledger_failures = Counter(
            "vl2v_ledger_failures",
            "Ledger refusals and failures",
            ["operation", "error"],
            registry=self.registry,
        )
        self.expired_holds = Counter(
            "vl2v_expired_holds", "Holds the sweeper gave back", registry=self.registry
        )
        self.limit_decisions = Counter(
            "vl2v_ratelimit_decisions",
            "What the limits of keys said: admitted or refused",
            ["policy", "decision"],
            registry=self.registry,
        )
        self.redis_degraded = Gauge(
            "vl2v_redis_degraded",
            "1 while Redis is configured and does not answer",
            registry=self.registry,
        )

    def watch_engines(self, states: States) -> None:
        """Publish each engine's queue and life whenever metrics are read."""
        self.registry.register(_EngineCollector(states))

    def observe_batch(self, model: str, report: BatchReport) -> None:
        """Count one batch of a model."""
        self.batch_items.labels(model, report.lane).observe(report.items)
        self.batch_seconds.labels(model, report.lane).observe(report.seconds)
        self.pulse.note_batch(report.items, report.room)

    def observe_commit(self, jobs: int, seconds: float) -> None:
        """Count one commit of the ledger's writer."""
        self.commit_jobs.observe(jobs)
        self.commit_seconds.observe(seconds)

    def observe_audit(self, report: AuditReport) -> None:
        """Publish what an audit found."""
        self.violations.set(len(report.violations))
        self.audit_seconds.set(report.seconds)
        self.audit_timestamp.set(report.at / SECOND)

    @asynccontextmanager
    async def ledger_operation(self, name: str) -> AsyncIterator[None]:
        """Time a ledger operation and count what it raises."""
        began = perf_counter()
        try:
            yield
        except Exception as error:
            self.ledger_failures.labels(name, type(error).__name__).inc()
            raise
        finally:
            self.ledger_seconds.labels(name).observe(perf_counter() - began)


class _EngineCollector(Collector):
    def __init__(self, states: States) -> None:
        self._states = states

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Read each engine's state now."""
        queued = GaugeMetricFamily("vl2v_queue_ms", "Estimated work that waits", labels=["model"])
        alive = GaugeMetricFamily(
            "vl2v_engine_alive", "1 while the engine answers", labels=["model"]
        )
        for model, state in self._states():
            queued.add_metric([model], state.queued_ms)
            alive.add_metric([model], float(state.alive))
        return [queued, alive]
