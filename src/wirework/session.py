"""Message styles: a session takes the commands of one connection and runs handlers.

It keeps no task while the connection is idle: a worker starts when a frame arrives and ends when
the inbox is empty.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import Any

from . import closecodes
from .binding.depends import Store
from .binding.plan import Context, Plan
from .commands import Call, Failure, Output, Result
from .connection import current
from .dialects.base import Dialect
from .errors import Close, MalformedMessage, RegistrationError, Reject, ValidationError
from .handlers import (
    call_plan,
    close_of,
    instead_of,
    is_foreseen,
    is_own_end,
    refuse_for,
    report,
    stray,
)
from .json import JsonAdapter
from .outbox import TEXT, Outgoing
from .shortcut import Shortcut, shortcut_of
from .types import Frame
from .websocket import WebSocket

__all__ = ["MessageEndpoint", "MessageSession"]

logger = logging.getLogger("wirework")

_alive: set[asyncio.Task[None]] = set()
"""Workers at work: the event loop alone would not keep them from being collected."""


_UNREAD: Any = object()


class MessageEndpoint:
    """Style 2: a function called for each message, with hooks for both ends.

    Args:
        dialect: how messages look on the wire.
        plan: of the function for messages.
        json: the application's adapter.
        on_connect: runs before the handshake is answered, and may refuse it.
        on_disconnect: runs once for every accepted connection, when it has ended.
        concurrency: messages of one connection handled at a time; 1 keeps their order.
        cancel_on_disconnect: whether a running handler is cancelled when the peer goes.
    """

    def __init__(
        self,
        dialect: Dialect,
        plan: Plan,
        json: JsonAdapter,
        *,
        on_connect: Plan | None = None,
        on_disconnect: Plan | None = None,
        concurrency: int = 1,
        cancel_on_disconnect: bool = False,
    ) -> None:
        self.dialect = dialect
        self.plan = plan
        for hook in (on_connect, on_disconnect):
            if hook is not None and hook.kind not in ("async", "sync"):
                raise RegistrationError(
                    hook.where,
                    f"a hook is called once and returns, this is a {hook.kind}",
                    "write a def or an async def without yield",
                )
        self.shortcut = None if cancel_on_disconnect else shortcut_of(dialect, plan, json)
        self.on_connect = on_connect
        self.on_disconnect = on_disconnect
        self.concurrency = concurrency
        self.cancel_on_disconnect = cancel_on_disconnect

    @property
    def plans(self) -> list[Plan]:
        """The plans of the function and of the hooks that there are."""
        found = (self.on_connect, self.plan, self.on_disconnect)
        return [plan for plan in found if plan is not None]

    async def open(self, ws: WebSocket) -> None:
        """Answer the handshake; frames are then handled as they come."""
        await MessageSession(self, ws).open()


class MessageSession:
    """One connection that speaks a dialect."""

    __slots__ = ("_in_handler", "_is_over", "_lasting", "_running", "endpoint", "ws")

    def __init__(self, endpoint: MessageEndpoint, ws: WebSocket) -> None:
        self.endpoint = endpoint
        self.ws = ws
        self._lasting = Store()
        self._running = 0
        self._in_handler: list[asyncio.Task[None]] = []
        """Workers to cancel when the peer goes: those in the handler, not in its cleanup."""
        self._is_over = False

    async def open(self) -> None:
        """Run `on_connect` and answer the handshake, or refuse it."""
        ws = self.ws
        ws.codec = self.endpoint.dialect.open(ws.app.json)
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
        if not connection.is_accepted:
            await self._release_lasting(failure)
            connection.finish()
            return
        connection.consumer = self
        for _ in range(max(1, len(connection.inbox))):
            self.wake()

    def wake(self) -> None:
        """Start a worker for what is in the inbox, or for the end."""
        connection = self.ws.connection
        if self._is_over:
            return
        if connection.by_peer and self.endpoint.cancel_on_disconnect:
            connection.inbox.clear()
            for worker in self._in_handler:
                worker.cancel()
        has_work = connection.inbox or (connection.is_ended and not self._running)
        if has_work and self._running < self.endpoint.concurrency:
            self._running += 1
            _alive.add(asyncio.get_running_loop().create_task(self._work()))
        connection.is_awaited = self._running < self.endpoint.concurrency

    # --- the handshake --------------------------------------------------------------------------

    async def _connect(self) -> None:
        ws = self.ws
        for plan in self.endpoint.plans:
            plan.check(ws.handshake)
        if self.endpoint.on_connect is not None:
            greeting = await self._run_hook(self.endpoint.on_connect)
            if isinstance(greeting, Close):
                raise greeting
            if greeting is not None and not ws.connection.is_ended:
                await ws.send(greeting)
        if not ws.connection.is_answered:
            await ws.accept()

    async def _refuse(self, error: Exception) -> None:
        ws = self.ws
        if is_own_end(ws, error):
            return
        where = (self.endpoint.on_connect or self.endpoint.plan).where
        error = await instead_of(ws, error)
        if ws.connection.is_answered:
            if not is_foreseen(error):
                report(ws, error, where)
            ws.connection.close(*close_of(error))
        else:
            await refuse_for(ws, error, where)

    async def _run_hook(self, plan: Plan) -> Any:
        async with Context(self.ws, self.ws.handshake, self._lasting) as context:
            return await call_plan(plan, context)

    # --- messages -------------------------------------------------------------------------------

    async def _work(self) -> None:
        connection = self.ws.connection
        current.set(connection)
        task = asyncio.current_task()
        assert task is not None
        try:
            if self.endpoint.shortcut is not None:
                await self._work_shortly(self.endpoint.shortcut)
            while connection.inbox:
                await self._take(connection.next_frame())
        except asyncio.CancelledError:
            if not (connection.by_peer and self.endpoint.cancel_on_disconnect):
                connection.close(closecodes.RESTARTING, discard=True)
                raise
            task.uncancel()
        except BaseException as error:
            report(self.ws, error, self.endpoint.plan.where)
            connection.close(closecodes.INTERNAL_ERROR)
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise
        finally:
            self._running -= 1
            connection.is_awaited = True
            if connection.is_ended and not self._running and not self._is_over:
                self._is_over = True
                await self._disconnect()
            _alive.discard(task)

    async def _work_shortly(self, shortcut: Shortcut) -> None:
        """Handle the inbox the short way; what that cannot do takes the long one."""
        connection = self.ws.connection
        inbox, outbox = connection.inbox, connection.outbox
        function, read, encode, special = shortcut
        while inbox:
            frame = connection.next_frame()
            try:
                argument = read(frame) if type(frame) is str else _UNREAD
            except Exception:
                argument = _UNREAD
            if argument is _UNREAD:
                await self._take(frame)
                continue
            try:
                value = await function(argument)
                if value is None or connection.close_code is not None:
                    continue
                try:
                    data = None if type(value) in special else encode(value)
                except Exception:
                    data = None
                if data is None:
                    await self._say_value(value)
                    continue
                if outbox.is_congested:
                    await connection.make_room()
                connection.push(Outgoing(TEXT, data))
            except asyncio.CancelledError as error:
                await self._fail(stray(error), None)
            except Exception as error:
                await self._fail(error, None)

    async def _say_value(self, value: Any) -> None:
        frame = self._encode(value, Call(None))
        if frame is not None:
            await self.ws.send_frame(frame)

    async def _take(self, frame: Frame) -> None:
        codec = self.ws.codec
        assert codec is not None
        try:
            commands = codec.decode(frame)
        except MalformedMessage as error:
            await self._fail(error, None)
            return
        for call in commands:
            await self._call(call)

    async def _call(self, call: Call) -> None:
        try:
            async with Context(self.ws, self.ws.handshake, self._lasting, call) as context:
                frame = await self._run(context, call)
            if frame is not None and self.ws.connection.is_open:
                await self.ws.send_frame(frame)
        except Exception as error:
            await self._fail(error, call)

    async def _run(self, context: Context, call: Call) -> Frame | None:
        """Run the handler, which may be cancelled here and nowhere else."""
        if not self.endpoint.cancel_on_disconnect:
            return await self._answer(context, call)
        task = asyncio.current_task()
        assert task is not None
        self._in_handler.append(task)
        try:
            return await self._answer(context, call)
        finally:
            self._in_handler.remove(task)

    async def _answer(self, context: Context, call: Call) -> Frame | None:
        """Return the frame of the handler's last or only answer."""
        value = await call_plan(self.endpoint.plan, context)
        kind = self.endpoint.plan.kind
        if kind == "async generator":
            await self._stream(value, call)
            return None
        if kind == "generator":
            await self._stream(_in_threads(value), call)
            return None
        return self._encode(value, call)

    async def _stream(self, values: AsyncGenerator[Any, None], call: Call) -> None:
        try:
            async for value in values:
                frame = self._encode(value, call)
                if self.ws.connection.is_ended:
                    return
                if frame is not None:
                    await self.ws.send_frame(frame)
        except asyncio.CancelledError as error:
            raise stray(error) from error
        finally:
            await values.aclose()

    def _encode(self, value: Any, call: Call) -> Frame | None:
        if value is None:
            return None
        if isinstance(value, Close):
            raise value
        return self._say(Result(value, call.name, call.id))

    # --- errors ---------------------------------------------------------------------------------

    async def _fail(self, error: Exception, call: Call | None) -> None:
        """Answer one message with an error; close where the dialect has no words for it."""
        ws = self.ws
        if is_own_end(ws, error):
            return
        try:
            frame = await self._apology(error, call or Call(None))
            if frame is not None and ws.connection.is_open:
                await ws.send_frame(frame)
        except Close as close:
            ws.connection.close(close.code, close.reason)
        except Exception as other:
            if not is_own_end(ws, other):
                report(ws, other, self.endpoint.plan.where)
                ws.connection.close(closecodes.INTERNAL_ERROR)

    async def _apology(self, error: Exception, call: Call) -> Frame | None:
        """Return the frame that answers `error`, or raise `Close`."""
        handlers = self.ws.app.exception_handlers
        handler = handlers.find(error)
        if handler is not None:
            try:
                return self._encode(await handlers.call(handler, self.ws, error), call)
            except Exception as other:
                if is_own_end(self.ws, other):
                    return None
                error = other
        if not is_foreseen(error):
            report(self.ws, error, self.endpoint.plan.where)
        frame = None if isinstance(error, Close) else self._say(self._failure(error, call))
        if frame is None:
            code, reason = close_of(error)
            raise Close(code, closecodes.shorten_reason(reason)) from None
        return frame

    def _failure(self, error: Exception, call: Call) -> Failure:
        if isinstance(error, Reject):
            return Failure(error.code, error.message, error.details, call.name, call.id)
        if isinstance(error, ValidationError):
            text = "the message does not fit"
            return Failure("validation", text, error.problems, call.name, call.id)
        if isinstance(error, MalformedMessage):
            return Failure(error.code, error.message, None, call.name, call.id)
        text = "internal error"
        if self.ws.app.settings.debug:
            text = f"{type(error).__name__}: {error}"
        return Failure("internal", text, None, call.name, call.id)

    def _say(self, output: Output) -> Frame | None:
        codec = self.ws.codec
        assert codec is not None
        return codec.encode(output)

    # --- the end --------------------------------------------------------------------------------

    async def _disconnect(self) -> None:
        plan = self.endpoint.on_disconnect
        try:
            if plan is not None:
                await self._run_hook(plan)
        except Exception as error:
            if not is_own_end(self.ws, error):
                report(self.ws, error, (plan or self.endpoint.plan).where)
        finally:
            await self._release_lasting(None)
            self.ws.connection.finish()

    async def _release_lasting(self, error: BaseException | None) -> None:
        try:
            await self._lasting.release(error)
        except Exception as other:
            logger.error("a dependency of %s failed to end", self.ws.id, exc_info=other)


async def _in_threads(values: Any) -> AsyncGenerator[Any, None]:
    from starlette.concurrency import iterate_in_threadpool, run_in_threadpool

    try:
        async for value in iterate_in_threadpool(values):
            yield value
    finally:
        await run_in_threadpool(values.close)
