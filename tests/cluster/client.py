"""A light client of Typed that comes back by itself: hundreds of them run in one event loop."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any, Protocol

import msgspec

from tests.contract.process import HOST
from tests.wire.raw import frame, handshake
from wirework import Position

from .ledger import Heard, position_of

__all__ = ["Away", "Client", "Place"]

PATIENCE = 40.0
"""Seconds after which what has not come will not come."""
ARRIVAL = 0.5
"""Seconds within which clients come at first: who came at once would all be at one worker."""
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.encode


class Away(Exception):
    """Whether a publication was taken is not known: say it again with the same key."""


class Place(Protocol):
    """Where the servers are now."""

    @property
    def port(self) -> int:
        """Of the server."""


class _Wire(asyncio.Protocol):
    """One connection: a handshake, and then the frames of the server."""

    def __init__(self, path: str, client: Client) -> None:
        self._path = path
        self._client = client
        self._data = b""
        self.is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(handshake(self._path, host=f"Host: {HOST}"))

    def send(self, said: Any) -> None:
        self.transport.write(frame(_encode(said)))

    def data_received(self, data: bytes) -> None:
        self._data += data
        if not self.is_open:
            head, end, rest = self._data.partition(b"\r\n\r\n")
            if not end:
                return
            if not head.startswith(b"HTTP/1.1 101 "):
                self.transport.abort()
                return
            self.is_open, self._data = True, rest
            self._client.on_open(self)
        self._read_frames()

    def _read_frames(self) -> None:
        data, at = self._data, 0
        while len(data) - at >= 2:
            size, start = data[at + 1], at + 2
            if size > 125:
                start += 2 if size == 126 else 8
                size = int.from_bytes(data[at + 2 : start], "big")
            if len(data) < start + size:
                break
            self._take(data[at] & 15, data[start : start + size])
            at = start + size
        self._data = data[at:]

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == _TEXT:
            self._client.on_message(self, _decode(payload))
        elif opcode == _PING:
            self.transport.write(frame(payload, _PONG))
        elif opcode == _CLOSE:
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._client.on_end(self)


class Client:
    """Subscribed to one channel, whatever happens to its connection.

    Args:
        place: where the servers are.
        channel: that it subscribes to.
        user: who it is.
    """

    def __init__(self, place: Place, channel: str, user: str) -> None:
        self.heard = Heard()
        self.worker = 0
        """Process id of the worker that it is subscribed at; 0: it is not."""
        self.connections = 0
        """How often it was connected."""
        self._place = place
        self._channel = channel
        self._user = user
        self._wire: _Wire | None = None
        self._answers: dict[int, asyncio.Future[Position]] = {}
        self._ids = count(1)
        self._news = asyncio.Event()
        self._task = asyncio.create_task(self._stay())
        self._ended = asyncio.Event()

    def __repr__(self) -> str:
        state = f"at {self.worker}" if self.worker else f"not subscribed, wire {self._wire}"
        return f"<{self._user} {state}, {self.connections} times, {self.heard.position}>"

    async def until(self, condition: Callable[[Client], bool]) -> None:
        """Wait until `condition` holds; looked at after everything that comes."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not condition(self):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"{self} is still not so") from None

    async def publish(self, text: str) -> Position:
        """Publish a text, and return its position; the text is its key, too.

        Raises:
            Away: it is to be said again.
        """
        if not self.worker or self._wire is None:
            raise Away
        id = next(self._ids)
        answer: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
        self._answers[id] = answer
        body = {"channel": self._channel, "data": {"text": text}, "idempotency_key": text}
        self._wire.send({"type": "channel.publish", "id": id, "data": body})
        return await answer

    def drop(self) -> None:
        """Lose the connection; it comes back."""
        self.worker = 0
        if self._wire is not None:
            self._wire.transport.abort()

    async def end(self) -> None:
        """Go for good."""
        self._task.cancel()
        await asyncio.wait([self._task])
        self.drop()

    # --- its connections ------------------------------------------------------------------------

    async def _stay(self) -> None:
        await asyncio.sleep(random.uniform(0, ARRIVAL))
        pause = 0.05
        while True:
            self._ended.clear()
            if await self._connect():
                pause = 0.05
                await self._ended.wait()
            await asyncio.sleep(random.uniform(0, pause))
            pause = min(2 * pause, 1.0)

    async def _connect(self) -> bool:
        path = f"/live?token={self._user}"
        loop = asyncio.get_running_loop()
        with suppress(OSError):
            await loop.create_connection(lambda: _Wire(path, self), HOST, self._place.port)
            return True
        return False

    def on_open(self, wire: _Wire) -> None:
        """Subscribe, from where it was."""
        self._wire = wire
        self.connections += 1
        self._subscribe(wire)

    def _subscribe(self, wire: _Wire) -> None:
        since = self.heard.position
        body: dict[str, Any] = {"channel": self._channel}
        if since is not None:
            body["since"] = {"epoch": since.epoch, "offset": since.offset}
        wire.send({"type": "channel.subscribe", "id": 0, "data": body})

    def on_end(self, wire: _Wire) -> None:
        """Come back, after a moment."""
        self._wire, self.worker = None, 0
        answers, self._answers = self._answers, {}
        for answer in answers.values():
            if not answer.done():
                answer.set_exception(Away())
        self._ended.set()
        self._news.set()

    def on_message(self, wire: _Wire, said: dict[str, Any]) -> None:
        """Take what the server says."""
        kind, id, data = said["type"], said.get("id"), said.get("data")
        if kind == "channel.publication":
            self.heard.publication(said["data"])
        elif kind == "channel.gap":
            self.heard.gap(said["data"])
        elif kind == "channel.subscribed":
            self.heard.subscribed(said["data"])
            self.worker = said["data"]["data"]
        elif kind == "channel.published":
            self._answered(id, position_of(data or {}))
        elif kind == "error":
            assert said["code"] == "unavailable", said
            self._refused(wire, id)
        else:
            raise AssertionError(said)
        self._news.set()

    def _answered(self, id: Any, position: Position | None) -> None:
        answer = self._answers.pop(id)
        if not answer.done() and position is not None:
            answer.set_result(position)

    def _refused(self, wire: _Wire, id: Any) -> None:
        if id == 0:
            loop = asyncio.get_running_loop()
            loop.call_later(random.uniform(0.1, 0.5), self._again, wire)
            return
        answer = self._answers.pop(id)
        if not answer.done():
            answer.set_exception(Away())

    def _again(self, wire: _Wire) -> None:
        if self._wire is wire:
            self._subscribe(wire)
