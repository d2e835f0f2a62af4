"""Connection handlers, and what becomes of the errors that handlers raise."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, ItemsView, Sequence
from typing import Any, Protocol, TypeAlias

from . import closecodes
from .binding.depends import Store, kind_of
from .binding.plan import Context, Plan
from .connection import current
from .controller import new_controller
from .dialects.base import Dialect
from .errors import (
    Close,
    ConnectionClosed,
    MalformedMessage,
    Refuse,
    RegistrationError,
    Reject,
    ValidationError,
    WrongFrame,
)
from .settings import Settings
from .websocket import Host, WebSocket

__all__ = [
    "Application",
    "ConnectionHandler",
    "Endpoint",
    "ExceptionHandler",
    "ExceptionHandlers",
    "call_plan",
    "close_of",
    "http_answer",
    "instead_of",
    "is_foreseen",
    "is_own_end",
    "refuse_for",
    "report",
    "stray",
]

logger = logging.getLogger("wirework")

_TELLING = (Close, Reject, Refuse, ValidationError, MalformedMessage)

ExceptionHandler: TypeAlias = Callable[[Any, Any], Any]
"""`async def handler(connection, error)`: returns a reply, or raises what is to happen instead."""


class Application(Host, Protocol):
    """What endpoints need of the application."""

    @property
    def settings(self) -> Settings:
        """Limits, timeouts and switches."""

    @property
    def exception_handlers(self) -> ExceptionHandlers:
        """What the application registered for its errors."""

    def met(self, limit: str) -> None:
        """Count that a limit of HTTP requests has bitten."""


class Endpoint(Protocol):
    """What a WebSocket route leads to."""

    @property
    def opens_at_once(self) -> bool:
        """Whether `open` waits for nothing and runs no code of the application."""

    async def open(self, ws: WebSocket) -> None:
        """Answer the handshake; may return while the connection lives on.

        `ws.connection.finish()` is called once nothing more will happen.
        """


class ExceptionHandlers:
    """Error class -> the application's function for it; the nearest class wins."""

    def __init__(self) -> None:
        self._handlers: dict[type[BaseException], ExceptionHandler] = {}

    def add(self, kind: type[BaseException], handler: ExceptionHandler) -> None:
        """Handle errors of class `kind`.

        Raises:
            RegistrationError: not an exception class, or it has a handler already.
        """
        where = "app.exception_handler"
        if not (isinstance(kind, type) and issubclass(kind, Exception)):
            raise RegistrationError(where, f"expected an exception class, got {kind!r}")
        if kind in self._handlers:
            raise RegistrationError(where, f"{kind.__name__} has a handler already")
        self._handlers[kind] = handler

    def items(self) -> ItemsView[type[BaseException], ExceptionHandler]:
        """Return all of them."""
        return self._handlers.items()

    def find(self, error: BaseException) -> ExceptionHandler | None:
        """Return the handler for `error`, if there is one.

        Errors that say by themselves what is to happen, such as `Reject` and `Close`, are not
        for the handler of a broader class.
        """
        for kind in type(error).__mro__:
            if kind in self._handlers:
                return self._handlers[kind]
            if kind in _TELLING:
                return None
        return None

    async def call(self, handler: ExceptionHandler, connection: Any, error: BaseException) -> Any:
        """Run `handler`; a `def` runs in a thread."""
        if kind_of(handler) == "async":
            return await handler(connection, error)
        from starlette.concurrency import run_in_threadpool

        return await run_in_threadpool(handler, connection, error)


class ConnectionHandler:
    """Style 1: one function that holds the loop of its connection from handshake to end."""

    opens_at_once = False

    def __init__(
        self,
        plan: Plan,
        controller: Plan | None = None,
        *,
        dialect: Dialect | None = None,
        middleware: Sequence[Any] = (),
        settings: Settings,
    ) -> None:
        if plan.kind != "async":
            kind = f"an {plan.kind}" if plan.kind[0] == "a" else f"a {plan.kind}"
            raise RegistrationError(
                plan.where,
                f"a connection handler must be an async def, got {kind} function",
                "write async def, or use app.ws for one call per message",
            )
        self.plan = plan
        self.controller = controller
        """The class whose method `plan` is."""
        self.dialect = dialect
        self.middleware = tuple(middleware)
        """What `ws.serve` takes where it is not told."""
        self.settings = settings
        """With the limits of the route."""

    async def open(self, ws: WebSocket) -> None:
        """Run the function; whatever way it ends, the connection ends with a code."""
        token = current.set(ws.connection)
        ws.handler = self
        store = Store()
        context = Context(ws, ws.handshake, store, passing=store)
        try:
            async with context:
                self.plan.check(ws.handshake)
                if self.controller is not None:
                    self.controller.check(ws.handshake)
                    await new_controller(self.controller, context)
                result = await call_plan(self.plan, context)
            await self._end(ws, result)
        except asyncio.CancelledError:
            ws.connection.close(closecodes.RESTARTING, discard=True)
            raise
        except Exception as error:
            await self._fail(ws, error)
        finally:
            current.reset(token)
            try:
                if ws.handshake.stored is not None:
                    await ws.handshake.stored.keep_last()
            finally:
                ws.connection.finish()

    async def _end(self, ws: WebSocket, result: Any) -> None:
        if isinstance(result, Close):
            await ws.close(result.code, result.reason)
        elif not ws.connection.is_answered:
            logger.error("%s returned without answering the handshake", self.plan.where)
            await ws.refuse(500)
        else:
            ws.connection.close()

    async def _fail(self, ws: WebSocket, error: Exception) -> None:
        if is_own_end(ws, error):
            return
        handler = ws.app.exception_handlers.find(error)
        if handler is not None:
            try:
                await self._end(ws, await ws.app.exception_handlers.call(handler, ws, error))
                return
            except Exception as other:
                if is_own_end(ws, other):
                    return
                error = other
        if ws.connection.is_answered:
            if not is_foreseen(error):
                report(ws, error, self.plan.where)
            ws.connection.close(*close_of(error))
        else:
            await refuse_for(ws, error, self.plan.where)


