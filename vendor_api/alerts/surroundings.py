"""Alerts that only the serving process knows: engines, answers, Redis, the auditor; and the disk."""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from vendor_api.alerts.alert import Alert, enumerate_subjects, raise_alert
from vendor_api.db.clock import SECOND
from vendor_api.engine.base import EngineState
from vendor_api.ledger.auditor import AuditReport
from vendor_api.metrics import Metrics
from vendor_api.pulse import Pulse
from vendor_api.thresholds import Thresholds

ANSWERS_S = 300
"""The last seconds whose answers are looked at."""

__all__ = ["look_at_answers", "look_at_audit", "look_at_disk", "look_at_engines", "look_at_redis"]


def look_at_engines(states: Iterable[tuple[str, EngineState]]) -> Iterator[Alert]:
    """Whether each model still computes."""
    dead = [model for model, state in states if not state.alive]
    if dead:
        yield raise_alert(
            "engine_down",
            f"The engine of {enumerate_subjects(dead)} is down: if it does not come back by itself, "
            "restart the server; on Ray see `vl2v-vendor engine status`.",
        )


def look_at_answers(pulse: Pulse, limits: Thresholds) -> Iterator[Alert]:
    """Whether many of the last answers to customers were failures of the service's own."""
    sums = pulse.window(ANSWERS_S).sums
    if sums.answers < limits.alert_error_answers:
        return
    percent = 100 * sums.failures / sums.answers
    if sums.failures and percent >= limits.alert_error_percent:
        yield raise_alert(
            "error_rate",
            f"{sums.failures} of {sums.answers} answers to customers in five minutes were failures "
            f"({percent:.1f} %): look at the log.",
        )


def look_at_redis(metrics: Metrics) -> Iterator[Alert]:
    """Whether limits are counted by each process alone."""
    if metrics.registry.get_sample_value("vl2v_redis_degraded"):
        yield raise_alert(
            "redis_degraded",
            "Redis does not answer: each server counts the limits of keys by itself. "
            "No balance depends on it.",
        )


def look_at_audit(
    last: AuditReport | None, now: int, began: int, limits: Thresholds
) -> Iterator[Alert]:
    """Whether the books were checked lately (since `began`, when never) and were right."""
    age_s = (now - (began if last is None else last.at)) / SECOND
    if age_s > limits.alert_audit_age_s:
        yield raise_alert(
            "audit_overdue",
            f"The books were not checked for {age_s / 60:.0f} minutes: run `vl2v-vendor ledger verify`.",
            "/dashboard/integrity",
        )
    if last is not None and last.violations:
        subjects = (f"{each.rule}: {each.subject}" for each in last.violations)
        yield raise_alert(
            "books_wrong",
            f"The books break {len(last.violations)} rules ({enumerate_subjects(subjects)}): "
            "run `vl2v-vendor ledger verify`.",
            "/dashboard/integrity",
        )


def look_at_disk(database: Path | None, limits: Thresholds) -> Iterator[Alert]:
    """Whether a SQLite file can still grow."""
    if database is None:
        return
    free = shutil.disk_usage(database.resolve().parent).free
    if free < limits.alert_disk_free_bytes:
        yield raise_alert(
            "disk_nearly_full",
            f"{free / 1024**2:,.0f} MiB are left beside {database.name}: free some, or move it.",
        )
