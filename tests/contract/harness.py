"""What the suite drives: a server per transport, and the peers that connect to it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol
from urllib.parse import quote

import httpx

from wirework.types import Frame, HeaderList

__all__ = ["TIMEOUT", "Closed", "Knock", "Peer", "Refused", "Server", "seen"]

TIMEOUT = 10.0
"""Seconds after which anything that a test waits for fails."""


class Refused(Exception):
    """The handshake was answered with an HTTP response."""

    def __init__(self, status: int, headers: HeaderList, body: bytes) -> None:
        super().__init__(status, body)
        self.status = status
        self.headers = httpx.Headers(list(headers))
        self.body = body


class Closed(Exception):
    """The server has closed; 1006: without a word."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class Peer(Protocol):
    """The client's end of an accepted connection."""

    subprotocol: str | None
    headers: httpx.Headers

    async def send(self, frame: Frame) -> None:
        """Send one message."""

    async def receive(self) -> Frame:
        """Return the next message, or raise `Closed`."""

    async def close(self, code: int | None = 1000, reason: str = "") -> None:
        """Close; None sends a close without a code."""

    async def abort(self) -> None:
        """Vanish without a close."""


class Knock(Protocol):
    """A handshake that was sent, and may not be answered."""

    async def abort(self) -> None:
        """Vanish before the answer."""


class Server(Protocol):
    """One transport, serving `tests.contract.application`."""

    name: str

    def connect(
        self,
        path: str,
        *,
        headers: HeaderList = (),
        subprotocols: Sequence[str] = (),
        is_deaf: bool = False,
    ) -> AbstractAsyncContextManager[Peer]:
        """Open a connection, or raise `Refused`; a deaf peer reads nothing."""

    async def knock(self, path: str) -> Knock:
        """Send a handshake without waiting for its answer."""

    async def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send one HTTP request; `options` are those of httpx."""


async def seen(server: Server, id: str, count: int) -> list[Any]:
    """Return what the handlers recorded under `id`, waiting for `count` entries."""
    response = await server.request("GET", f"/seen/{quote(id)}", params={"count": count})
    entries: list[Any] = response.json()
    assert len(entries) >= count, f"{server.name}: expected {count} entries, got {entries}"
    return entries


async def closed(peer: Peer) -> Closed:
    """Return the server's close, which must be the next thing that it says."""
    try:
        frame = await peer.receive()
    except Closed as close:
        return close
    raise AssertionError(f"expected a close, got {frame!r}")


async def refused(server: Server, path: str, headers: HeaderList = ()) -> Refused:
    """Return the refusal of a handshake, which must be its answer."""
    try:
        async with server.connect(path, headers=headers):
            pass
    except Refused as refusal:
        return refusal
    raise AssertionError("expected a refusal, got an accepted connection")


def cookie_of(headers: httpx.Headers) -> Mapping[str, str]:
    """Return the Cookie header that a browser would send after an answer with these headers."""
    return {"cookie": headers["set-cookie"].partition(";")[0]}


async def within(awaitable: Any) -> Any:
    """Await with the suite's timeout."""
    async with asyncio.timeout(TIMEOUT):
        return await awaitable
