"""Log lines leave in a thread of their own, so that nobody waits for who reads them."""

from __future__ import annotations

import atexit
import io
import logging
import sys
import threading
from collections import deque
from collections.abc import Iterator
from typing import Final, TextIO, cast

__all__ = ["Backlog", "write_in_a_thread"]

_ROOM: Final = 4 * 1024 * 1024
_END: Final = 2.0
"""Seconds at the end of the process for what waits."""


class Backlog(io.TextIOBase):
    """A stream whose writer never waits: what it writes is kept until the real one takes it.

    Args:
        stream: the real one, which a thread writes to.
        room: characters that may wait; lines beyond them are lost, and their number is said
            as soon as there is room.
    """

    def __init__(self, stream: TextIO, room: int = _ROOM) -> None:
        self.stream = stream
        self._free = room
        self._lost = 0
        self._waiting: deque[str] = deque()
        self._changed = threading.Condition()
        self._is_idle = True
        threading.Thread(target=self._carry, name="wirework-log", daemon=True).start()

    def isatty(self) -> bool:
        """Whether the real one is a terminal."""
        return self.stream.isatty()

    def writable(self) -> bool:
        """Whether one may write: yes."""
        return True

    def write(self, text: str) -> int:
        """Take a text, or count it as lost."""
        with self._changed:
            if len(text) > self._free:
                self._lost += 1
            else:
                self._free -= len(text)
                self._waiting.append(text)
                self._changed.notify()
        return len(text)

    def drain(self, seconds: float) -> None:
        """Wait until everything was written, but no longer than that."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_idle and not self._waiting, seconds)

    def _carry(self) -> None:
        unsaid = 0
        while True:
            with self._changed:
                self._is_idle = True
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting or self._lost)
                self._is_idle = False
                text = self._waiting.popleft() if self._waiting else ""
                self._free += len(text)
                lost, self._lost = self._lost + unsaid, 0
            unsaid = 0
            if lost:
                text += f"{lost} lines of the log were lost: nobody took them\n"
            try:
                self.stream.write(text)
                self.stream.flush()
            except (OSError, ValueError):  # a full disk, a pipe without a reader, a closed file
                unsaid = lost + 1


def write_in_a_thread() -> None:
    """Let all handlers that write to the process's output do so through a `Backlog`."""
    backlogs = {stream: Backlog(stream) for stream in (sys.stderr, sys.stdout)}
    for handler in _handlers():
        backlog = backlogs.get(handler.stream)
        if backlog is not None:
            handler.setStream(cast(TextIO, backlog))
    last = logging.StreamHandler(backlogs[sys.stderr])
    last.setLevel(logging.WARNING)
    logging.lastResort = last  # what writes where nobody configured it
    for backlog in backlogs.values():
        atexit.register(backlog.drain, _END)


def _handlers() -> Iterator[logging.StreamHandler[TextIO]]:
    loggers = [logging.getLogger(), *logging.root.manager.loggerDict.values()]
    for logger in loggers:
        for handler in getattr(logger, "handlers", ()):
            if isinstance(handler, logging.StreamHandler):
                yield handler
