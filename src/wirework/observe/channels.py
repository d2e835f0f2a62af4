"""The account of channels and of their broker, of one application or of several."""

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
    """Reports what hubs have counted, all of them together, when somebody asks.

    Whether the broker is there is reported at once when it changes, so that another worker's page
    has it, too. With several brokers: whether all are there.

    Args:
        registry: what Prometheus reads.

    Raises:
        ValueError: the registry has metrics of these names already.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        from prometheus_client import Counter

        self._hubs: list[Hub] = []
        self._registry = registry
        self._told = _Count()
        self._channels = self._gauge("channels", "Channels that somebody is subscribed to.")
        self._subscriptions = self._gauge("subscriptions", "Subscriptions to channels.")
        self._counters: dict[str, Counter] = {
            kind: Counter(f"wirework_{name}", text, registry=registry)
            for kind, (name, text) in _COUNTERS.items()
        }

    def add(self, hub: Hub) -> None:
        """Report what `hub` counts, too."""
        self._hubs.append(hub)
        hub.on_changed = self.report

    def report(self) -> None:
        """Tell Prometheus how it is now."""
        stats = [hub.stats for hub in self._hubs]
        self._channels.set(sum(each.channels for each in stats))
        self._subscriptions.set(sum(each.subscriptions for each in stats))
        now = _Count(
            sum(each.received for each in stats),
            sum(each.published for each in stats),
            sum(each.dropped for each in stats),
            sum(each.gaps for each in stats),
            sum(each.losses for each in stats),
            sum(hub.broker.unreadable for hub in self._hubs),
        )
        for kind, count, before in zip(_Count._fields, now, self._told, strict=True):
            if count > before:
                self._counters[kind].inc(count - before)
        self._told = now
        if any(hub.is_started for hub in self._hubs):
            self._up.set(not any(hub.is_away for hub in self._hubs))

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
