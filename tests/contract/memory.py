"""The memory transport behind the suite's interface."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Self
from urllib.parse import unquote

import httpx

from wirework.transports.memory import Accepted, MemoryPeer
from wirework.transports.memory import Refused as Refusal
from wirework.types import Frame, HeaderList, Scope

from .application import Applications
from .harness import TIMEOUT, Closed, Peer, Refused

__all__ = ["MemoryServer"]

HOST = "testserver"


class MemoryServer:
    """An application in the test's own event loop."""

    name = "memory"

    def __init__(self) -> None:
        self._apps = Applications()
        self._stack = AsyncExitStack()
        self._state: dict[str, Any] = {}
        self._links: list[MemoryPeer] = []

    async def __aenter__(self) -> Self:
        context = self._apps.main.lifespan_context()
        self._state = await self._stack.enter_async_context(context)
        return self

    async def __aexit__(self, *error: object) -> None:
        async with asyncio.timeout(TIMEOUT):
            for link in self._links:
                await link.leave()
        await self._stack.aclose()

    @asynccontextmanager
    async def connect(
        self,
        path: str,
        *,
        headers: HeaderList = (),
        subprotocols: Sequence[str] = (),
        is_deaf: bool = False,
    ) -> AsyncIterator[Peer]:
        link = self._link(path, headers, subprotocols)
        async with asyncio.timeout(TIMEOUT):
            answer = await link.answer
        if isinstance(answer, Refusal):
            raise Refused(answer.status, answer.headers, answer.body)
        if is_deaf:
            link.stop_reading()
        peer = _MemoryPeer(link, answer)
        try:
            yield peer
        finally:
            await peer.close()

    async def knock(self, path: str) -> _MemoryKnock:
        return _MemoryKnock(self._link(path, (), ()))

    async def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self._apps)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as client:
            return await client.request(method, path, **options)

    def _link(self, path: str, headers: HeaderList, subprotocols: Sequence[str]) -> MemoryPeer:
        scope = _scope(path, headers, subprotocols)
        scope["state"] = dict(self._state)
        link = MemoryPeer(self._apps.find(scope["path"]), scope)
        self._links.append(link)
        return link


def _scope(path: str, headers: HeaderList, subprotocols: Sequence[str]) -> Scope:
    raw, _, query = path.partition("?")
    return {
        "type": "websocket",
        "scheme": "ws",
        "server": (HOST, 80),
        "client": ("127.0.0.1", 50000),
        "path": unquote(raw),
        "query_string": query.encode(),
        "headers": [(k.lower().encode(), v.encode()) for k, v in (("host", HOST), *headers)],
        "subprotocols": list(subprotocols),
    }


class _MemoryPeer:
    def __init__(self, link: MemoryPeer, answer: Accepted) -> None:
        self.subprotocol = answer.subprotocol
        self.headers = httpx.Headers(list(answer.headers))
        self._link = link

    async def send(self, frame: Frame) -> None:
        async with asyncio.timeout(TIMEOUT):
            await self._link.readable.wait()
        self._link.send(frame)

    async def receive(self) -> Frame:
        async with asyncio.timeout(TIMEOUT):
            event = await self._link.events.get()
        if isinstance(event, str | bytes):
            return event
        raise Closed(event.code, event.reason)

    async def close(self, code: int | None = 1000, reason: str = "") -> None:
        self._link.close(1005 if code is None else code, reason)

    async def abort(self) -> None:
        self._link.close(1006)


class _MemoryKnock:
    def __init__(self, link: MemoryPeer) -> None:
        self._link = link

    async def abort(self) -> None:
        self._link.close(1006)
