"""One connection to a NATS server: what comes in is told at once, and it never reconnects.

nats-py gives each subscription a queue and a task, and a ping that may overtake what was sent
before it. Here messages go straight from its parser to their taker, and `echo` is a message to
ourselves, which the server takes in its turn.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any, Final, NamedTuple

from nats.aio.client import Client
from nats.errors import Error, NoServersError
from nats.protocol.command import hpub_cmd, pub_cmd, sub_cmd, unsub_cmd

from ...errors import BrokerUnavailable

__all__ = ["Arrival", "Link", "Taker"]

logger = logging.getLogger("wirework")

_MAX_UNSENT: Final = 16 * 1024 * 1024
"""Bytes that may wait for a server that does not take them."""
_NEVER: Final = 10**9


class Arrival(NamedTuple):
    """One message as it came in."""

    subject: str
    reply: str
    headers: bytes
    data: bytes

    @property
    def is_refused(self) -> bool:
        """Whether nobody listens to what was asked."""
        return self.headers.startswith(b"NATS/1.0 503")

    @property
    def is_status(self) -> bool:
        """Whether it is a word of the server, not a message."""
        return not self.data and self.headers[8:9] == b" "


Taker = Callable[[Arrival], None]


class _Client(Client):
    """nats-py's client for the handshake, TLS, authentication, parsing and writing."""

    def __init__(self, take: Callable[[int, Arrival], None]) -> None:
        super().__init__()
        self._take = take

    async def _process_msg(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes | None
    ) -> None:
        reply_to = bytes(reply).decode(errors="replace") if reply else ""
        arrival = Arrival(
            bytes(subject).decode(errors="replace"), reply_to, bytes(headers or b""), bytes(data)
        )
        try:
            self._take(sid, arrival)
        except Exception:  # its reading loop would end in silence
            logger.exception("a message from NATS could not be taken")

    def _connect_command(self) -> bytes:
        """Give no credentials to a server without TLS where TLS was asked for."""
        server = self._current_server
        has_tls = bool(self._server_info.get("tls_required"))
        if server is not None and server.uri.scheme == "tls" and not has_tls:
            raise Error("tls:// was asked for, but the server offers no TLS")
        command: bytes = super()._connect_command()
        return command

    def send(self, command: bytes) -> None:
        """Write with everything else that is sent in this turn of the loop."""
        self._pending.append(command)
        self._pending_data_size += len(command)
        queue = self._flush_queue
        if queue is not None and queue.empty():
            queue.put_nowait(asyncio.get_running_loop().create_future())

    @property
    def unsent(self) -> int:
        """Bytes that wait to be written."""
        return self._pending_data_size


