"""A load generator for WebSocket servers: prebuilt frames out, replies counted by their bytes.

One thread on epoll, no parsing: what it costs per reply is a fraction of what any server costs, which
`python -m bench.load --self` shows against a C-speed echo (the kernel's own, over a socket pair).
"""

from __future__ import annotations

import base64
import os
import select
import socket
import struct
import time
from typing import NamedTuple

__all__ = ["Result", "echo", "frame", "open_connections"]


class Result(NamedTuple):
    """What one run measured."""

    replies: int
    seconds: float

    @property
    def per_second(self) -> float:
        """Replies per second."""
        return self.replies / self.seconds


def frame(payload: bytes, opcode: int = 1) -> bytes:
    """Return a whole client frame, masked with a constant key."""
    size = len(payload)
    first = 0x80 | opcode
    if size < 126:
        head = bytes((first, 0x80 | size))
    elif size < 65536:
        head = struct.pack("!BBH", first, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", first, 0x80 | 127, size)
    key = b"\x01\x02\x03\x04"
    return head + key + bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))


def reply_size(payload: bytes) -> int:
    """Return the bytes of a server's frame with `payload`."""
    size = len(payload)
    return size + (2 if size < 126 else 4 if size < 65536 else 10)


def connect(host: str, port: int, path: str) -> socket.socket:
    """Open one WebSocket; raises where the answer is not 101."""
    sock = socket.create_connection((host, port), timeout=30)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    key = base64.b64encode(os.urandom(16)).decode()
    sock.sendall(
        f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    answer = b""
    while b"\r\n\r\n" not in answer:
        part = sock.recv(1)
        if not part:
            raise ConnectionError(f"closed in the handshake: {answer!r}")
        answer += part
    if b" 101 " not in answer.split(b"\r\n")[0]:
        raise ConnectionError(f"expected 101, got {answer!r}")
    return sock


def open_connections(host: str, port: int, path: str, count: int) -> list[socket.socket]:
    """Open `count` WebSockets."""
    return [connect(host, port, path) for _ in range(count)]


def echo(
    sockets: list[socket.socket],
    payload: bytes,
    *,
    in_flight: int,
    seconds: float,
    reply: bytes | None = None,
) -> Result:
    """Keep `in_flight` messages on the way on each connection; count the replies."""
    message = frame(payload)
    size = reply_size(payload if reply is None else reply)
    batch = message * in_flight
    poll = select.epoll()
    table = {}
    for sock in sockets:
        sock.setblocking(False)
        table[sock.fileno()] = [sock, 0]
        poll.register(sock.fileno(), select.EPOLLIN)
        sock.sendall(batch)
    total = 0
    end = time.perf_counter() + seconds
    begun = time.perf_counter()
    while (now := time.perf_counter()) < end:
        for number, _ in poll.poll(1):
            entry = table[number]
            data = entry[0].recv(262144)
            if not data:
                raise ConnectionError("the server closed")
            whole, entry[1] = divmod(entry[1] + len(data), size)
            if whole:
                total += whole
                entry[0].sendall(batch if whole == in_flight else message * whole)
    poll.close()
    return Result(total, now - begun)