async def call_plan(plan: Plan, context: Context) -> Any:
    """Call the plan's function; the cancellation of what it waits for is an error of its own."""
    try:
        return await plan.call(context)
    except asyncio.CancelledError as error:
        raise stray(error) from error


def stray(error: asyncio.CancelledError) -> Exception:
    """Return what a cancellation means that nobody asked of this task: that of an awaited one.

    Raises:
        CancelledError: this task itself is being cancelled.
    """
    task = asyncio.current_task()
    if task is None or task.cancelling():
        raise error
    return RuntimeError("a task that the handler waited for was cancelled")


def is_own_end(ws: WebSocket, error: BaseException) -> bool:
    """Whether `error` tells that this very connection has ended, which is a normal end.

    A `ConnectionClosed` of another connection, met in a broadcast, is an error of the handler.
    """
    return isinstance(error, ConnectionClosed) and ws.connection.is_ended


async def instead_of(ws: WebSocket, error: Exception) -> Exception:
    """Return what a hook's error becomes: what the application's handler for it says, or itself."""
    handlers = ws.app.exception_handlers
    handler = handlers.find(error)
    if handler is None:
        return error
    try:
        result = await handlers.call(handler, ws, error)
    except Exception as other:
        return other
    return result if isinstance(result, Close) else error


async def refuse_for(ws: WebSocket, error: Exception, where: str) -> None:
    """Refuse the handshake as `error` says; what nobody foresaw is logged and refused with 500."""
    try:
        if isinstance(error, Refuse):
            await ws.refuse(error.status, error.body, error.headers)
        elif isinstance(error, Close):
            await ws.close(error.code, error.reason)
        elif is_foreseen(error):
            status, body = http_answer(error)
            encoded = ws.app.json.encode(body)
            await ws.refuse(status, encoded, {"content-type": "application/json"})
        else:
            report(ws, error, where)
    except Exception as other:
        if not is_own_end(ws, other):
            report(ws, other, where)
    if not ws.connection.is_answered:
        await ws.connection.refuse(500, (), b"Internal Server Error")


def http_answer(error: BaseException) -> tuple[int, dict[str, Any]]:
    """Return the HTTP status and the JSON body that say what `error` says."""
    details: Any = None
    if isinstance(error, Reject):
        is_status = isinstance(error.code, int) and 400 <= error.code <= 599
        status, code, details = int(error.code) if is_status else 403, error.code, error.details
        text = error.message
    elif isinstance(error, ValidationError):
        status, code, details, text = 400, "validation", error.problems, str(error)
    elif isinstance(error, MalformedMessage):
        status, code, text = 400, error.code, error.message
    elif isinstance(error, Close):
        status, code, text = closecodes.http_status(error.code), error.code, error.reason
    else:
        status, code, text = 500, "internal", "internal error"
    body = {"code": code, "message": text}
    return status, {"error": body if details is None else {**body, "details": details}}


def report(ws: WebSocket, error: BaseException, where: str) -> None:
    """Log an error that nobody foresaw, with its traceback."""
    ws.connection.failed()
    logger.error("%s failed on %s", where, ws.id, exc_info=error)


def is_foreseen(error: BaseException) -> bool:
    """Whether `error` says by itself what the peer is to be told."""
    return isinstance(error, (Close, Reject, ValidationError, MalformedMessage))


def close_of(error: BaseException) -> tuple[int, str]:
    """Return the close code and reason for `error`, where there are no other words for it."""
    if isinstance(error, Close):
        return error.code, error.reason
    if isinstance(error, Reject):
        return closecodes.POLICY, error.message
    if isinstance(error, WrongFrame):
        return closecodes.WRONG_KIND, str(error)
    if isinstance(error, (MalformedMessage, ValidationError)):
        return closecodes.INVALID_DATA, str(error)
    return closecodes.INTERNAL_ERROR, ""
