"""The account of the channels of one application, and of its broker."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

from ..channels.hub import Hub

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Counter, Gauge

__all__ = ["ChannelTally"]

_COUNTERS: Final = {
    "received": ("publications_received", "Publications that came from the broker."),
    "published": ("publications_published", "Publications handed to the broker."),
    "dropped": ("publications_dropped", "Publications that slow subscribers did not get."),
    "gaps": ("channel_gaps", "Holes in channels with history that could not be filled."),
    "losses": ("broker_losses", "Times that the broker has gone away."),
    "unreadable": ("broker_unreadable", "Parcels that no process of this version has sent."),
}
"""By the names of `_Count`: the metric, and what it says."""


class _Count(NamedTuple):
    received: int = 0
    published: int = 0
    dropped: int = 0
    gaps: int = 0
    losses: int = 0
    unreadable: int = 0


class ChannelTally:
    """Reports what a hub has counted, when somebody asks.

    Whether the broker is there is reported at once when it changes, so that another worker's page
    has it, too.

    Args:
        hub: what counts.
        registry: what Prometheus reads.

    Raises:
        ValueError: the registry has metrics of these names already.
    """

    def __init__(self, hub: Hub, registry: CollectorRegistry) -> None:
        from prometheus_client import Counter

        self._hub = hub
        self._registry = registry
        self._told = _Count()
        self._channels = self._gauge("channels", "Channels that somebody is subscribed to.")
        self._subscriptions = self._gauge("subscriptions", "Subscriptions to channels.")
        self._counters: dict[str, Counter] = {
            kind: Counter(f"wirework_{name}", text, registry=registry)
            for kind, (name, text) in _COUNTERS.items()
        }
        hub.on_changed = self.report

    def report(self) -> None:
        """Tell Prometheus how it is now."""
        hub = self._hub
        stats = hub.stats
        self._channels.set(stats.channels)
        self._subscriptions.set(stats.subscriptions)
        now = _Count(
            stats.received,
            stats.published,
            stats.dropped,
            stats.gaps,
            stats.losses,
            hub.broker.unreadable,
        )
        for kind, count, before in zip(_Count._fields, now, self._told, strict=True):
            if count > before:
                self._counters[kind].inc(count - before)
        self._told = now
        if hub.is_started:
            self._up.set(not hub.is_away)

    @cached_property
    def _up(self) -> Gauge:
        """Made when the broker is reached: who only loads the application would say 0 for ever."""
        return self._gauge(
            "broker_up", "Whether the broker is there, on every worker.", among_workers="livemin"
        )

    def _gauge(self, name: str, text: str, *, among_workers: str = "livesum") -> Gauge:
        from prometheus_client import Gauge

        return Gauge(
            f"wirework_{name}",
            text,
            registry=self._registry,
            multiprocess_mode=among_workers,  # type: ignore[arg-type]
        )
