"""The life of one connection of a message style, from its handshake to its end.

It keeps no task while the connection is idle: a worker starts when a frame arrives and ends when
the inbox is empty.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from .. import closecodes
from ..binding.plan import Context, Plan
from ..commands import (
    Answer,
    Authenticate,
    Call,
    Cancel,
    ChannelCommand,
    Command,
    Disconnect,
    Id,
    Ping,
    Pong,
)
from ..connection import MAX_EXCESS, current
from ..controller import new_controller
from ..dialects.base import SpoiledFrame
from ..errors import (
    Close,
    ConnectionClosed,
    MalformedMessage,
    Refuse,
    Reject,
    ValidationError,
    WrongFrame,
)
from ..handlers import (
    close_of,
    instead_of,
    is_foreseen,
    is_own_end,
    refuse_for,
    report,
)
from ..timers import wheel
from ..types import Frame
from ..websocket import WebSocket, speak
from .beginning import Beginning
from .channels import Visits
from .endpoint import MessageEndpoint
from .requests import Requests

__all__ = ["MessageSession"]

logger = logging.getLogger("wirework")

_alive: dict[asyncio.Task[None], MessageSession] = {}
"""Workers at work, and whose: the event loop alone would not keep them from being collected."""

_IN_TURN = (Call, Authenticate, ChannelCommand)
"""Commands that wait for those before them."""

_MAX_TOLD = 256
"""Calls of one frame that was dropped which are answered."""


class MessageSession(Beginning):
    """One connection that speaks a dialect."""

    __slots__ = (
        "_frames_over",
        "_is_over",
        "_is_refused",
        "_over",
        "_requests",
        "_running",
        "_visits",
    )

    def __init__(self, endpoint: MessageEndpoint, ws: WebSocket) -> None:
        super().__init__(endpoint, ws)
        self._running = 0
        self._is_over = False
        self._is_refused = False
        """Whether it was accepted only to be told why it is refused."""
        self._over: asyncio.Future[None] | None = None
        self._frames_over = 0
        """Frames in a row that had more messages in them than the peer may send."""
        self._requests: Requests | None = None
        self._visits: Visits | None = None

    async def serve(self) -> None:
        """Run the session inside a connection handler, until the connection has ended."""
        self._over = asyncio.get_running_loop().create_future()
        try:
            await self.open()
            await asyncio.shield(self._over)
        except asyncio.CancelledError:
            self.ws.connection.close(closecodes.RESTARTING, discard=True)
            await self._over
            raise

    async def open(self) -> None:
        """Run `on_connect` and answer the handshake, or refuse it."""
        ws = self.ws
        speak(ws, self.endpoint.dialect)
        ws.conversation = self
        ws.connection.on_excess = self._say_excess
        ws.connection.translate_close = self.endpoint.dialect.wire_close
        ws.connection.consumer = self  # it hears of the end, but starts no worker yet
        self._running = self.endpoint.concurrency
        ws.holds_sends = True
        token = current.set(ws.connection)
        failure: BaseException | None = None
        try:
            await self._connect()
        except asyncio.CancelledError as error:
            failure = error
            ws.connection.close(closecodes.RESTARTING, discard=True)
            raise
        except Exception as error:
            failure = error
            await self._refuse(error)
        finally:
            current.reset(token)
            ws.holds_sends = False
            await self._begin(failure)

    async def _begin(self, failure: BaseException | None) -> None:
        """Handle what has arrived since the acceptance; without one there is nothing more to do."""
        connection = self.ws.connection
        self._running = 0
        self.is_settled = self.is_begun
        if failure is not None:
            self._drop_all()
        if not connection.is_accepted:
            await self._release_lasting(failure)
            self._finish()
            return
        for _ in range(max(1, len(connection.inbox))):
            self.wake()

    def wake(self) -> None:
        """Start a worker for what is in the inbox, or for the end."""
        connection = self.ws.connection
        if self._is_over:
            return
        if connection.by_peer and self.endpoint.cancel_on_disconnect:
            connection.inbox.clear()
            self.cancel_handlers()
        if self._requests is not None and connection.is_ended:
            self._requests.end(connection.closed_error())
        limit = self.endpoint.concurrency if self.is_settled else 1
        has_work = connection.inbox or (connection.is_ended and not self._running)
        if has_work and self._running < limit:
            self._running += 1
            _alive[asyncio.get_running_loop().create_task(self._work())] = self
        connection.is_awaited = self._running < limit

    # --- the handshake --------------------------------------------------------------------------

    async def _connect(self) -> None:
        ws, hooks = self.ws, self.endpoint.hooks
        for plan in self.endpoint.demanding_plans:
            plan.check(ws.handshake)
        if hooks.controller is not None:
            await self._run_lasting(new_controller, hooks.controller)
        if hooks.connect is not None:
            greeting = await self._run_hook(hooks.connect)
            if isinstance(greeting, Close):
                raise greeting
            if greeting is not None and not ws.connection.is_ended:
                await ws.send(greeting)
        if not ws.connection.is_answered:
            await ws.accept()
        if not ws.connection.is_accepted:  # the peer went before: there is no session to begin
            return
        if not self.is_begun:
            await self._expect_beginning()
        elif hooks.ready or hooks.shared or self.endpoint.dialect.ready:
            await self._begin_session(None, is_told=self.endpoint.dialect.ready)

    async def _refuse(self, error: Exception) -> None:
        ws = self.ws
        if is_own_end(ws, error):
            return
        hook = self.endpoint.hooks.connect
        where = self.endpoint.where if hook is None else hook.where
        error = await instead_of(ws, error)
        if self.endpoint.dialect.one_call and _is_verdict(error):
            with suppress(ConnectionClosed):
                await self._refuse_in_words(error)
        elif ws.connection.is_answered:
            if not is_foreseen(error):
                report(ws, error, where)
            ws.end(*close_of(error))
        else:
            await refuse_for(ws, error, where)

    async def _refuse_in_words(self, error: Exception) -> None:
        """Accept, say why not, and close: a refused handshake would be tried again for ever."""
        if isinstance(error, Refuse):
            text = error.body.decode(errors="replace") or HTTPStatus(error.status).phrase
            error = Reject(error.status, text)
        code, reason = close_of(error)
        if not self.ws.connection.is_answered:
            self._is_refused = True
            await self.ws.accept()
        is_close = isinstance(error, Close)
        self.push(Disconnect(code, reason) if is_close else self.failure(error, Call(None)))
        self.ws.connection.close(code, reason)

    async def _run_lasting(self, run: Any, plan: Plan) -> Any:
        """Run a plan whose dependencies all last as long as the connection."""
        lasting = self.lasting
        context = Context(self.ws, self.ws.handshake, lasting, passing=lasting)
        return await run(plan, context)

    def _say_excess(self, frame: Frame, retry_after: float) -> bool:
        """Tell the peer that a frame was dropped, since there were too many; False: no words.

        Each call in it that has an id is answered, so that nobody waits for that in vain.
        """
        error = _too_many(retry_after)
        ids: list[Id | None] = [*self._ids_in(frame)] or [None]
        said = [self.push(self.failure(error, Call(None, id=id))) for id in ids]
        return all(said)

    def _ids_in(self, frame: Frame) -> list[Id]:
        """Return the ids of what can be answered in a frame that is not handled."""
        codec = self.ws.codec
        if codec is None or not self.has_names:
            return []
        try:
            commands = codec.decode(frame)
        except MalformedMessage as error:
            return [] if error.id is None else [error.id]
        found = [getattr(command, "id", None) for command in commands[:_MAX_TOLD]]
        return [id for id in found if id is not None]

    # --- messages -------------------------------------------------------------------------------

    async def _work(self) -> None:
        connection = self.ws.connection
        current.set(connection)
        task = asyncio.current_task()
        assert task is not None
        try:
            shortcut = self.endpoint.shortcut
            if shortcut is not None and self.is_begun and self.ws.agreed is None:
                await self.work_shortly(shortcut)
            while connection.inbox:
                await self.take(connection.next_frame())
        except asyncio.CancelledError:
            if not (connection.by_peer and self.endpoint.cancel_on_disconnect):
                connection.close(closecodes.RESTARTING, discard=True)
                raise
            task.uncancel()
        except BaseException as error:
            report(self.ws, error, self.endpoint.where)
            connection.close(closecodes.INTERNAL_ERROR)
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise
        finally:
            self._running -= 1
            if not self._running:
                self._unwanted = None
            connection.is_awaited = True
            try:
                if connection.is_ended and not self._running and not self._is_over:
                    self._is_over = True
                    await self._disconnect()
            finally:
                _alive.pop(task, None)

    async def take(self, frame: Frame) -> None:
        """Do what a frame says."""
        codec = self.ws.codec
        assert codec is not None
        try:
            await self._do_all(codec.decode(frame))
        except SpoiledFrame as error:
            await self._do_all(error.commands)
            self.ws.end(closecodes.MALFORMED, closecodes.shorten_reason(error.message))
        except MalformedMessage as error:
            await self.fail(error, Call(None, id=error.id))
            if not self.is_begun and self.endpoint.dialect.one_call:
                self.ws.end(closecodes.INVALID_DATA, "no first message")

    async def _do_all(self, commands: Sequence[Command]) -> None:
        connection, is_over = self.ws.connection, False
        for index, command in enumerate(commands):
            if self.is_turned_away or (connection.is_ended and not connection.by_peer):
                return
            wait = connection.charge_again() if index else 0.0
            if wait:
                is_over = True
                await self.fail(_too_many(wait), Call(None, id=getattr(command, "id", None)))
            else:
                await self._do(command)
            if index and connection.outbox.is_congested:
                await connection.make_room()
        if len(commands) > 1:
            self._count_excess(is_over=is_over)

    def _count_excess(self, *, is_over: bool) -> None:
        """End a connection whose frames of several messages are too many, one after the other."""
        self._frames_over = self._frames_over + 1 if is_over else 0
        if self._frames_over > MAX_EXCESS:
            self.ws.end(closecodes.TOO_MANY_MESSAGES, "too many messages")

    async def _do(self, command: Command) -> None:
        if isinstance(command, Call):
            if self.is_begun:
                await self.run_call(command)
            elif self.endpoint.dialect.one_call:
                await self._run_only_call(command)
            else:
                error = Reject("not_authenticated", "authenticate first")
                await self._turn_away(error, Call(None, id=command.id))
        elif isinstance(command, Authenticate):
            await self._authenticate(command)
        elif isinstance(command, Cancel):
            self.cancel(command.id, is_ahead=False)
        elif isinstance(command, ChannelCommand):
            await self._visit(command)
        else:
            self._hear(command)

    async def _visit(self, command: ChannelCommand) -> None:
        """Do what a client asks of a channel, and answer it."""
        call = Call(None, id=command.id)
        if not self.is_begun:
            await self._turn_away(Reject("not_authenticated", "authenticate first"), call)
            return
        if self._visits is None:
            self._visits = Visits(self, self.ws.app.channels, self.ws.app.settings.max_channels)
        try:
            await self._visits.do(command)
        except Exception as error:
            await self.fail(error, call)

    async def _run_only_call(self, call: Call) -> None:
        """Run the one call of a connection; its handler takes the frames that follow."""
        self.is_begun = self.is_settled = True
        wheel().forget(self)
        self.listen()
        name = self.ws.query.get(self.endpoint.dialect.name_in_query or "", "")
        await self.run_call(Call(call.body, name))
        self.ws.end(closecodes.NORMAL)

    # --- what is heard while handlers run -------------------------------------------------------

    def listen(self) -> None:
        """Hear what the client says about calls while they run: `Cancel`, `Answer`, `Ping`."""
        connection = self.ws.connection
        if connection.intercept is None:
            connection.intercept = self._intercept
            connection.sift()

    def _intercept(self, frame: Frame) -> bool:
        codec = self.ws.codec
        assert codec is not None
        try:
            commands = codec.decode(frame)
        except MalformedMessage as error:
            if self.endpoint.dialect.one_call and isinstance(error, WrongFrame):
                self.push(self.failure(error, Call(None)))
                self.ws.end(closecodes.WRONG_KIND, str(error))
            return False
        if any(isinstance(command, _IN_TURN) for command in commands):
            return False
        for command in commands:
            self._hear(command)
        return True

    def _hear(self, command: Command) -> None:
        if isinstance(command, Ping):
            self.push(Pong(command.id))
        elif isinstance(command, Cancel):
            self.cancel(command.id)
        elif isinstance(command, Answer) and self._requests is not None:
            self._requests.settle(command)

    @property
    def has_names(self) -> bool:
        """Whether messages of the dialect have names."""
        dialect = self.endpoint.dialect
        return dialect.has_names and dialect.name_in_query is None

    @property
    def has_html(self) -> bool:
        """Whether the client shows HTML that the server has made."""
        return self.endpoint.dialect.has_html

    def ask(self, name: str, value: Any, timeout: float, kind: Any) -> Awaitable[Any]:
        """Ask the client and wait for its answer; see `WebSocket.request`."""
        if self._requests is None:
            self._requests = Requests(self)
        return self._requests.ask(name, value, timeout, kind)

    # --- the end --------------------------------------------------------------------------------

    @property
    def is_busy(self) -> bool:
        """Whether a call is running that does not merely wait for the client's next message."""
        waits = self.endpoint.concurrency == 1 and self.ws.connection.is_awaited
        return self._running > 0 and not waits

    def cancel_workers(self) -> None:
        """Cancel the running calls; not the disconnect hook, which still runs after them."""
        if not self._is_over:
            for worker in [each for each, session in _alive.items() if session is self]:
                worker.cancel()

    async def _disconnect(self) -> None:
        plan = self.endpoint.hooks.disconnect
        wheel().forget(self)
        try:
            if self._visits is not None:
                await self._visits.leave_all()
            if plan is not None and not self._is_refused:
                await self._run_hook(plan)
        except Exception as error:
            if not is_own_end(self.ws, error):
                report(self.ws, error, plan.where if plan else self.endpoint.where)
        finally:
            try:
                await self._release_lasting(None)
                if self.ws.handshake.stored is not None:
                    await self.ws.handshake.stored.keep_last()
            finally:
                self._finish()

    def _finish(self) -> None:
        """Let go of the connection, or give it back to the handler that serves it."""
        self.ws.conversation = None  # it would keep both alive until the garbage collector comes
        if self._over is None:
            self.ws.connection.finish()
        elif not self._over.done():
            self._over.set_result(None)

    async def _release_lasting(self, error: BaseException | None) -> None:
        try:
            await self.lasting.release(error)
        except Exception as other:
            logger.error("a dependency of %s failed to end", self.ws.id, exc_info=other)


def _too_many(retry_after: float) -> Reject:
    return Reject("rate_limited", "too many messages", {"retry_after": retry_after})


def _is_verdict(error: Exception) -> bool:
    """Whether `error` says that it is of no use to come back later."""
    if isinstance(error, Refuse):
        return 400 <= error.status < 500
    return isinstance(error, (Close, Reject, ValidationError))
