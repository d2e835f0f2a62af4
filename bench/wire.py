"""The client's side of RFC 6455, as far as a load generator needs it: prebuilt bytes."""

from __future__ import annotations

import struct
from typing import NamedTuple

__all__ = ["CLOSE", "ServerFrame", "client_frame", "read_frame", "upgrade_request"]

_MASK = b"\x01\x02\x03\x04"
_KEY = "d2lyZXdvcmsgYmVuY2htYQ=="


class ServerFrame(NamedTuple):
    """One unmasked frame: `size` is that of the whole frame, header included."""

    opcode: int
    payload: bytes
    size: int


def client_frame(payload: bytes, opcode: int = 1) -> bytes:
    """Return a whole frame of the client, masked with a constant key (section 5.3)."""
    size = len(payload)
    first = 0x80 | opcode
    if size < 126:
        head = bytes((first, 0x80 | size))
    elif size < 65536:
        head = struct.pack("!BBH", first, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", first, 0x80 | 127, size)
    return head + _MASK + bytes(byte ^ _MASK[i % 4] for i, byte in enumerate(payload))


CLOSE = client_frame(struct.pack("!H", 1000), 8)
"""A close frame that says 1000."""


def read_frame(data: bytes) -> ServerFrame | None:
    """Return the first whole frame in `data`, or None where more bytes are needed.

    Raises:
        ValueError: the frame is masked, which a server's never is (section 5.1).
    """
    if len(data) < 2:
        return None
    if data[1] & 0x80:
        raise ValueError("expected a server's frame, got a masked one")
    size, start = data[1], 2
    if size > 125:
        start = 4 if size == 126 else 10
        if len(data) < start:
            return None
        size = int.from_bytes(data[2:start], "big")
    if len(data) < start + size:
        return None
    return ServerFrame(data[0] & 0x0F, data[start : start + size], start + size)


def upgrade_request(port: int, path: str) -> bytes:
    """Return the handshake of a client that offers no extension."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {_KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()
