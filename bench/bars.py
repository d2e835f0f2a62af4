"""What Wirework must reach, and whether a run reached it."""

from __future__ import annotations

from typing import NamedTuple

from .registry import BASELINES, CHANNEL_RIVALS, CHANNEL_RIVALS_2
from .results import Results

__all__ = ["BARS", "Bar", "Verdict", "compared_at"]


class Verdict(NamedTuple):
    """What a run says about a bar; `by_cpu` is the same ratio per server CPU second."""

    against: str
    reached: float
    by_cpu: float | None
    is_met: bool


class Bar(NamedTuple):
    """A ratio of two peers at one work: at least `ratio`, or at most where less is better."""

    text: str
    work: str
    peer: str
    ratio: float
    against: tuple[str, ...] = BASELINES
    value: str = "rate"
    is_limit: bool = False

    def judge(self, results: Results) -> Verdict | None:
        """Return the verdict; None where one side was not measured."""
        other = results.best(self.work, self.against, self.value, least=self.is_limit)
        ours = results.value(self.work, self.peer, self.value)
        if other is None or ours is None:
            return None
        theirs = results.value(self.work, other, self.value)
        if not theirs:
            return None
        reached = ours / theirs
        is_met = reached <= self.ratio if self.is_limit else reached >= self.ratio
        return Verdict(other, reached, self._by_cpu(results), is_met)

    def _by_cpu(self, results: Results) -> float | None:
        other = results.best(self.work, self.against, "per_cpu")
        ours = results.value(self.work, self.peer, "per_cpu")
        theirs = other and results.value(self.work, other, "per_cpu")
        return ours / theirs if ours and theirs else None


_IDLE = "memory per idle connection, message handler"

BARS = (
    Bar("pipelined echo, connection handler", "echo", "wirework", 9),
    Bar("typed JSON echo, message handler", "json", "wirework-message", 9),
    Bar("echo 64 x 1, connection handler", "echo64", "wirework", 1.7),
    Bar("fan-out to 500, connection handler", "fanout", "wirework", 2.6),
    Bar(_IDLE, "memory", "wirework-message", 0.45, value="idle", is_limit=True),
    Bar("connections accepted per second, message handler", "connect", "wirework-message", 2.5),
    Bar("Starlette on NativeProtocol: pipelined echo", "echo", "starlette-native", 4),
    Bar("Starlette on NativeProtocol: JSON echo", "json", "starlette-native", 2.5),
    Bar("Starlette on NativeProtocol: echo 64 x 1", "echo64", "starlette-native", 1.5),
    Bar("Starlette on NativeProtocol: fan-out to 500", "fanout", "starlette-native", 1.8),
    Bar(
        "message handler on Uvicorn's ASGI, JSON, against the loop by hand in Starlette",
        "json",
        "wirework-message-uvicorn",
        0.9,
        ("starlette",),
    ),
    Bar(
        "echo on Granian RSGI against a bare RSGI loop",
        "echo",
        "wirework-rsgi",
        0.9,
        ("granian-rsgi",),
    ),
    Bar(
        "rpc in Centrifugo's protocol against the message handler in Raw",
        "centrifugo-rpc",
        "wirework-centrifugo",
        0.8,
        ("wirework-channel",),
    ),
    Bar(
        "fan-out of a channel in Centrifugo's protocol against Raw",
        "centrifugo-fanout",
        "wirework-centrifugo",
        0.8,
        ("wirework-channel",),
    ),
    Bar(
        "fan-out of a channel in memory against a set of connections",
        "channels",
        "wirework-channels-memory",
        0.9,
        ("wirework-broadcast",),
    ),
    Bar(
        "fan-out of a channel through Redis, against the others' channels",
        "channels",
        "wirework-channels-redis",
        3,
        CHANNEL_RIVALS,
    ),
    Bar(
        "the same with two workers",
        "channels-2",
        "wirework-channels-redis-2",
        3,
        CHANNEL_RIVALS_2,
    ),
)
"""The bars, in the order of the table. Each names the peer whose figure counts."""


def compared_at(work: str) -> frozenset[str]:
    """Return the peers that bars compare at a work."""
    bars = [bar for bar in BARS if bar.work == work]
    return frozenset(peer for bar in bars for peer in (bar.peer, *bar.against))


MAX_IDLE = 11 * 1024
"""Bytes that an idle connection of a message handler may take at most."""
