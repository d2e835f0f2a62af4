"""Log lines leave in a thread of their own, so that nobody waits for who reads them."""

from __future__ import annotations

import atexit
import io
import logging
import os
import sys
import threading
import weakref
from collections import deque
from collections.abc import Iterator
from typing import Final, TextIO, cast

__all__ = ["Spool", "write_in_a_thread"]

_ROOM: Final = 4 * 1024 * 1024
_END: Final = 2.0
"""Seconds at the end of the process for what waits."""


class Spool(io.TextIOBase):
    """A stream whose writer never waits: what it writes is kept until the real one takes it.

    A process that is forked from this one has no such thread: there writers write to the real one
    themselves, and wait for it. What waited at the fork is said here alone.

    Args:
        stream: the real one, which a thread writes to.
        room: characters that may wait; lines beyond them are lost, and their number is said
            as soon as there is room.
    """

    def __init__(self, stream: TextIO, room: int = _ROOM) -> None:
        self.stream = stream
        self._free = room
        self._is_direct = False
        self._begin()
        _spools.add(self)
        threading.Thread(target=self._carry, name="wirework-log", daemon=True).start()

    def _begin(self) -> None:
        self._lost = 0
        self._waiting: deque[str] = deque()
        self._changed = threading.Condition()
        self._is_idle = True

    def isatty(self) -> bool:
        """Whether the real one is a terminal."""
        return self.stream.isatty()

    def writable(self) -> bool:
        """Whether one may write: yes."""
        return True

    def write(self, text: str) -> int:
        """Take a text, or count it as lost."""
        if self._is_direct:
            self.stream.write(text)
            self.stream.flush()
            return len(text)
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

    def go_direct(self) -> None:
        """Let writers write to the real one: this is a fork, and the thread is not in it."""
        self._begin()  # anew: the thread may have held the lock, and does so for ever here
        self._is_direct = True

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
            except Exception:  # a full disk, a pipe without a reader, whatever a stream may raise
                unsaid = lost + 1


_spools: Final[weakref.WeakSet[Spool]] = weakref.WeakSet()


def _go_direct() -> None:
    for spool in _spools:
        spool.go_direct()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_go_direct)


def write_in_a_thread() -> None:
    """Let all handlers that write to the process's output do so through a `Spool`."""
    spools = {stream: Spool(stream) for stream in (sys.stderr, sys.stdout)}
    for handler in _handlers():
        spool = spools.get(handler.stream)
        if spool is not None:
            handler.setStream(cast(TextIO, spool))
    last = logging.StreamHandler(spools[sys.stderr])
    last.setLevel(logging.WARNING)
    logging.lastResort = last  # what writes where nobody configured it
    for spool in spools.values():
        atexit.register(spool.drain, _END)


def _handlers() -> Iterator[logging.StreamHandler[TextIO]]:
    loggers = [logging.getLogger(), *logging.root.manager.loggerDict.values()]
    for logger in loggers:
        for handler in getattr(logger, "handlers", ()):
            if isinstance(handler, logging.StreamHandler):
                yield handler
