"""One connection to Redis: commands go out together, answers come back in order.

Of our own, since redis-py's takes one command at a time for each connection and reads a
subscription at a fraction of hiredis' speed, and notices neither a reset nor a silent path.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple, cast

import hiredis

from ...errors import BrokerUnavailable
from ...timers import wheel
from .refusal import Lost, Refusal
from .resp import pack

__all__ = ["MAX_WAITING", "Link", "answer_by"]

MAX_WAITING: Final = 50_000
"""Commands that may wait for their answers on one connection; more are refused at once."""
MAX_UNSENT: Final = 64 * 1024 * 1024
"""Bytes of commands that may wait for a server that does not take them."""
PROBE_AFTER: Final = 2.0
"""Seconds of silence after which the server is asked for a sign of life."""
PATIENCE: Final = 5.5
"""Seconds that it may be silent after it was asked anything at all."""
_LOOK_EVERY: Final = 0.5
_PING: Final = pack("PING")
_ACKNOWLEDGED: Final = {b"subscribe", b"unsubscribe", b"ssubscribe", b"sunsubscribe"}
_NOTHING_YET: Final = object()

logger = logging.getLogger("wirework")


class _Asked(NamedTuple):
    answer: asyncio.Future[Any]
    at: float
    acknowledged: bytes = b""
    """Of a subscription: which push is the answer."""
    names: frozenset[bytes] = frozenset()


class Link(asyncio.Protocol):
    """A connection that is open until it is lost, and then for ever lost.

    Answers belong to commands by their order, so a caller that gives up leaves its place in the
    line and takes nobody else's answer. When the oldest command gets no answer within `timeout`,
    or the server is silent though asked, the connection is given up.

    Args:
        where: the server, for messages.
        timeout: seconds that an answer may take.
        on_push: gets what the server says unasked, apart from acknowledgements.
    """

    run: str = ""
    """Which life of the server it is: another after it was started anew."""
    is_durable: bool = False
    """Whether the server keeps what it has acknowledged when it is started anew."""

    def __init__(self, where: str, timeout: float, on_push: Callable[[list[Any]], None]) -> None:
        self.where = where
        self.on_lost: Callable[[Link], None] | None = None
        self.reason: str | None = None
        self._timeout = timeout
        self._on_push = on_push
        self._loop = asyncio.get_running_loop()
        self._wheel = wheel()
        self._reader = hiredis.Reader(notEnoughData=_NOTHING_YET)
        self._asked: deque[_Asked] = deque()
        self._acknowledgements = 0
        self._parts: list[bytes] = []
        self._unsent = 0
        self._heard = self._wheel.now()
        self._is_paused = False
        self._transport: asyncio.Transport | None = None

    @property
    def is_lost(self) -> bool:
        """Whether it has ended."""
        return self.reason is not None

    def ask(self, command: bytes) -> asyncio.Future[Any]:
        """Send a packed command; all of one turn of the event loop leave together.

        Raises:
            BrokerUnavailable: the connection is lost, or too many commands wait already.
        """
        return self._ask(command, b"", frozenset())

    def subscribe(self, verb: str, *names: bytes) -> asyncio.Future[Any]:
        """Send a command of the SUBSCRIBE family; its acknowledgements are awaited."""
        command = pack(verb, *names)
        return self._ask(command, verb.lower().encode(), frozenset(names))

    def _ask(
        self, command: bytes, acknowledged: bytes, names: frozenset[bytes]
    ) -> asyncio.Future[Any]:
        if self.reason is not None:
            raise Lost(self.reason)
        if len(self._asked) >= MAX_WAITING or self._unsent > MAX_UNSENT:
            raise BrokerUnavailable(f"Redis at {self.where}: too many commands wait already")
        answer = self._loop.create_future()
        self._asked.append(_Asked(answer, self._wheel.now(), acknowledged, names))
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(command)
        self._unsent += len(command)
        return answer

    def drop(self, reason: str) -> None:
        """Give it up at once; whoever waits for an answer gets `Lost`."""
        self._end(f"Redis at {self.where}: {reason}")

    # --- asyncio.Protocol -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = cast(asyncio.Transport, transport)
        self._wheel.watch(self, self._wheel.now() + _LOOK_EVERY)

    def connection_lost(self, error: Exception | None) -> None:
        """It has ended."""
        self.drop(f"the connection was lost ({error})" if error else "it closed the connection")

    def pause_writing(self) -> None:
        """The socket is full: keep what is asked for later."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """Go on."""
        self._is_paused = False
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Hand out the answers that are complete."""
        self._heard = self._wheel.now()
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not _NOTHING_YET:
                if type(reply) is hiredis.PushNotification:
                    self._pushed(reply)
                else:
                    self._answered(reply)
        except hiredis.HiredisError as error:
            self.drop(f"what it says cannot be read ({error})")

    def _flush(self) -> None:
        if self._is_paused or not self._parts or self._transport is None:
            return
        parts, self._parts, self._unsent = self._parts, [], 0
        self._transport.write(b"".join(parts))

    def _answered(self, reply: Any) -> None:
        if not self._asked:
            self.drop("it answered what was not asked")
            return
        answer = self._asked.popleft().answer
        self._acknowledgements = 0
        if answer.done():
            return
        if isinstance(reply, hiredis.ReplyError):
            answer.set_exception(Refusal(self.where, str(reply)))
        else:
            answer.set_result(reply)

    def _pushed(self, push: list[Any]) -> None:
        if push[0] not in _ACKNOWLEDGED:
            self._on_push(push)
            return
        expected = self._asked[0] if self._asked else None
        if expected is None or push[0] != expected.acknowledged or push[1] not in expected.names:
            self._on_push(push)
            return
        self._acknowledgements += 1
        if self._acknowledgements == len(expected.names):
            self._answered(None)

    def _end(self, reason: str) -> None:
        if self.reason is not None:
            return
        self.reason = reason
        self._wheel.forget(self)
        if self._transport is not None:
            self._transport.abort()
        for asked in self._asked:
            if not asked.answer.done():
                asked.answer.set_exception(Lost(reason))
                asked.answer.exception()  # some are asked by nobody who waits
        self._asked.clear()
        self._parts.clear()
        if self.on_lost is not None:
            self.on_lost(self)

    # --- deadlines ------------------------------------------------------------------------------

    def tick(self, now: float) -> float | None:
        """Look after the deadlines; for the wheel."""
        if self._asked:
            oldest = self._asked[0].at
            if now - oldest > self._timeout:
                self.drop(f"no answer within {self._timeout:g} s")
            elif now - max(oldest, self._heard) > PATIENCE:
                self.drop(f"nothing heard for {PATIENCE:g} s")
        elif now - self._heard > PROBE_AFTER:
            self.ask(_PING)
        return None if self.is_lost else now + _LOOK_EVERY


async def answer_by(deadline: float, link: Link, answer: asyncio.Future[Any]) -> Any:
    """Wait for an answer until `deadline` of the loop's clock, where less than a timeout is left.

    Raises:
        BrokerUnavailable: none has come.
    """
    try:
        async with asyncio.timeout_at(deadline):
            return await answer
    except TimeoutError:
        raise BrokerUnavailable(f"Redis at {link.where}: no answer in time") from None
