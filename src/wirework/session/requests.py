"""What the server asks the client, and waits for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ..commands import Answer, Id, Request
from ..errors import ConnectionClosed, RequestFailed, StateError, ValidationError

if TYPE_CHECKING:
    from .session import MessageSession

__all__ = ["Requests"]

_MAX_WAITING = 1000
"""Requests of one connection that wait for an answer."""


class Requests:
    """The requests of one connection that wait for an answer."""

    def __init__(self, session: MessageSession) -> None:
        self._session = session
        self._waiting: dict[Id, asyncio.Future[Answer]] = {}
        self._count = 0

    async def ask(self, name: str, value: Any, timeout: float, kind: Any) -> Any:
        """Send a request and return what the client answers, as a `kind`."""
        ws = self._session.ws
        if not ws.connection.is_answered:
            raise StateError("request: the handshake is not answered; ask in on_ready, or accept")
        if len(self._waiting) >= _MAX_WAITING:
            raise StateError(f"request: {_MAX_WAITING} wait for an answer already")
        self._count += 1
        id = self._count
        frame = self._session.say(Request(value, name, id))
        if frame is None:
            dialect = self._session.endpoint.dialect.name
            raise StateError(f"request: the dialect {dialect} has no requests")
        self._session.listen()
        answered = self._waiting[id] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout):
                await ws.send_frame(frame)
                answer = await answered
        finally:
            del self._waiting[id]
        return self._value_of(answer, kind)

    def settle(self, answer: Answer) -> None:
        """Hand an answer to who waits for it; unknown, late and second ones are dropped."""
        waiting = self._waiting.get(answer.id)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    def end(self, error: ConnectionClosed) -> None:
        """Tell all who wait that the connection has ended."""
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(error)

    def _value_of(self, answer: Answer, kind: Any) -> Any:
        if answer.failure is not None:
            failure = answer.failure
            raise RequestFailed(failure.code, failure.message, failure.details)
        json = self._session.ws.app.json
        read = json.convert if self._session.endpoint.dialect.body == "value" else json.decode
        try:
            return read(answer.body, kind)
        except ValidationError as error:
            raise RequestFailed("validation", str(error), error.problems) from error
