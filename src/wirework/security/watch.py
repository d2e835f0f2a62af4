"""What happens to a user while connected: credentials expire, and are looked at again."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from .. import closecodes
from ..errors import Close, Reject
from ..handlers import report
from ..timers import wheel
from .auth import Source
from .identity import Identity

if TYPE_CHECKING:
    from ..websocket import WebSocket
    from .gate import Gate

__all__ = ["Watch"]

logger = logging.getLogger("wirework")

_tasks: set[asyncio.Task[None]] = set()


class Watch:
    """Looks after the credentials of one connection, on the wheel of all deadlines.

    It ends the connection with 4401 when they expire (by the wall clock, as `expires_at` is Unix
    time), or when a further call of `verify` refuses them. Newer credentials begin a new one.
    """

    __slots__ = ("_checked_at", "_gate", "_value", "_ws", "source")

    def __init__(self, gate: Gate, ws: WebSocket, source: Source, value: Any) -> None:
        self._gate = gate
        self._ws = ws
        self.source = source
        self._value = value
        self._checked_at = wheel().now()

    @classmethod
    def begin(cls, gate: Gate, ws: WebSocket, source: Source, value: Any) -> None:
        """Look after the credentials that `ws` has from now on."""
        watch = cls(gate, ws, source, value)
        ws.watch = watch
        due = watch._due(wheel().now())
        if due is not None:
            wheel().watch(watch, due)

    def tick(self, now: float) -> float | None:
        """Do what is due; the wheel calls it."""
        ws = self._ws
        if ws.watch is not self or ws.closed:
            return None
        if ws.identity is not None and ws.identity.is_expired(time.time()):
            ws.end(closecodes.NOT_AUTHENTICATED, closecodes.EXPIRED_REASON)
            return None
        recheck = self.source.recheck
        if recheck is not None and now >= self._checked_at + recheck:
            self._checked_at = now
            task = asyncio.get_running_loop().create_task(self._check())
            _tasks.add(task)
            task.add_done_callback(_tasks.discard)
        due: float | None = self._due(now)
        return due

    def _due(self, now: float) -> float | None:
        """Return when to look again; None: never."""
        due: list[float] = []
        identity: Identity[Any] | None = self._ws.identity
        if identity is not None and identity.expires_at is not None:
            due.append(now + max(0.0, identity.expires_at - time.time()))
        if self.source.recheck is not None:
            due.append(self._checked_at + self.source.recheck)
        return min(due) if due else None

    async def _check(self) -> None:
        """Have the credentials judged again."""
        ws, identity = self._ws, None
        try:
            value = await self.source.recall(self._value, ws.handshake)
            identity = await self._gate.judge(ws, self.source, value)
            is_good = self._gate.may_stay(ws, identity)
        except (Reject, Close):
            is_good = False
        except Exception as error:
            report(ws, error, f"the check of {ws.id} by {self.source!r}")
            return
        if ws.watch is not self or ws.closed:
            return
        if is_good and identity is not None:
            ws.identity, ws.user = identity, identity.user
        else:
            ws.end(closecodes.NOT_AUTHENTICATED, "the credentials are no longer good")
