"""What the door counts, as Prometheus reads it. Labels come from our own lists, never from what was sent. May import prometheus-client only.

The numbers are this process's; several doors are several targets.
"""

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

__all__ = ["CONTENT_TYPE_LATEST", "Metrics"]

# How a delivery can end, by its HTTP status.
RESULTS = {
    201: "run",
    202: "ignored",
    400: "unreadable",
    401: "forged",
    404: "unknown_host",
    408: "late",
    413: "too_large",
    415: "content_type",
    429: "too_often",
    503: "unavailable",
}


class Metrics:
    """Deliveries by host and result, and how long they took. Each app has its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._deliveries = Counter(
            "aml_canary_deliveries", "Webhook deliveries by git host and what became of them.", ("host", "result"), registry=self._registry
        )
        self._seconds = Histogram(
            "aml_canary_delivery_seconds", "From the first byte of a delivery to its answer.", ("host",), registry=self._registry
        )

    def count(self, host: str, status: int, seconds: float) -> None:
        """One delivery was answered."""
        self._deliveries.labels(host, RESULTS.get(status, "other")).inc()
        self._seconds.labels(host).observe(seconds)

    def exposition(self) -> bytes:
        """All of it, in Prometheus's text format."""
        return generate_latest(self._registry)
