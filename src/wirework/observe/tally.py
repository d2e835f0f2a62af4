"""The account of one route."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from .few import Few, peer_code
from .instruments import Instruments

if TYPE_CHECKING:
    from prometheus_client import Counter, Gauge, Histogram

__all__ = ["Flow", "Tally"]


class Flow(NamedTuple):
    """What went through a connection so far."""

    received: int = 0
    sent: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0
    dropped: int = 0


class _Own(NamedTuple):
    accepted: Counter
    open: Gauge
    life: Histogram
    received: Counter
    sent: Counter
    received_bytes: Counter
    sent_bytes: Counter


class Tally:
    """Counts what happens to the connections of one route.

    Args:
        route: the path of the route as it was declared.
        instruments: what counts.
        codes: close codes of ours that have a label.
        rejects: codes of errors that have one.
    """

    def __init__(self, route: str, instruments: Instruments, codes: Few, rejects: Few) -> None:
        self.route = route
        self._instruments = instruments
        self._codes = codes
        self._rejects = rejects

    @cached_property
    def _own(self) -> _Own:
        """What counts for this route alone, from its first connection on."""
        each, route = self._instruments, self.route
        return _Own(
            each.accepted.labels(route),
            each.open.labels(route),
            each.life.labels(route),
            each.received.labels(route),
            each.sent.labels(route),
            each.received_bytes.labels(route),
            each.sent_bytes.labels(route),
        )

    def accepted(self) -> None:
        """A connection has begun."""
        self._own.accepted.inc()
        self._own.open.inc()

    def refused(self, reason: str, status: int | None) -> None:
        """A handshake was refused; without a status the peer did not wait for an answer."""
        told = "" if status is None else str(status)
        self._instruments.refused.labels(self.route, reason, told).inc()

    def ended(self, code: int, seconds: float, *, by_peer: bool) -> None:
        """A connection has ended after `seconds`."""
        label = peer_code(code) if by_peer else self._codes.label(code)
        self._instruments.ended.labels(self.route, label).inc()
        self._own.life.observe(seconds)
        self._own.open.dec()

    def flowed(self, before: Flow, now: Flow, policy: str) -> None:
        """More has gone through a connection; its outbox keeps to `policy`."""
        own = self._own
        own.received.inc(now.received - before.received)
        own.sent.inc(now.sent - before.sent)
        own.received_bytes.inc(now.received_bytes - before.received_bytes)
        own.sent_bytes.inc(now.sent_bytes - before.sent_bytes)
        if now.dropped > before.dropped:
            lost = self._instruments.dropped.labels(self.route, policy)
            lost.inc(now.dropped - before.dropped)

    def met(self, limit: str) -> None:
        """A limit has bitten."""
        self._instruments.limits.labels(self.route, limit).inc()

    def rejected(self, code: str | int) -> None:
        """A message was answered with an error."""
        self._instruments.rejects.labels(self.route, self._rejects.label(code)).inc()

    def failed(self) -> None:
        """Code of the application raised what nobody foresaw."""
        self._instruments.errors.labels(self.route).inc()
