"""Connections that are counted: what they keep account of, and when they report it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from .. import closecodes
from ..connection import Connection, Link, Outgoing, size_of
from ..outbox import Waiting
from ..settings import Settings
from ..timers import wheel
from ..types import Frame, HeaderList
from .tally import Flow, Tally

__all__ = ["Accountant", "MeteredConnection"]

_UNTOLD = Flow()


class Accountant(Protocol):
    """Who keeps account of all connections of an application."""

    def tally_of(self, route: str) -> Tally:
        """Return the account of a route; "" is for handshakes that lead to none."""

    def opened(self, connection: MeteredConnection) -> None:
        """It was accepted: ask it for reports until it is closed."""

    def closed(self, connection: MeteredConnection) -> None:
        """It is over, and has reported for the last time."""


class MeteredConnection(Connection):
    """A connection whose traffic is counted.

    It counts in plain numbers of its own; they are reported when somebody asks, and at the end,
    which is when the socket is gone and the application is done.
    """

    __slots__ = (
        "_accountant",
        "_is_over",
        "_policy",
        "_reason",
        "_tally",
        "_told",
        "bytes_received",
        "bytes_sent",
    )

    def __init__(self, link: Link, settings: Settings, accountant: Accountant) -> None:
        super().__init__(link, settings)
        self._accountant = accountant
        self._tally = accountant.tally_of("")
        self._policy = settings.overflow
        self._reason = ""
        self._told = _UNTOLD
        self._is_over = False
        self.bytes_received = 0
        self.bytes_sent = 0

    # --- traffic --------------------------------------------------------------------------------

    def feed(self, frame: Frame) -> None:
        """Take one complete message from the peer."""
        before = self.received
        Connection.feed(self, frame)
        if self.received != before:
            self.bytes_received += size_of(frame)

    def feed_all(self, frames: list[str]) -> None:
        """Take messages that came together."""
        before, alone = self.received, self.bytes_received
        Connection.feed_all(self, frames)
        if self.received != before and self.bytes_received == alone:
            is_ascii = all(map(str.isascii, frames))
            self.bytes_received += sum(map(len if is_ascii else size_of, frames))

    def take(self) -> Outgoing | None:
        """Return the next frame to write, or None."""
        before = self.outbox.size
        frame = Connection.take(self)
        self.bytes_sent += before - self.outbox.size
        return frame

    def take_many(self, max_bytes: int) -> tuple[Sequence[Waiting], bool]:
        """Return the next frames to write, and whether that was all."""
        before = self.outbox.size
        taken = Connection.take_many(self, max_bytes)
        self.bytes_sent += before - self.outbox.size
        return taken

    def report(self) -> None:
        """Tell the account of the route what has come and gone since the last report."""
        outbox = self.outbox
        now = Flow(
            self.received, outbox.taken, self.bytes_received, self.bytes_sent, outbox.dropped
        )
        if now != self._told:
            self._tally.flowed(self._told, now, self._policy)
            self._told = now

    # --- what happens to it ---------------------------------------------------------------------

    @property
    def route(self) -> str:
        """The path of its route as it was declared."""
        return self._tally.route

    def enter(self, route: str) -> None:
        """It is served by the route with this path."""
        self._tally = self._accountant.tally_of(route)

    def adopt(self, settings: Settings) -> None:
        """Keep to the settings of a route."""
        super().adopt(settings)
        self._policy = settings.overflow

    def turned_away(self, reason: str) -> None:
        """Its handshake is about to be refused."""
        self._reason = reason

    def met(self, limit: str) -> None:
        """A limit has bitten."""
        self._reason = limit
        self._tally.met(limit)

    def rejected(self, code: str | int) -> None:
        """One of its messages was answered with an error."""
        self._tally.rejected(code)

    def failed(self) -> None:
        """Code of the application raised what nobody foresaw."""
        self._tally.failed()

    async def accept(self, subprotocol: str | None = None, headers: HeaderList = ()) -> None:
        """Answer the handshake: it counts as open from now on."""
        await super().accept(subprotocol, headers)
        self._tally.accepted()
        self._accountant.opened(self)

    async def refuse(self, status: int, headers: HeaderList = (), body: bytes = b"") -> None:
        """Answer the handshake with an HTTP response."""
        await super().refuse(status, headers, body)
        if not self._is_over:
            self._is_over = True
            self._tally.refused(self._reason or "application", status)

    def lost(self, code: int = closecodes.ABNORMAL, reason: str = "") -> None:
        """The peer has closed, or the socket is gone."""
        super().lost(code, reason)
        self._end_if_over()

    def finish(self) -> None:
        """The application is done with this connection."""
        super().finish()
        self._end_if_over()

    def _end_if_over(self) -> None:
        """Count the end: frames may still leave after the application is done."""
        if self._is_over or not (self.is_finished and self.is_closed):
            return
        self._is_over = True
        code = self.close_code or closecodes.ABNORMAL
        if self.is_accepted:
            seconds = wheel().now() - self.opened_at
            self._tally.ended(code, seconds, by_peer=self.by_peer)
            self._accountant.closed(self)
        elif code in (closecodes.TIMED_OUT, closecodes.RESTARTING):
            self._tally.refused(self._reason or "shutdown", 503)
        else:
            self._tally.refused("peer_gone", None)

    def _pause(self) -> None:
        if not self.is_paused:
            is_full = self.inbox_size >= self.bounds.inbox_bytes
            self._tally.met("inbox_bytes" if is_full else "inbox_frames")
        super()._pause()
