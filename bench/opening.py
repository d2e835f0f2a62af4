"""Opens many WebSockets at once, and lets go of them."""

from __future__ import annotations

import errno
import select
import socket
import struct
import time
from collections.abc import Iterator
from typing import NamedTuple

from .speech import Speech
from .wire import CLOSE, client_frame, read_frame, upgrade_request

__all__ = [
    "HandshakeFailed",
    "Opened",
    "Target",
    "abandon",
    "close_all",
    "dial",
    "open_many",
    "sources",
]

_SOURCES = 16
"""Loopback addresses to connect from: each has its own 28,000 ports."""

_RESET = struct.pack("ii", 1, 0)


class HandshakeFailed(Exception):
    """The peer did not answer as it must; the text says what came."""


class Target(NamedTuple):
    """Where to connect, and how to talk there."""

    port: int
    speech: Speech
    endpoint: str

    @property
    def path(self) -> str:
        """The path of the endpoint."""
        return self.speech.paths[self.endpoint]

    @property
    def message(self) -> bytes:
        """The frame to send."""
        return client_frame(self.speech.messages[self.endpoint])


class Opened(NamedTuple):
    """The connections that were made, and the seconds it took."""

    sockets: list[socket.socket]
    seconds: float


class _Opening:
    """One handshake on its way."""

    __slots__ = ("answers", "data", "sock", "to_greet")

    def __init__(self, sock: socket.socket, speech: Speech) -> None:
        self.sock = sock
        self.data = b""
        self.to_greet = -1 if speech.greetings else 0
        self.answers = iter(speech.answers)

    def feed(self, data: bytes, speech: Speech) -> bool:
        """Take bytes; True when the connection is ready for messages."""
        if not data:
            raise HandshakeFailed(f"closed in the handshake after {self.data[:80]!r}")
        self.data += data
        if self.to_greet <= 0 and not self._is_upgraded(speech):
            return False
        while self.to_greet and (frame := read_frame(self.data)) is not None:
            self.data = self.data[frame.size :]
            self.to_greet -= 1
            for answer in self.answers:
                self.sock.send(client_frame(answer))
                break
        return self.to_greet == 0

    def _is_upgraded(self, speech: Speech) -> bool:
        head, end, rest = self.data.partition(b"\r\n\r\n")
        if not end:
            return False
        if not head.startswith(b"HTTP/1.1 101"):
            raise HandshakeFailed(f"expected 101, got {head.splitlines()[0]!r}")
        self.data = rest
        self.to_greet = speech.greetings
        if speech.opening:
            self.sock.send(client_frame(speech.opening))
        return True


def open_many(target: Target, count: int, *, seconds: float = 30.0, at_once: int = 64) -> Opened:
    """Open up to `count` connections, `at_once` at a time, for at most `seconds`.

    Returns what was open by then, so fewer than `count` says that time ran out.

    Raises:
        HandshakeFailed: a peer refused.
        OSError: a connection could not be made.
    """
    request = upgrade_request(target.port, target.path)
    poll = select.epoll()
    opening: dict[int, _Opening] = {}
    opened: list[socket.socket] = []
    places = sources()
    begun = time.perf_counter()
    end = begun + seconds
    now = begun
    try:
        while len(opened) < count and now < end:
            while len(opening) < at_once and len(opening) + len(opened) < count:
                sock = dial(target.port, next(places))
                opening[sock.fileno()] = _Opening(sock, target.speech)
                poll.register(sock.fileno(), select.EPOLLOUT)
            for number, event in poll.poll(0.5):
                one = opening[number]
                if event & select.EPOLLOUT:
                    one.sock.send(request)
                    poll.modify(number, select.EPOLLIN)
                elif one.feed(one.sock.recv(4096), target.speech):
                    poll.unregister(number)
                    opened.append(opening.pop(number).sock)
            now = time.perf_counter()
    except BaseException:
        abandon(opened)
        raise
    finally:
        poll.close()
        abandon([one.sock for one in opening.values()])
    return Opened(opened, now - begun)


def close_all(sockets: list[socket.socket], *, seconds: float = 1.0) -> None:
    """Close politely: a close frame on each, and a while for the server to hang up."""
    poll = select.epoll()
    left = {}
    for sock in sockets:
        try:
            sock.setblocking(False)
            sock.send(CLOSE)
        except OSError:
            continue
        left[sock.fileno()] = sock
        poll.register(sock.fileno(), select.EPOLLIN)
    end = time.perf_counter() + seconds
    while left and time.perf_counter() < end:
        for number, _ in poll.poll(0.1):
            if _is_over(left[number]):
                poll.unregister(number)
                del left[number]
    poll.close()
    abandon(sockets)


def abandon(sockets: list[socket.socket]) -> None:
    """Reset connections, so that no port stays in TIME_WAIT."""
    for sock in sockets:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        sock.close()


def _is_over(sock: socket.socket) -> bool:
    try:
        return not sock.recv(65536) or False
    except BlockingIOError:
        return False
    except OSError:
        return True


def sources() -> Iterator[str]:
    """Yield the addresses to connect from, in turn, without end."""
    while True:
        for number in range(1, _SOURCES + 1):
            yield f"127.0.0.{number}"


def dial(port: int, source: str) -> socket.socket:
    """Begin to connect, from the address `source`.

    Raises:
        OSError: it cannot be.
    """
    sock = socket.socket()
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_IP, getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24), 1)
    sock.bind((source, 0))
    problem = sock.connect_ex(("127.0.0.1", port))
    if problem not in (0, errno.EINPROGRESS):
        sock.close()
        raise OSError(problem, f"connect: {errno.errorcode.get(problem, problem)}")
    return sock
