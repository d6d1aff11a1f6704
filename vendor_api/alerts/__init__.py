"""What somebody should look at now: on the dashboard, at `/metrics/alerts`, in metrics, by command."""

from vendor_api.alerts.alert import SEVERITIES, Alert, Severity
from vendor_api.alerts.finding import find_alerts

__all__ = ["SEVERITIES", "Alert", "Severity", "find_alerts"]
