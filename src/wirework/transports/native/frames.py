"""Frames and answers as bytes (RFC 6455 section 5.2, RFC 9112). Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

from ...types import HeaderList

__all__ = ["SHORT_TEXT", "close_frame", "control_frame", "frame_header", "response", "switching"]

CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10

_SWITCHING: Final = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: "
)

SHORT_TEXT: Final = tuple(bytes((0x81, size)) for size in range(126))
"""Headers of whole text frames under 126 bytes, by size."""


def frame_header(opcode: int, size: int) -> bytes:
    """Return the header of a whole, unmasked frame of `size` bytes."""
    first = 0x80 | opcode
    if size < 126:
        return bytes((first, size))
    if size < 65536:
        return struct.pack("!BBH", first, 126, size)
    return struct.pack("!BBQ", first, 127, size)


def control_frame(opcode: int, payload: bytes) -> bytes:
    """Return a ping or pong frame; `payload` is at most 125 bytes."""
    return bytes((0x80 | opcode, len(payload))) + payload


def close_frame(code: int | None, reason: str = "") -> bytes:
    """Return a close frame; without a code it is empty."""
    if code is None:
        return control_frame(CLOSE, b"")
    return control_frame(CLOSE, struct.pack("!H", code) + reason.encode())


def switching(
    accept: bytes, subprotocol: str | None, headers: Iterable[tuple[str, str]], fixed: bytes = b""
) -> bytes:
    """Return the 101 answer (RFC 6455 section 4.2.2); `fixed` are lines of headers, each ended."""
    lines = [_SWITCHING, accept, b"\r\n", fixed]
    if subprotocol is not None:
        headers = [("Sec-WebSocket-Protocol", subprotocol), *headers]
    for line in _lines(headers):
        lines += (line, b"\r\n")
    lines.append(b"\r\n")
    return b"".join(lines)


def response(status: int, headers: HeaderList, body: bytes) -> bytes:
    """Return a whole HTTP response after which the connection is closed."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    given = {name.lower() for name, _ in headers}
    own = [("date", formatdate(usegmt=True)), ("content-type", "text/plain; charset=utf-8")]
    own = [(name, value) for name, value in own if name not in given]
    kept = [(n, v) for n, v in headers if n.lower() not in ("content-length", "connection")]
    fixed = [("content-length", str(len(body))), ("connection", "close")]
    start = f"HTTP/1.1 {status} {phrase}".encode("ascii")
    return b"\r\n".join([start, *_lines([*kept, *own, *fixed])]) + b"\r\n\r\n" + body


def _lines(headers: Iterable[tuple[str, str]]) -> list[bytes]:
    lines = []
    for name, value in headers:
        line = f"{name}: {value}".encode("latin-1")
        if b"\r" in line or b"\n" in line or b"\0" in line:
            raise ValueError(
                f"header {name!r}: expected a value without line breaks, got {value!r}"
            )
        lines.append(line)
    return lines
