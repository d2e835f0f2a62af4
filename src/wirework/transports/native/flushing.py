"""Writes at the end of a turn of the event loop, for everybody who has something to write."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from ...timers import PerLoop

__all__ = ["Flusher", "Writer", "flusher_of"]

logger = logging.getLogger("wirework")


class Writer(Protocol):
    """Who has something to write."""

    def flush(self) -> None:
        """Write it."""

    def abort(self) -> None:
        """End the socket: it could not be written to."""


class Flusher:
    """Writes for all connections of a loop that have something to write, in one callback."""

    __slots__ = ("_writers", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._writers: list[Writer] = []

    def add(self, writer: Writer) -> None:
        """Have `writer` write at the end of this turn."""
        if not self._writers:
            self.loop.call_soon(self._flush)
        self._writers.append(writer)

    def _flush(self) -> None:
        writers, self._writers = self._writers, []
        for writer in writers:
            try:
                writer.flush()
            except Exception:
                logger.exception("could not write")
                writer.abort()


_flushers = PerLoop(Flusher)


def flusher_of(loop: asyncio.AbstractEventLoop) -> Flusher:
    """Return the flusher of a loop."""
    return _flushers.of(loop)
