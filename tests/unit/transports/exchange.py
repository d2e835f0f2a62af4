"""An HTTP request to an application, without a server: its parts, and what comes back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

from wirework import App
from wirework.types import Message, Scope

__all__ = ["CONNECT", "Answer", "Exchange", "Stream", "begun", "request", "streaming"]

CONNECT = '{"connect":{},"id":1}'


class Answer:
    """The whole response to a request."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class Exchange:
    """One request; its response is taken piece by piece, as fast as the client likes."""

    def __init__(
        self,
        app: App,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: str | bytes = b"",
    ) -> None:
        path, _, query = path.partition("?")
        lines = {"host": "testserver", **(headers or {})}
        self.scope: Scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in lines.items()],
            "scheme": "http",
            "http_version": "1.1",
            "root_path": "",
            "client": ("203.0.113.1", 4000),
        }
        self.messages: asyncio.Queue[Message] = asyncio.Queue()
        self.reads = asyncio.Event()
        """Cleared while the client takes nothing: the server's `send` does not return."""
        self.reads.set()
        data = body.encode() if isinstance(body, str) else body
        self._requests: asyncio.Queue[Message] = asyncio.Queue()
        self._requests.put_nowait({"type": "http.request", "body": data})
        self.task = asyncio.create_task(app(self.scope, self._requests.get, self._send))

    async def _send(self, message: Message) -> None:
        await self.reads.wait()
        self.messages.put_nowait(message)

    def hold(self) -> None:
        """Send nothing of the body, which was not asked for yet."""
        self._requests.get_nowait()

    def leave(self) -> None:
        """Hang up."""
        self._requests.put_nowait({"type": "http.disconnect"})

    async def start(self) -> tuple[int, Mapping[str, str]]:
        """Return the status and the headers of the response."""
        message = await self._message()
        headers = {name.decode(): value.decode() for name, value in message["headers"]}
        return message["status"], headers

    async def piece(self) -> tuple[bytes, bool]:
        """Return a piece of the body, and whether more will come."""
        message = await self._message()
        return message.get("body", b""), message.get("more_body", False)

    async def _message(self) -> Message:
        async with asyncio.timeout(5):
            return await self.messages.get()

    async def over(self) -> None:
        """Wait until the application is done with it."""
        async with asyncio.timeout(5):
            await self.task


class Stream:
    """A connection of one of the two kinds, as its client sees it."""

    def __init__(self, app: App, kind: str, exchange: Exchange) -> None:
        self.app = app
        self.kind = kind
        self.exchange = exchange
        self.said: dict[str, Any] = {}
        """What `connect` was answered with."""
        self._waiting = ""
        self._is_over = False

    async def receive(self) -> Any:
        """Return the next message; None at the end."""
        end = "\n" if self.kind == "http_stream" else "\n\n"
        while end not in self._waiting and not self._is_over:
            body, more = await self.exchange.piece()
            self._waiting += body.decode()
            self._is_over = not more
        if not self._waiting:
            return None
        line, _, self._waiting = self._waiting.partition(end)
        return json.loads(line.removeprefix("data: "))

    async def send(self, message: Any, **more: str) -> int:
        """Send a message in a request of its own; return the status of the answer."""
        body = {"session": self.said["session"], "node": self.said["node"], **more}
        body.setdefault("data", message if isinstance(message, str) else json.dumps(message))
        return (await request(self.app, "POST", "/emulation", body=json.dumps(body))).status

    async def rpc(self, id: int, method: str, data: Any = None) -> Any:
        """Call a function; return the answer."""
        await self.send({"id": id, "rpc": {"method": method, "data": data}})
        return await self.receive()


def begun(
    app: App, kind: str, headers: Mapping[str, str] | None = None, first: str = CONNECT
) -> Exchange:
    """Ask for a stream."""
    if kind == "sse":
        return Exchange(app, "GET", f"/connection/sse?cf_connect={quote(first)}", headers)
    return Exchange(app, "POST", "/connection/http_stream", headers, first)


@asynccontextmanager
async def streaming(
    app: App, kind: str, headers: Mapping[str, str] | None = None, first: str = CONNECT
) -> AsyncIterator[Stream]:
    """Open a stream, connect, and leave at the end."""
    exchange = begun(app, kind, headers, first)
    stream = Stream(app, kind, exchange)
    try:
        status, _ = await exchange.start()
        assert status == 200
        stream.said = (await stream.receive())["connect"]
        yield stream
    finally:
        exchange.reads.set()
        exchange.leave()
        await exchange.over()


async def request(
    app: App,
    method: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    body: str | bytes = b"",
) -> Answer:
    """Return the answer to a request that ends."""
    exchange = Exchange(app, method, path, headers, body)
    status, found = await exchange.start()
    text, more = await exchange.piece()
    while more:
        piece, more = await exchange.piece()
        text += piece
    exchange.leave()
    await exchange.over()
    return Answer(status, found, text)
