"""One call: the function is found and run, and what it returns, yields or raises is said."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from contextlib import suppress
from types import AsyncGeneratorType
from typing import Any

from .. import closecodes
from ..binding.depends import Store
from ..binding.plan import Context, Plan
from ..commands import Call, Ended, Failure, Id, Output, Result
from ..errors import Close, ConnectionClosed, MalformedMessage, Reject, ValidationError
from ..handlers import call_plan, close_of, is_foreseen, is_own_end, report, stray
from ..json.depth import plain
from ..replies import Reply
from ..security.buckets import Bucket, burst_of
from ..security.credentials import ExpiredCredentials
from ..security.permissions import check
from ..timers import wheel
from ..types import Frame
from ..websocket import WebSocket, own_frame
from .endpoint import Function, MessageEndpoint
from .shared import SharedSession, Update

__all__ = ["Calls"]

logger = logging.getLogger("wirework")

_MAX_UNWANTED = 1000
"""Cancelled calls of one connection whose turn has not come."""


class Calls(ABC):
    """Runs the calls of one connection and says their answers in its dialect."""

    __slots__ = (
        "_buckets",
        "_done",
        "_in_handler",
        "_starting",
        "_streams",
        "_unwanted",
        "endpoint",
        "lasting",
        "shared",
        "ws",
    )

    def __init__(self, endpoint: MessageEndpoint, ws: WebSocket) -> None:
        self.endpoint = endpoint
        self.ws = ws
        self.lasting = Store()
        self.shared: SharedSession | None = None
        """What it shares with other connections, once it has begun."""
        self._in_handler: list[asyncio.Task[None]] | None = None
        """Workers to cancel when the peer goes: those in the handler, not in its cleanup."""
        self._streams: dict[asyncio.Task[None], Id] | None = None
        """Workers that say a stream, which the client may cancel, and which call they answer."""
        self._starting: set[Id] | None = None
        """Calls whose turn has come, but whose stream has not begun."""
        self._unwanted: set[Id] | None = None
        self._buckets: dict[str, Bucket] | None = None
        """What may still come of messages that have a rate."""
        self._done: set[str] | None = None
        """Names of messages that were handled, where the order of messages is checked."""

    async def run_call(self, call: Call) -> None:
        """Run the function for `call` and send what it says; errors are answered too."""
        if call.id is not None:
            self._starting = set() if self._starting is None else self._starting
            self._starting.add(call.id)
        try:
            function = self.endpoint.find(call.name, is_debug=self._is_debug)
            if not function.is_free:
                self._check(function, call.name)
            if function.plan.is_stream and call.id in (self._unwanted or ()):
                self.push(Ended(call.name, call.id, 0))
                return
            async with Context(self.ws, self.ws.handshake, self.lasting, call) as context:
                frame, then = await self._run(function.plan, context, call)
            if frame is not None:
                await self._deliver(frame)
            if then is not None:
                self.ws.end(then.code, then.reason)
            elif self.endpoint.has_turns and not _is_error(context.result):
                self._done = {*(self._done or ()), call.name}
        except Exception as error:
            await self.fail(error, call)
        finally:
            self._forget(call.id)

    async def answer(self, value: Any, call: Call) -> None:
        """Send what a function has returned, where nothing is done around messages."""
        if type(value) is AsyncGeneratorType:
            frame, then = await self._stream(value, call)
        else:
            frame, then = self._encode(value, call)
        if frame is not None and self.ws.connection.is_open:
            await self.ws.send_frame(frame)
        if then is not None:
            self.ws.end(then.code, then.reason)

    def cancel(self, id: Id, *, is_ahead: bool = True) -> None:
        """End the stream that answers call `id`; one that has not begun yet will say nothing.

        The function of a call whose turn has not come is called all the same, unless it is a
        generator.

        `is_ahead`: this is heard ahead of what waits in the inbox, where the call may be.
        """
        streams = self._streams or {}
        workers = [worker for worker, answered in streams.items() if answered == id]
        for worker in workers:
            del streams[worker]
            worker.cancel()
        is_waiting = is_ahead and bool(self.ws.connection.inbox)
        if not workers and (is_waiting or id in (self._starting or ())):
            self._unwanted = self._unwanted or set()
            if len(self._unwanted) < _MAX_UNWANTED:
                self._unwanted.add(id)

    def _forget(self, id: Id | None) -> None:
        """Forget a call that is over, and that it was cancelled."""
        if id is not None:
            (self._starting or set()).discard(id)
            (self._unwanted or set()).discard(id)

    def cancel_handlers(self) -> None:
        """Cancel what runs now, but none of its cleanup."""
        for worker in self._in_handler or ():
            worker.cancel()

    # --- the function ---------------------------------------------------------------------------

    def _check(self, function: Function, name: str) -> None:
        """Raise `Reject` where the function may not be called now, or not by this user."""
        if function.requires is not None and not check(function.requires, self.ws.identity):
            raise Reject("forbidden", "You may not do this.")
        if function.after is not None and function.after not in (self._done or ()):
            raise Reject("not_ready", f"first comes {function.after!r}")
        if function.rate is not None:
            self._buckets = {} if self._buckets is None else self._buckets
            bucket = self._buckets.setdefault(name, Bucket(function.rate, burst_of(function.rate)))
            wait = bucket.take(1, wheel().now())
            if wait:
                self.ws.connection.met("rate")
                raise Reject("rate_limited", "too many messages", {"retry_after": wait})

    async def _run(
        self, plan: Plan, context: Context, call: Call
    ) -> tuple[Frame | Update | None, Close | None]:
        """Run the function, which may be cancelled here and nowhere else."""
        if not self.endpoint.cancel_on_disconnect:
            return await self._between_hooks(plan, context, call)
        task = asyncio.current_task()
        assert task is not None
        self._in_handler = [*(self._in_handler or ()), task]
        try:
            return await self._between_hooks(plan, context, call)
        finally:
            self._in_handler.remove(task)

    async def _between_hooks(
        self, plan: Plan, context: Context, call: Call
    ) -> tuple[Frame | Update | None, Close | None]:
        hooks = self.endpoint.hooks
        for hook in hooks.before:
            await call_plan(hook, context)
        if not hooks.after:
            return await self._answer(plan, context, call)
        try:
            answer = await self._answer(plan, context, call)
        except asyncio.CancelledError:
            await self._run_after_cancellation(context)
            raise
        except Exception as error:
            context.error = error
            await self._run_after(context)
            raise
        await self._run_after(context)
        return answer

    async def _run_after(self, context: Context) -> None:
        """Run all hooks, then raise the first error, or a cancellation, which goes before it."""
        failure: BaseException | None = None
        for hook in self.endpoint.hooks.after:
            try:
                await call_plan(hook, context)
            except asyncio.CancelledError as error:
                failure = error
            except Exception as error:
                if failure is not None:
                    report(self.ws, error, hook.where)
                failure = failure or error
        if failure is not None:
            raise failure

    async def _run_after_cancellation(self, context: Context) -> None:
        try:
            await self._run_after(context)
        except Exception as error:  # the cancellation is the answer
            report(self.ws, error, self.endpoint.where)

    async def _answer(
        self, plan: Plan, context: Context, call: Call
    ) -> tuple[Frame | Update | None, Close | None]:
        """Return the frame of the last or only answer, and how the connection then ends."""
        if self.endpoint.handler_timeout is not None:
            value = await self._within(self.endpoint.handler_timeout, plan, context, call)
        elif self.endpoint.middleware:
            value = await self._through(0, plan, context, call)
        else:
            value = await _value(plan, context)
        if type(value) is AsyncGeneratorType:
            return await self._stream(value, call)
        context.result = value
        return self._outcome(value, call)

    async def _within(self, seconds: float, plan: Plan, context: Context, call: Call) -> Any:
        """Run middleware and function; cancel what takes longer than it may."""
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                return await self._through(0, plan, context, call)
        except TimeoutError:
            if not limit.expired():
                raise
            self.ws.connection.met("handler_timeout")
            logger.error("%s took longer than %s s on %s", plan.where, seconds, self.ws.id)
            raise Reject("timed_out", "the handler took too long") from None

    async def _through(self, index: int, plan: Plan, context: Context, call: Call) -> Any:
        """Run the middleware from `index` on, and the function behind it."""
        if index == len(self.endpoint.middleware):
            context.call = call
            return await _value(plan, context)

        async def call_next(message: Call) -> Any:
            return await self._through(index + 1, plan, context, message)

        return await self.endpoint.middleware[index](call, self.ws, call_next)

    # --- streams --------------------------------------------------------------------------------

    async def _stream(
        self, values: AsyncGenerator[Any, None], call: Call
    ) -> tuple[Frame | None, Close | None]:
        """Say every value; return the frame that tells the end, and how the connection ends."""
        said = _Count()
        try:
            if call.id is None:
                return None, await self._say_all(values, call, said)
            then = await self._say_numbered(values, call, call.id, said)
        finally:
            await values.aclose()
        return self.say(Ended(call.name, call.id, said.number)), then

    async def _say_numbered(
        self, values: AsyncGenerator[Any, None], call: Call, id: Id, said: _Count
    ) -> Close | None:
        """Say every value with its number; the client may cancel it."""
        task = asyncio.current_task()
        assert task is not None
        self.listen()
        if id in (self._unwanted or ()):
            return None
        streams = self._streams = {} if self._streams is None else self._streams
        streams[task] = id
        try:
            then = await self._say_all(values, call, said)
            if task not in streams:
                task.uncancel()  # the generator went on regardless
            return then
        except asyncio.CancelledError:
            if task in streams or task.uncancel():
                raise
            return None
        finally:
            streams.pop(task, None)

    async def _say_all(
        self, values: AsyncGenerator[Any, None], call: Call, said: _Count
    ) -> Close | None:
        try:
            async for value in values:
                if value is None:
                    continue
                if isinstance(value, Reply):
                    self._raise_failure(value, call)
                frame, then = self._outcome(value, call, said.number)
                is_over = self.ws.connection.is_ended
                if frame is not None:
                    await self._deliver(frame)
                    said.number += not isinstance(frame, Update)
                if is_over or then is not None:
                    return then
        except asyncio.CancelledError as error:
            raise stray(error) from error
        return None

    @abstractmethod
    def listen(self) -> None:
        """See to it that what the client says about calls is heard while they run."""

    # --- what is said ---------------------------------------------------------------------------

    def say(self, output: Output) -> Frame | None:
        """Return the frame that says `output`; None where the dialect has no words for it."""
        codec = self.ws.codec
        assert codec is not None
        return codec.encode(output)

    def push(self, output: Output) -> bool:
        """Say `output` without waiting for room; False: the dialect has no words for it."""
        frame = self.say(output)
        if frame is None:
            return False
        with suppress(ConnectionClosed):
            self.ws.connection.push(own_frame(frame))
        return True

    async def _deliver(self, frame: Frame | Update) -> None:
        """Say it; an update also if the peer has left, but not after an end of ours."""
        connection = self.ws.connection
        if not isinstance(frame, Update):
            answer: Frame | None = frame
        elif connection.is_ended and not connection.by_peer:
            return
        else:
            assert self.shared is not None
            await self.shared.publish(frame)
            answer = frame.answer
        if answer is not None and connection.is_open:
            await self.ws.send_frame(answer)

    def _outcome(
        self, value: Any, call: Call, index: int | None = None
    ) -> tuple[Frame | Update | None, Close | None]:
        """Return what a function says: an answer, or an update of the session that is shared."""
        if self.shared is None or value is None or isinstance(value, Close | Reply):
            return self._encode(value, call, index)
        is_lone = index is None  # the answer to a stream is its end
        answer = self._encode(None, call)[0] if is_lone else None
        return self.shared.update(call.name, value, answer), None

    def _encode(
        self, value: Any, call: Call, index: int | None = None
    ) -> tuple[Frame | None, Close | None]:
        if value is None:
            # a call with an id waits for its answer
            return (None if call.id is None else self.say(Result(None, call.name, call.id))), None
        if isinstance(value, Close):
            return None, value
        number = None if call.id is None else index
        if not isinstance(value, Reply):
            return self.say(Result(value, call.name, call.id, number)), None
        output = self._output_of(value, call, number)
        frame, then = self.say(output), value.then
        if frame is None and then is None and isinstance(output, Failure):
            code = closecodes.POLICY if (value.status or 0) < 500 else closecodes.INTERNAL_ERROR
            then = Close(code, closecodes.shorten_reason(output.message))
        return frame, then

    def _output_of(self, reply: Reply, call: Call, index: int | None) -> Output:
        body = reply.body
        if reply.include is not None or reply.exclude is not None:
            body = self._selected(reply)
        if reply.is_error and not self.endpoint.dialect.has_statuses:
            details = None if isinstance(body, str) else body
            return Failure(reply.status or 0, reply.message, details, call.name, call.id)
        return Result(body, reply.name or call.name, call.id, index, reply.status)

    def _raise_failure(self, reply: Reply, call: Call) -> None:
        """Raise what an error in a stream says: an error is the last thing that answers a call."""
        output = self._output_of(reply, call, None)
        if isinstance(output, Failure):
            raise Reject(output.code, output.message, output.details)

    def _selected(self, reply: Reply) -> Any:
        json = self.ws.app.json
        fields = plain(json).decode(json.encode(reply.body))
        if not isinstance(fields, dict):
            raise TypeError(f"include and exclude need an object, got {type(reply.body).__name__}")
        wanted = fields.keys() if reply.include is None else reply.include
        return {
            name: value
            for name, value in fields.items()
            if name in wanted and name not in (reply.exclude or ())
        }

    # --- errors ---------------------------------------------------------------------------------

    @property
    def _is_debug(self) -> bool:
        return bool(self.ws.app.settings.debug)

    async def fail(self, error: Exception, call: Call | None) -> bool:
        """Answer one message with an error; close where the dialect has no words for it.

        Return whether the error ends the connection, which may have ended before.
        """
        ws, then = self.ws, None
        if is_own_end(ws, error):
            return False
        try:
            frame, then = await self._apology(error, call or Call(None))
            if frame is not None and ws.connection.is_open:
                await ws.send_frame(frame)
        except Close as close:
            then = close
        except Exception as other:
            if not is_own_end(ws, other):
                report(ws, other, self.endpoint.where)
                then = Close(closecodes.INTERNAL_ERROR)
        if then is not None:
            ws.end(then.code, then.reason)
        return then is not None

    async def _apology(self, error: Exception, call: Call) -> tuple[Frame | None, Close | None]:
        """Return the frame that answers `error`, or raise `Close`."""
        handlers = self.ws.app.exception_handlers
        handler = handlers.find(error)
        if handler is not None:
            try:
                return self._encode(await handlers.call(handler, self.ws, error), call)
            except Exception as other:
                if is_own_end(self.ws, other):
                    return None, None
                error = other
        if not is_foreseen(error):
            report(self.ws, error, self._where(call))
        frame = None if isinstance(error, Close) else self.say(self.failure(error, call))
        if frame is None:
            code, reason = close_of(error)
            raise Close(code, closecodes.shorten_reason(reason)) from None
        return frame, None

    def _where(self, call: Call) -> str:
        function = self.endpoint.functions.get(call.name, self.endpoint.function)
        return self.endpoint.where if function is None else function.plan.where

    def failure(self, error: Exception, call: Call) -> Failure:
        """Return what the peer is told of `error`."""
        said = self._failure(error, call)
        self.ws.connection.rejected(said.code)
        return said

    def _failure(self, error: Exception, call: Call) -> Failure:
        if isinstance(error, ExpiredCredentials) and self.endpoint.dialect.greets:
            return Failure("expired", error.message, None, call.name, call.id)
        if isinstance(error, Reject):
            return Failure(error.code, error.message, error.details, call.name, call.id)
        if isinstance(error, ValidationError):
            text = "the message does not fit"
            return Failure("validation", text, error.problems, call.name, call.id)
        if isinstance(error, MalformedMessage):
            return Failure(error.code, error.message, None, call.name, call.id)
        text = f"{type(error).__name__}: {error}" if self._is_debug else "internal error"
        return Failure("internal", text, None, call.name, call.id)


class _Count:
    """How many values of a stream were said."""

    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number = 0


def _is_error(value: Any) -> bool:
    return isinstance(value, Reply) and value.is_error


async def _value(plan: Plan, context: Context) -> Any:
    """Call the function; a generator becomes an async one, whose values are made in a thread."""
    value = await call_plan(plan, context)
    return _in_threads(value) if plan.kind == "generator" else value


async def _in_threads(values: Any) -> AsyncGenerator[Any, None]:
    from starlette.concurrency import run_in_threadpool

    step: asyncio.Future[Any] | None = None
    try:
        while True:
            step = asyncio.ensure_future(run_in_threadpool(next, values, _END))
            value = await asyncio.shield(step)
            if value is _END:
                return
            yield value
    finally:
        if step is not None:  # a generator cannot be closed while its thread works
            await asyncio.gather(step, return_exceptions=True)
        await run_in_threadpool(values.close)


_END: Any = object()
