"""The metrics by name: what Prometheus is told, in which units, with which labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from .durations import Durations
from .shared import is_shared

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Histogram

__all__ = ["HANDLER_BUCKETS", "Instruments"]

HANDLER_BUCKETS: Final = (
    *(0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
"""Upper bounds in seconds: handlers take a tenth of a millisecond, or wait for a database."""
_HANDLING: Final = "How long handlers took."
_LAG_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
_LIFE_BUCKETS: Final = (1.0, 10.0, 60.0, 300.0, 1800.0, 3600.0, 21600.0, 86400.0)


class Instruments:
    """Prometheus' objects, in one registry.

    Raises:
        ValueError: the registry has metrics of these names already.
    """

    def __init__(self, registry: CollectorRegistry, buckets: Sequence[float]) -> None:
        from prometheus_client import Counter, Gauge, Histogram

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"wirework_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(
                f"wirework_{name}", text, labels, registry=registry, multiprocess_mode="livesum"
            )

        def histogram(name: str, text: str, bounds: Sequence[float], *labels: str) -> Histogram:
            return Histogram(f"wirework_{name}", text, labels, registry=registry, buckets=bounds)

        self.open = gauge("connections", "Connections that are open.", "route")
        self.unauthenticated = gauge(
            "unauthenticated_connections", "Connections that still have to say who they are."
        )
        self.accepted = counter("handshakes_accepted", "Handshakes accepted.", "route")
        self.refused = counter(
            "handshakes_refused", "Handshakes refused.", "route", "reason", "status"
        )
        self.ended = counter("connections_ended", "Connections ended.", "route", "code")
        self.life = histogram(
            "connection_seconds", "How long connections lasted.", _LIFE_BUCKETS, "route"
        )
        self.received = counter("messages_received", "Messages taken from peers.", "route")
        self.sent = counter("messages_sent", "Messages handed to the transport.", "route")
        self.received_bytes = counter("received_bytes", "Payload of these messages.", "route")
        self.sent_bytes = counter("sent_bytes", "Payload of these messages.", "route")
        self.dropped = counter(
            "messages_dropped", "Messages given up by the overflow policy.", "route", "policy"
        )
        self.limits = counter("limits_met", "Times that a limit has bitten.", "route", "limit")
        self.rejects = counter("rejects", "Messages answered with an error.", "route", "code")
        self.errors = counter("handler_errors", "Errors that nobody foresaw.", "route")
        self.handling: Durations | Histogram
        if is_shared():
            self.handling = histogram("handler_seconds", _HANDLING, buckets, "route", "event")
        else:
            name = "wirework_handler_seconds"
            self.handling = Durations(name, _HANDLING, buckets, ("route", "event"))
            registry.register(self.handling)
        self.lag = histogram(
            "event_loop_lag_seconds", "How late the event loop turned a timer.", _LAG_BUCKETS
        )
