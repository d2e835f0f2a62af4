"""Which processes are alive: each says so now and then, and the server's clock is everybody's."""

from __future__ import annotations

import time
from collections.abc import Callable
from secrets import token_hex
from typing import Final

import msgspec

from .layout import Layout
from .streams import Streams

__all__ = ["Lease"]

_FORGOTTEN_AFTER: Final = 20.0
"""Leases after which a dead process is forgotten: its members were struck off by then."""

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(float).decode


class Lease:
    """The lease of this process, and what is known of others'.

    Args:
        layout: names of subjects and streams.
        streams: of the connection of now; raises `BrokerUnavailable` while there is none.
        seconds: for which a process counts as alive after it has said so.
    """

    def __init__(self, layout: Layout, streams: Callable[[], Streams], seconds: float) -> None:
        self.worker: Final = token_hex(8)
        """This process."""
        self._layout = layout
        self._streams = streams
        self._seconds = seconds
        self._until: dict[str, float] = {}
        """Processes, and the server's time until which they live."""
        self._seen_at = float("-inf")
        self._clock_ahead = 0.0
        self._renewed_at = float("-inf")

    @property
    def now(self) -> float:
        """The server's Unix time."""
        return time.monotonic() + self._clock_ahead

    @property
    def is_due(self) -> bool:
        """Whether it is time to renew it."""
        return time.monotonic() - self._renewed_at > self._seconds / 3

    @property
    def has_lapsed(self) -> bool:
        """Whether others may have taken this process for dead."""
        return time.monotonic() - self._renewed_at > self._seconds

    async def renew(self) -> None:
        """Say that this process lives; look at the server's clock."""
        subject = self._layout.subject("w", self.worker)
        await self._streams().store(subject, _encode(self._seconds))
        said_at = time.monotonic()
        record = await self._streams().last(self._layout.presence, subject)
        if record is not None:
            self._clock_ahead = record.at - said_at
        self._renewed_at = said_at

    def end(self) -> None:
        """Say that this process is no more."""
        subject = self._layout.subject("w", self.worker)
        self._streams().trim(self._layout.presence, subject, 0)

    async def living(self) -> set[str]:
        """Return the processes that are alive, as of a moment ago."""
        if time.monotonic() - self._seen_at > min(1.0, self._seconds / 10):
            await self.look()
        now = self.now
        return {worker for worker, until in self._until.items() if until > now}

    async def dead(self) -> set[str]:
        """Return the processes that have died not long ago."""
        await self.look()
        return set(self._until) - await self.living()

    async def look(self) -> None:
        """Read every lease; this one is renewed first."""
        looked_at = time.monotonic()
        await self.renew()
        streams, stream = self._streams(), self._layout.presence
        found: dict[str, float] = {}
        for record in await streams.all(stream, self._layout.subject("w", "*")):
            seconds = _seconds_of(record.data)
            if record.at + _FORGOTTEN_AFTER * seconds < self.now:
                streams.delete(stream, record.sequence)
            else:
                found[record.subject.rpartition(".")[2]] = record.at + seconds
        self._until, self._seen_at = found, looked_at


def _seconds_of(data: bytes) -> float:
    try:
        return _decode(data)
    except msgspec.MsgspecError:
        return 0.0
