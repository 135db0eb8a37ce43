"""What is counted, in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Metrics:
    """The counters of one application."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        registry = self._registry
        self.requests = Counter(
            "malsori_requests", "HTTP requests answered", ("route", "status"), registry=registry
        )
        self.request_seconds = Histogram(
            "malsori_request_seconds", "From a request's header to the end of its answer",
            ("route",), buckets=_SECONDS, registry=registry,
        )
        self.refused = Counter(
            "malsori_refused", "Requests and streams refused", ("status",), registry=registry
        )
        self.sound_seconds = Counter(
            "malsori_sound_seconds", "Seconds of sound recognised", ("kind",), registry=registry
        )
        self.step_seconds = Histogram(
            "malsori_live_step_seconds", "From a live message to its answer",
            buckets=_SECONDS, registry=registry,
        )
        self.streams_ended = Counter(
            "malsori_streams_ended", "Live streams ended", ("how",), registry=registry
        )
        ProcessCollector(registry=registry)

    def gauge(self, name: str, help_text: str, value: Callable[[], float]) -> None:
        """Tell a value as it is when it is asked for."""
        Gauge(name, help_text, registry=self._registry).set_function(value)

    def text(self) -> bytes:
        """All of them, as `/metrics` gives them."""
        return generate_latest(self._registry)
