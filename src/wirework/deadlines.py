"""What a connection must do in time: be answered, be read, be alive, be used.

Nothing is timed message by message: a look every few seconds compares counters, so a deadline
acts after its time, at the latest after its time and `write_stall_timeout` more.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from . import closecodes
from .settings import Settings
from .types import State

if TYPE_CHECKING:
    from .connection import Connection

__all__ = ["Deadlines"]


class Deadlines:
    """The deadlines of one connection; times are seconds of the wheel's clock."""

    __slots__ = (
        "_backlog",
        "_pinged_at",
        "_received",
        "_seen",
        "_seen_at",
        "_settings",
        "_taken",
        "_used_at",
        "_write_due",
        "pongs",
        "round_trip",
    )

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.pongs = 0
        """Answers to our pings."""
        self.round_trip: float | None = None
        """Seconds that the last answer took; None before the first."""
        self._taken: int | None = None
        self._backlog = 0
        self._received = self._seen = 0
        self._seen_at = self._used_at = self._write_due = 0.0
        self._pinged_at: float | None = None

    def start(self, now: float) -> float:
        """Begin with the acceptance; return when to look."""
        self._seen_at = self._used_at = now
        self._write_due = now + self._settings.write_stall_timeout
        return self._write_due

    def pong(self, now: float) -> None:
        """The peer has answered a ping."""
        self.pongs += 1
        if self._pinged_at is not None:
            self.round_trip = now - self._pinged_at

    def look(self, connection: Connection, now: float) -> float | None:
        """End what is overdue; return when to look again, None when there is nothing left."""
        if connection.state is State.CONNECTING:
            connection.met("handshake_timeout")
            connection.expire(closecodes.TIMED_OUT, "the handshake was not answered in time")
        if connection.is_closed:
            return None
        due = min(
            self._check_writing(connection, now),
            self._check_alive(connection, now),
            self._check_use(connection, now),
        )
        return None if connection.is_closed else due

    def _check_writing(self, connection: Connection, now: float) -> float:
        if now >= self._write_due:
            self._write_due = now + self._settings.write_stall_timeout
            backlog = connection.link.backlog
            if not (connection.is_writing or backlog):
                self._taken = None
            elif self._taken == connection.outbox.taken and backlog >= self._backlog:
                connection.met("write_stall_timeout")
                connection.expire(closecodes.OVERLOADED, "the peer reads too slowly")
            else:
                self._taken, self._backlog = connection.outbox.taken, backlog
        return self._write_due

    def _check_alive(self, connection: Connection, now: float) -> float:
        interval, timeout = self._settings.heartbeat_interval, self._settings.heartbeat_timeout
        if interval is None or not connection.is_open:
            return math.inf
        if connection.is_paused:
            self._seen_at, self._pinged_at = now, None
            return now + interval
        seen = connection.received + self.pongs
        if seen != self._seen:
            self._seen, self._seen_at, self._pinged_at = seen, now, None
        if self._pinged_at is not None:
            if now >= self._pinged_at + timeout:
                connection.met("heartbeat_timeout")
                connection.expire(closecodes.ABNORMAL, "no answer to a ping")
            return self._pinged_at + timeout
        if now < self._seen_at + interval:
            return self._seen_at + interval
        if not connection.link.ping():
            return math.inf
        self._pinged_at = now
        return now + timeout

    def _check_use(self, connection: Connection, now: float) -> float:
        timeout = self._settings.idle_timeout
        if timeout is None or not connection.is_open:
            return math.inf
        if connection.received != self._received or connection.is_paused:
            self._received, self._used_at = connection.received, now
        if now >= self._used_at + timeout:
            connection.met("idle_timeout")
            connection.close(closecodes.TIMED_OUT, "no message in time")
        return self._used_at + timeout
