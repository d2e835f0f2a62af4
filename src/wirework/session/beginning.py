"""How a session begins: the message that must come first, who the client is, what it is told.

And that it is still there, where the dialect has words for it.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from typing import Any, Final

from .. import closecodes
from ..binding.plan import Context, Plan
from ..channels.names import UnfitName
from ..commands import Authenticate, Call, Ping, Ready, Subscribed
from ..errors import Close, Reject
from ..handlers import call_plan, close_of, is_foreseen
from ..security.credentials import ExpiredCredentials
from ..timers import wheel
from ..websocket import WebSocket, own_frame
from .endpoint import MessageEndpoint
from .shared import SharedSession
from .shortly import ShortCalls

__all__ = ["Beginning"]

_UNREAD: Any = object()
_PONG_TIMEOUT: Final = 10.0
"""Seconds after a ping in which the client must send anything."""
_MAX_REFUSED: Final = 5
"""Newer credentials that may be refused in a row: more are guesses."""
_NO_PONG: Final = 3012
"""The close code of Centrifugo's protocol for a client that does not answer pings."""


class Beginning(ShortCalls):
    """The begin of a connection that speaks a dialect."""

    __slots__ = (
        "_collected",
        "_greeting",
        "_heard",
        "_refused",
        "is_begun",
        "is_settled",
        "is_turned_away",
    )

    def __init__(self, endpoint: MessageEndpoint, ws: WebSocket) -> None:
        super().__init__(endpoint, ws)
        gate, dialect = endpoint.gate, endpoint.dialect
        waits = gate is not None and gate.waits_for_message and ws.identity is None
        self.is_begun = not (waits or dialect.one_call or dialect.greets)
        """Whether the message that must come first has come."""
        self.is_settled = False
        """Whether the hooks of the begin are done: what waits may be handled side by side."""
        self.is_turned_away = False
        """Whether nothing that the peer has sent is handled: it was not let in."""
        self._greeting: Any = _UNREAD
        """What `on_ready` has returned."""
        self._collected: list[Subscribed] | None = None
        """What `on_ready` has subscribed the client to, where `Ready` tells it."""
        self._refused = 0
        """Newer credentials that were refused since the last good ones."""
        self._heard: int | None = None
        """Frames that had come when a ping was sent that is not answered yet."""

    @abstractmethod
    def wake(self) -> None:
        """Start a worker for what is in the inbox."""

    def collects(self, output: Subscribed) -> bool:
        """Whether `Ready` will tell the client that it is subscribed."""
        if self._collected is None or output.id is not None:
            return False
        self._collected.append(output)
        return True

    async def _expect_beginning(self) -> None:
        """Give the peer its time for the message that must come first."""
        dialect = self.endpoint.dialect
        if dialect.name_in_query is not None:
            name = self.ws.query.get(dialect.name_in_query, "")
            try:
                self.endpoint.find(name, is_debug=self._is_debug)
            except Reject as error:
                await self.fail(error, None)
                self.ws.end(closecodes.NOT_FOUND, "no such endpoint")
                return
        gate = self.endpoint.gate
        seconds = self.endpoint.first_timeout if gate is None else gate.timeout
        clock = wheel()
        clock.watch(self, clock.now() + seconds)

    def tick(self, now: float) -> float | None:
        """End a connection whose first message has not come in time, or ask for a sign of life."""
        connection = self.ws.connection
        if self.is_begun:
            return self._ask_for_life(now)
        connection.met("auth_timeout")
        if self.endpoint.gate is not None:
            self.ws.end(closecodes.NOT_AUTHENTICATED, "not authenticated in time")
        else:
            self.ws.end(closecodes.TIMED_OUT, "no first message in time")
        return None

    def _ask_for_life(self, now: float) -> float | None:
        interval, connection = self.endpoint.dialect.ping_interval, self.ws.connection
        if interval is None or not connection.is_open:
            return None
        if self._heard is None:
            self._heard = connection.received
            self.push(Ping())
            return now + min(_PONG_TIMEOUT, interval)
        if connection.received == self._heard and not connection.is_paused:
            connection.close(_NO_PONG, "no pong", discard=True)
            return None
        self._heard = None
        return now + max(0.0, interval - _PONG_TIMEOUT)

    # --- who the client is ----------------------------------------------------------------------

    async def _authenticate(self, command: Authenticate) -> None:
        gate, ws, dialect = self.endpoint.gate, self.ws, self.endpoint.dialect
        is_first = not self.is_begun
        if gate is not None and not (dialect.greets and is_first and self._is_known(command)):
            try:
                await gate.hear(ws, command.token)
            except Exception as error:
                await self._turn_away(error, Call(None, id=command.id))
                return
        elif dialect.greets and not is_first and gate is None:
            begun = Reject("authenticated", "this connection has begun already")
            await self.fail(begun, Call(None, id=command.id))
            return
        if ws.connection.is_ended and not ws.connection.by_peer:
            return
        self.is_begun = True
        self._refused = 0
        if is_first:
            wheel().forget(self)
            ws.positions = command.positions
        call = None if command.body is None else Call(command.body, id=command.id)
        if self._greeting is _UNREAD:
            await self._begin_session(command.id, call)
        else:
            await self._say_ready(command.id)
        if is_first and dialect.ping_interval is not None:
            clock = wheel()
            clock.watch(self, clock.now() + dialect.ping_interval)
        self.is_settled = True
        for _ in range(min(len(ws.connection.inbox), self.endpoint.concurrency) * is_first):
            self.wake()

    def _is_known(self, command: Authenticate) -> bool:
        """Whether the handshake has said who the client is, and the greeting says nothing else."""
        gate, identity = self.endpoint.gate, self.ws.identity
        is_judged = identity is not None or (gate is not None and not gate.waits_for_message)
        return is_judged and not command.token

    async def _begin_session(
        self, id: Any, call: Call | None = None, *, is_told: bool = True
    ) -> None:
        """Run the hooks of the begin, and tell the peer what `on_ready` says.

        Where the dialect greets, the peer is told that first, and what hooks have sent after it.
        """
        connection, greets = self.ws.connection, self.endpoint.dialect.greets
        if greets:
            self._collected = []
            connection.cork()
        frame, shared, failure = None, None, None
        try:
            shared = await self._run_begin(call)
            frame = self.say(self._ready(id)) if is_told else None
            if shared is not None:
                await shared.enter(frame)
                self.shared = shared
        except Exception as error:
            frame, failure = None, error
        finally:
            self._collected = None
            if greets:
                connection.uncork(None if frame is None else own_frame(frame))
        if failure is not None:
            await self._fail_to_begin(failure, id)
        elif frame is not None and not greets and shared is None and connection.is_open:
            await self.ws.send_frame(frame)

    async def _say_ready(self, id: Any) -> None:
        """Tell the peer once more, who has shown that it may stay, what `on_ready` has said."""
        frame = self.say(self._ready(id))
        if frame is not None and self.ws.connection.is_open:
            await self.ws.send_frame(frame)

    async def _run_begin(self, call: Call | None) -> SharedSession | None:
        """Run the hooks of the begin; return the session that is shared, if there is one."""
        hooks, shared = self.endpoint.hooks, None
        self._greeting = None
        if hooks.shared is not None:
            try:
                channel = await self._run_hook(hooks.shared)
            except UnfitName as error:
                raise Reject("bad_channel", f"channel: {error.flaw}") from None
            shared = SharedSession(self.ws, self.endpoint.dialect, channel)
        if hooks.ready is not None:
            greeting = await self._run_hook(hooks.ready, call)
            if isinstance(greeting, Close):
                raise greeting
            self._greeting = greeting
        return shared

    async def _fail_to_begin(self, error: Exception, id: Any) -> None:
        """Answer an error of the begin; it may be that the peer is not let in."""
        is_end = await self.fail(error, Call(None, id=id))
        if self.endpoint.hooks.shared is not None:
            self._drop_all()
            self.ws.end(*_end_for(error))
        elif is_end:
            self._drop_all()

    def _drop_all(self) -> None:
        """Handle nothing that the peer has sent: closing does not see to it if it has left."""
        self.is_turned_away = True
        self.ws.connection.inbox.clear()

    def _ready(self, id: Any) -> Ready:
        identity = self.ws.identity
        expires_at = None if identity is None else identity.expires_at
        return Ready(
            self._greeting,
            id,
            self.ws.id,
            None if expires_at is None else expires_at - time.time(),
            self.endpoint.dialect.ping_interval,
            self._collected or (),
            *(self.ws.connection.mailbox or ()),
        )

    async def _turn_away(self, error: Exception, call: Call) -> None:
        """Answer a peer that is not let in, and end the connection if nothing let it in before."""
        is_expired = isinstance(error, ExpiredCredentials)
        if is_expired and self.is_begun and self.endpoint.dialect.greets:
            # Such clients take an error for the end, and this close for a reason to come back.
            self.ws.end(closecodes.NOT_AUTHENTICATED, closecodes.EXPIRED_REASON)
            return
        is_mapped = self.ws.app.exception_handlers.find(error) is not None
        await self.fail(error, call)
        if self.is_begun:  # what the peer said before still holds
            self._count_refusal(error)
            return
        self._drop_all()
        if not (is_mapped or is_foreseen(error)):
            self.ws.end(closecodes.INTERNAL_ERROR)
        elif isinstance(error, Reject) and error.code == "forbidden":
            self.ws.end(closecodes.FORBIDDEN, "forbidden")
        elif is_expired:
            self.ws.end(closecodes.NOT_AUTHENTICATED, closecodes.EXPIRED_REASON)
        else:
            self.ws.end(closecodes.NOT_AUTHENTICATED, "not authenticated")

    def _count_refusal(self, error: Exception) -> None:
        """End a connection whose peer tries one credential after the other."""
        if isinstance(error, Reject) and error.code == "authenticated":
            return  # it is another user's, or nobody looked at it
        self._refused += 1
        if self._refused >= _MAX_REFUSED:
            self._drop_all()
            self.ws.end(closecodes.NOT_AUTHENTICATED, "not authenticated")

    async def _run_hook(self, plan: Plan, call: Call | None = None) -> Any:
        async with Context(self.ws, self.ws.handshake, self.lasting, call) as context:
            return await call_plan(plan, context)


def _end_for(error: Exception) -> tuple[int, str]:
    """Return how a connection ends that cannot enter the session that it was to share."""
    if isinstance(error, Reject) and error.code == "unavailable":
        return closecodes.OVERLOADED, "try again"
    if isinstance(error, Reject) and error.code == "bad_channel":
        return closecodes.NOT_FOUND, "no such session"
    return (closecodes.FORBIDDEN, "forbidden") if is_foreseen(error) else close_of(error)