class Link:
    """A connection with its subscriptions and the requests that wait for answers.

    Args:
        timeout: seconds within which the server must answer.
        on_lost: called once, when the connection has ended by itself.
    """

    def __init__(self, timeout: float, on_lost: Callable[[], None]) -> None:
        self._timeout = timeout
        self._on_lost = on_lost
        self._client = _Client(self._take)
        self._takers: dict[int, Taker] = {}
        self._ids = count(1)
        self._inbox = f"_INBOX.{self._client._nuid.next().decode()}."
        self._tokens = count(1)
        self._waiting: dict[str, Callable[[Arrival | None], None]] = {}
        self._error: Exception = NoServersError()
        """What went wrong last."""
        self._complaint = ""

    async def open(self, server: str, **options: Any) -> None:
        """Connect to `server`.

        Raises:
            OSError, TimeoutError, nats.errors.Error: it cannot be reached, or refuses us.
        """
        try:
            async with asyncio.timeout(self._timeout):
                await self._client.connect(
                    server,
                    error_cb=self._complain,
                    closed_cb=self._lost,
                    allow_reconnect=False,
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    connect_timeout=max(1, round(self._timeout)),
                    ping_interval=_NEVER,
                    pending_size=-1,
                    **options,
                )
        except NoServersError:
            raise self._error from None
        self.subscribe(f"{self._inbox}*", self._answer)

    async def close(self) -> None:
        """End the connection, and what waits for it; a server that is stuck is not waited for."""
        self._on_lost = lambda: None
        self._fail()
        with suppress(Exception):
            async with asyncio.timeout(min(1.0, self._timeout)):
                await self._client.close()
        transport = getattr(self._client._transport, "_io_writer", None)
        if transport is not None:
            transport.transport.abort()

    @property
    def max_payload(self) -> int:
        """Bytes of the largest message that the server takes."""
        return self._client.max_payload

    @property
    def version(self) -> tuple[int, ...]:
        """Of the server, such as (2, 10, 19)."""
        text = str(self._client._server_info.get("version", ""))
        return tuple(int(each) for each in re.findall(r"\d+", text)[:3])

    @property
    def is_clustered(self) -> bool:
        """Whether the server is one of several, which tell each other who listens to what."""
        return bool(self._client._server_info.get("cluster"))

    def subscribe(self, subject: str, taker: Taker) -> int:
        """Begin to listen; in force once a later `echo` has returned."""
        number = next(self._ids)
        self._takers[number] = taker
        self._client.send(sub_cmd(subject, "", number))
        return number

    def unsubscribe(self, number: int) -> None:
        """Listen no more."""
        if self._takers.pop(number, None) is not None:
            self._client.send(unsub_cmd(number, 0))

    def publish(self, subject: str, data: bytes, headers: bytes = b"", reply: str = "") -> None:
        """Send one message; `headers` are lines, each with its end.

        Raises:
            BrokerUnavailable: the server takes nothing, or no message of this size.
        """
        if not self._client.is_connected:
            raise BrokerUnavailable("nats: the connection has ended")
        if self._client.unsent > _MAX_UNSENT:
            raise BrokerUnavailable("nats: the server does not take what is sent")
        if len(data) + len(headers) > self.max_payload:
            raise BrokerUnavailable(
                f"nats: expected at most {self.max_payload} bytes (max_payload of the server), "
                f"got {len(data)}"
            )
        if headers:
            lines = b"NATS/1.0\r\n" + headers + b"\r\n"
            self._client.send(hpub_cmd(subject, reply, lines, data))
        else:
            self._client.send(pub_cmd(subject, reply, data))

    async def request(self, subject: str, data: bytes = b"", headers: bytes = b"") -> Arrival:
        """Send a message and return the answer to it.

        Raises:
            BrokerUnavailable: none came in time.
        """
        token, answer = self._expect()
        try:
            self.publish(subject, data, headers, self._inbox + token)
            return await self._within(answer)
        finally:
            del self._waiting[token]

    async def request_many(self, subject: str, data: bytes, number: int) -> list[Arrival]:
        """Send a message and return `number` answers, or those before a word of the server."""
        token = f"many.{next(self._tokens)}"
        answers: asyncio.Queue[Arrival | None] = asyncio.Queue()
        self._waiting[token] = answers.put_nowait
        listening = self.subscribe(self._inbox + token, answers.put_nowait)
        found: list[Arrival] = []
        try:
            self.publish(subject, data, reply=self._inbox + token)
            while len(found) < number:
                arrival = await self._within(answers.get())
                if arrival.is_status:
                    break
                found.append(arrival)
            return found
        finally:
            del self._waiting[token]
            self.unsubscribe(listening)

    async def echo(self) -> None:
        """Return when the server has taken everything that was sent before."""
        token, answer = self._expect()
        try:
            self.publish(self._inbox + token, b"")
            await self._within(answer)
        finally:
            del self._waiting[token]

    def _expect(self) -> tuple[str, asyncio.Future[Arrival | None]]:
        token = str(next(self._tokens))
        answer: asyncio.Future[Arrival | None] = asyncio.get_running_loop().create_future()

        def take(arrival: Arrival | None) -> None:
            if not answer.done():
                answer.set_result(arrival)

        self._waiting[token] = take
        return token, answer

    async def _within(self, answer: Any) -> Arrival:
        try:
            async with asyncio.timeout(self._timeout):
                found: Arrival | None = await answer
        except TimeoutError:
            said = f"; the server said: {self._complaint}" if self._complaint else ""
            raise BrokerUnavailable(f"nats: no answer within {self._timeout:g} s{said}") from None
        if found is None:
            raise BrokerUnavailable("nats: the connection has ended")
        return found

    def _take(self, number: int, arrival: Arrival) -> None:
        taker = self._takers.get(number)
        if taker is not None:
            taker(arrival)

    def _answer(self, arrival: Arrival) -> None:
        waiting = self._waiting.get(arrival.subject.rpartition(".")[2])
        if waiting is not None:
            waiting(arrival)

    async def _complain(self, error: Exception) -> None:
        self._error = error
        if isinstance(error, Error):
            self._complaint = str(error).removeprefix("nats: ")

    async def _lost(self) -> None:
        self._fail()
        self._on_lost()

    def _fail(self) -> None:
        for waiting in list(self._waiting.values()):
            waiting(None)
