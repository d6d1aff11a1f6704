"""Checks of the books that somebody asks for: one at a time, beside everything else."""

import asyncio
import time
from dataclasses import dataclass

from fastapi import FastAPI
from sqlalchemy.exc import SQLAlchemyError

from vendor_api.dependencies import Shop
from vendor_api.ledger.audit import audit
from vendor_api.ledger.auditor import Auditor, AuditReport
from vendor_api.ledger.rules import RULES

__all__ = ["Checks", "RuleState", "find_checks", "judge_rules"]


@dataclass(frozen=True, slots=True)
class RuleState:
    """One rule of the books, and how many rows break it."""

    name: str
    breaches: int


class Checks:
    """The last check that this process made, and the one under way."""

    def __init__(self, app: FastAPI, shop: Shop) -> None:
        self._app = app
        self._shop = shop
        self._own: AuditReport | None = None
        self._task: asyncio.Task[None] | None = None
        self.failure: str | None = None
        """Why the last check that was asked for came to no end."""

    @property
    def last(self) -> AuditReport | None:
        """The youngest report; None until the first is done."""
        auditor = self._auditor
        known = [each for each in (self._own, auditor and auditor.last) if each]
        return max(known, key=lambda report: report.at, default=None)

    @property
    def running(self) -> bool:
        """Whether one that was asked for is under way."""
        return self._task is not None and not self._task.done()

    def start(self) -> None:
        """Check every rule over every row; nothing happens while such a check is under way."""
        if not self.running:
            self.failure = None
            self._task = asyncio.create_task(self._run())

    @property
    def _auditor(self) -> Auditor | None:
        return getattr(self._app.state, "auditor", None)

    async def _run(self) -> None:
        auditor = self._auditor
        try:
            check = self._check if auditor is None else auditor.check
            self._own = await asyncio.to_thread(check)
        except SQLAlchemyError as error:
            self.failure = f"The database did not answer ({type(error).__name__}): ask again."

    def _check(self) -> AuditReport:
        """Without an auditor nobody has said that accounts may be frozen."""
        began = time.monotonic()
        found = audit(self._shop.ledger.database)
        seconds = time.monotonic() - began
        return AuditReport(found.at, found.ok, found.violations, seconds, ())


def find_checks(app: FastAPI, shop: Shop) -> Checks:
    """The one of this app."""
    checks: Checks | None = getattr(app.state, "checks", None)
    if checks is None:
        app.state.checks = checks = Checks(app, shop)
    return checks


def judge_rules(report: AuditReport | None) -> list[RuleState]:
    """Every rule with its breaches, the broken ones first; empty before the first check."""
    if report is None:
        return []
    broken = [violation.rule for violation in report.violations]
    states = [RuleState(rule.name, broken.count(rule.name)) for rule in RULES]
    return sorted(states, key=lambda state: -state.breaches)
