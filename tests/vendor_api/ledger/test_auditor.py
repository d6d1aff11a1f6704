"""The auditor beside the service: at start, every minute, never in the way, freezing what is wrong."""

import asyncio
import json

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from vendor_api.db.tables import account, audit_log
from vendor_api.ledger.auditor import Auditor, AuditReport


class Clock:
    """Seconds that pass only while somebody sleeps, or as `work` says for each audit."""

    def __init__(self, work=0.0, naps=3):
        self.now, self.work, self.naps = 0.0, work, naps
        self.slept = []

    def __call__(self):
        self.now += self.work
        return self.now

    async def sleep(self, seconds):
        self.slept.append(seconds)
        if len(self.slept) == self.naps:
            raise asyncio.CancelledError


async def run(auditor):
    with pytest.raises(asyncio.CancelledError):
        await auditor.run()


def tamper(shop):
    with shop.database.write() as connection:
        connection.exec_driver_sql(
            "UPDATE account_balance SET drawn_nanousd = 0, debited_nanousd = debited_nanousd + 1"
        )


def read_statuses(shop):
    with shop.database.read() as connection:
        query = select(account.c.name, account.c.status)
        return {row.name: row.status for row in connection.execute(query)}


def read_log(shop):
    with shop.database.read() as connection:
        return connection.execute(select(audit_log)).all()


async def test_audits_at_start_and_every_minute(shop):
    clock = Clock()
    seen: list[AuditReport] = []
    await run(Auditor(shop.database, clock=clock, sleep=clock.sleep, on_result=seen.append))
    assert [report.ok for report in seen] == [True] * 3
    assert clock.slept == [60, 60, 60]


async def test_takes_less_than_a_twentieth_of_the_time(shop):
    clock = Clock(work=2.0, naps=1)
    await run(Auditor(shop.database, clock=clock, sleep=clock.sleep))
    (rest,) = clock.slept
    spent = clock.now - clock.work  # between the first and the last look at the clock
    assert spent / (spent + rest) < 0.05


async def test_keeps_the_last_report(shop):
    auditor = Auditor(shop.database)
    assert auditor.last is None
    report = auditor.check()
    assert auditor.last is report
    assert (report.ok, report.violations, report.frozen) == (True, (), ())
    assert report.at > 0
    assert report.seconds >= 0


async def test_freezes_only_the_account_that_is_wrong_and_says_why(shop):
    tamper(shop)
    shop.open_account("bob", "1.00")
    report = Auditor(shop.database).check()
    assert not report.ok
    assert report.frozen == (shop.account.id,)
    assert read_statuses(shop) == {"ada": "frozen", "bob": "active"}
    (entry,) = read_log(shop)
    assert (entry.actor, entry.action) == ("auditor", "account.freeze")
    assert entry.subject == shop.account.id
    assert "debited" in {each["rule"] for each in json.loads(entry.detail)["violations"]}


async def test_goes_on_and_freezes_once(shop):
    tamper(shop)
    clock = Clock(naps=2)
    seen: list[AuditReport] = []
    await run(Auditor(shop.database, clock=clock, sleep=clock.sleep, on_result=seen.append))
    assert [report.frozen for report in seen] == [(shop.account.id,), ()]
    assert len(read_log(shop)) == 1


async def test_may_only_report(shop):
    tamper(shop)
    report = Auditor(shop.database, freeze=False).check()
    assert not report.ok
    assert read_statuses(shop) == {"ada": "active"}


async def test_a_hold_that_nobody_sweeps_freezes_nobody(ledger, shop):
    await ledger.reserve(shop.reserve("k", "a"))
    with shop.database.write() as connection:
        connection.exec_driver_sql("UPDATE charge SET expires_at = expires_at - 200000000")
    report = Auditor(shop.database).check()
    assert [violation.rule for violation in report.violations] == ["overdue holds"]
    assert read_statuses(shop) == {"ada": "active"}


async def test_a_database_that_does_not_answer_is_asked_again(shop):
    clock, seen = Clock(naps=2), []

    def fail_once(report):
        seen.append(report)
        if len(seen) == 1:
            raise OperationalError("SELECT 1", {}, Exception("gone"))

    await run(Auditor(shop.database, clock=clock, sleep=clock.sleep, on_result=fail_once))
    assert len(seen) == 2
