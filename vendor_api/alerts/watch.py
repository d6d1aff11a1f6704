"""Looks again and again beside the service: for the metrics, the log and the dashboard's banner."""

import asyncio
import time
from typing import TYPE_CHECKING

import structlog

from vendor_api.alerts.alert import SEVERITIES, Alert
from vendor_api.alerts.finding import find_alerts

if TYPE_CHECKING:
    from vendor_api.dependencies import Shop

REST = 20
"""Rests so many times as long as it looked."""

_log = structlog.get_logger("vendor")

__all__ = ["AlertWatch"]


class AlertWatch:
    """Keeps `shop.alerts` and the metric `vl2v_alert` true, and logs what comes and goes."""

    def __init__(self, shop: "Shop") -> None:
        self._shop = shop
        self._interval_s = shop.settings.alert_seconds

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            began = time.monotonic()
            await self.look()
            await asyncio.sleep(max(self._interval_s, REST * (time.monotonic() - began)))

    async def look(self) -> list[Alert]:
        """Look once, and tell."""
        try:
            found = await find_alerts(self._shop)
        except OSError as error:  # the disk's own trouble must not end the watch
            _log.warning("alerts_not_looked_for", error=repr(error))
            return list(self._shop.alerts)
        self._log_changes({alert.name for alert in self._shop.alerts}, found)
        self._shop.alerts = tuple(found)
        on = {alert.name for alert in found}
        for name, severity in SEVERITIES.items():
            self._shop.metrics.alert.labels(name, severity).set(name in on)
        return found

    def _log_changes(self, before: set[str], found: list[Alert]) -> None:
        for alert in found:
            if alert.name not in before:
                log = _log.error if alert.severity == "critical" else _log.warning
                log("alert_on", alert=alert.name, summary=alert.summary)
        for name in sorted(before - {alert.name for alert in found}):
            _log.info("alert_off", alert=name)
