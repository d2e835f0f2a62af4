"""What is fuzzed of the native transport: whatever bytes a peer sends, and how they are cut."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import uvicorn
from uvicorn.server import ServerState
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.protocol import CLIENT, OPEN, SERVER, Protocol

from wirework import App, ConnectionClosed, Settings, WebSocket

__all__ = ["LIMIT", "Peer", "Violation", "probe"]

LIMIT = 400
"""Bytes of the largest message that the application takes."""
PATH = "/echo"
TIMEOUT = 20.0

_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) [ -~]*\r\n")


class Violation(Exception):
    """The server did what no peer may make it do."""


class _Loud(logging.Handler):
    """Keeps what is logged as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(self.format(record))


class Peer:
    """The native transport with an application that echoes, and its log.

    Args:
        planted: have a bug: empty messages are not heard.
    """

    def __init__(self, *, planted: bool = False) -> None:
        self.planted = planted
        self.heard: list[str | bytes] = []
        self.app = App(Settings(compression=True, compression_threshold=1, max_message_size=LIMIT))
        self.app.websocket(PATH)(self._echo)
        self.app.ws("/at-once")(_answer)
        self._log = _Loud()
        for name in ("wirework", "uvicorn.error", "asyncio"):
            logging.getLogger(name).addHandler(self._log)
        self._state = ServerState()
        self._config = uvicorn.Config(
            self.app,
            http="wirework.transports.native:HttpProtocol",
            ws="wirework.transports.native:NativeProtocol",
            lifespan="off",
            log_config=None,
        )
        self._config.load()
        self.loop = asyncio.new_event_loop()

    async def _echo(self, ws: WebSocket) -> None:
        await ws.accept()
        async for message in ws:
            if message or not self.planted:
                self.heard.append(message)
            with suppress(ConnectionClosed):
                await ws.send(message)

    async def talk(self, pieces: list[bytes]) -> bytes:
        """Send `pieces` one after another, then FIN; return everything that was answered."""
        self.heard.clear()
        theirs, ours = socket.socketpair()
        kind: Any = self._config.http_protocol_class
        await self.loop.connect_accepted_socket(
            lambda: kind(config=self._config, server_state=self._state, app_state={}), theirs
        )
        ours.setblocking(False)
        with ours:
            async with asyncio.timeout(TIMEOUT):
                with suppress(OSError):
                    for piece in pieces:
                        await self.loop.sock_sendall(ours, piece)
                        await asyncio.sleep(0)
                    ours.shutdown(socket.SHUT_WR)
                answer = await self._all_from(ours)
                await self._settle()
        if self._log.said:
            raise Violation(f"the log says {self._log.said}")
        return answer

    async def _all_from(self, sock: socket.socket) -> bytes:
        """Return what comes until the end; a reset keeps what came before it."""
        found = bytearray()
        with suppress(ConnectionError):
            while data := await self.loop.sock_recv(sock, 65536):
                found += data
        return bytes(found)

    async def _settle(self) -> None:
        """Let the event loop turn until nothing of the connection is left."""
        while (  # noqa: ASYNC110 - uvicorn has no event for it
            self._state.connections or self._state.tasks or list(self.app.connections)
        ):
            await asyncio.sleep(0)


async def _answer(text: str) -> str:
    return text


def probe(peer: Peer, request: bytes, pieces: list[bytes]) -> None:
    """Send the bytes of a peer, and judge what the server does with another implementation.

    Args:
        request: the part of `pieces` that is a right handshake; empty: nobody knows.
        pieces: everything that is sent, as it is cut.

    Raises:
        Violation: the server said what it may not, or heard what was not said.
    """
    answer = peer.loop.run_until_complete(peer.talk(pieces))
    rest = answer
    status = b""
    while rest:
        head, end, rest = rest.partition(b"\r\n\r\n")
        found = _STATUS.match(head + end)
        if found is None or not end:
            raise Violation(f"no HTTP response: {answer!r}")
        status = found[1]
        if status == b"101":
            break
        rest = rest[_length_of(head, rest) :]
    if request and status != b"101":
        raise Violation(f"a right handshake was answered with {answer!r}")
    if status != b"101":
        if peer.heard:
            raise Violation(f"heard {peer.heard!r} before a handshake")
        return
    _judge_frames(head, rest)
    too_large = [each for each in peer.heard if len(each) > LIMIT]
    if too_large:
        raise Violation(f"heard {too_large!r}, where {LIMIT} bytes are the limit")
    if request and b"permessage" not in head:  # the other one is not strict with what is deflated
        _judge_messages(peer.heard, b"".join(pieces)[len(request) :])


def _length_of(head: bytes, rest: bytes) -> int:
    found = re.search(rb"\r\ncontent-length: (\d+)", head, re.IGNORECASE)
    return int(found[1]) if found else len(rest)


def _judge_frames(head: bytes, data: bytes) -> None:
    """Check that what the server says after its 101 is legal, up to where it may be cut."""
    client = _client(head)
    client.receive_data(data)
    if client.parser_exc is not None:
        raise Violation(f"frames that are none: {data!r}") from client.parser_exc


def _judge_messages(heard: list[str | bytes], data: bytes) -> None:
    """Check that the application heard what was said, and nothing behind a violation."""
    server = Protocol(SERVER, state=OPEN, max_size=LIMIT)
    server.receive_data(data)
    said = list(_messages(server))
    is_whole = len(heard) == len(said) or server.parser_exc is not None
    if heard != said[: len(heard)] or not is_whole:
        raise Violation(f"heard {heard!r} where {said!r} was said")


def _client(head: bytes) -> Protocol:
    """Return the other implementation's side of a client, after an answer `head`."""
    found = Protocol(CLIENT, state=OPEN, max_size=None)
    deflate = re.search(
        rb"\r\nsec-websocket-extensions: permessage-deflate(.*)", head, re.IGNORECASE
    )
    if deflate is not None:
        said = dict(re.findall(r"(\w+)(?:=(\d+))?", deflate[1].decode()))
        found.extensions = [
            PerMessageDeflate(
                "server_no_context_takeover" in said,
                "client_no_context_takeover" in said,
                int(said.get("server_max_window_bits") or 15),
                int(said.get("client_max_window_bits") or 15),
            )
        ]
    return found


def _messages(server: Protocol) -> Iterator[str | bytes]:
    """Return the whole messages of the frames that were received."""
    parts: list[bytes] = []
    is_text = False
    for event in server.events_received():
        assert isinstance(event, Frame)
        if event.opcode in (Opcode.TEXT, Opcode.BINARY):
            is_text = event.opcode is Opcode.TEXT
            parts = [bytes(event.data)]
        elif event.opcode is Opcode.CONT:
            parts.append(bytes(event.data))
        else:
            continue
        if event.fin:
            data = b"".join(parts)
            try:
                yield data.decode() if is_text else data
            except UnicodeDecodeError:
                return
