"""Loads: prebuilt frames out, replies counted by their bytes; one thread on epoll, no parsing.

Where several replies may share a frame, they are counted by words that each of them has once.

A load is made of open connections, then `run(seconds)` as often as one likes: a warm-up, then what
counts. `mirrors` gives connections on which the kernel itself echoes, to measure what the load
generator alone could do.
"""

from __future__ import annotations

import select
import socket
import time
from array import array
from collections import deque
from collections.abc import Sequence

__all__ = ["EchoLoad", "FanOutLoad", "JoinedEchoLoad", "Overloaded", "PacedLoad", "mirrors"]

_BUFFER = 256 * 1024
_STALL = 5.0


class Overloaded(Exception):
    """The peer does not keep up with the rate."""


class _Load:
    def __init__(self, sockets: Sequence[socket.socket], reply_size: int) -> None:
        self.sockets = sockets
        self.size = reply_size
        self._buffer = bytearray(_BUFFER)
        self._poll = select.epoll()
        for sock in sockets:
            sock.setblocking(False)
            self._poll.register(sock.fileno(), select.EPOLLIN)

    def close(self) -> None:
        """Let go of the poll, not of the connections."""
        self._poll.close()

    def _closed(self) -> ConnectionError:
        return ConnectionError("the server closed a connection under load")


class EchoLoad(_Load):
    """Keeps `in_flight` messages on the way on each connection."""

    def __init__(
        self, sockets: Sequence[socket.socket], message: bytes, reply_size: int, in_flight: int
    ) -> None:
        super().__init__(sockets, reply_size)
        self._batches = [message * n for n in range(in_flight + 1)]
        self._receive = {sock.fileno(): sock.recv_into for sock in sockets}
        self._send = {sock.fileno(): sock.send for sock in sockets}
        self._rest = dict.fromkeys(self._receive, 0)
        for sock in sockets:
            sock.send(self._batches[in_flight])

    def run(self, seconds: float) -> int:
        """Return how many replies came.

        Raises:
            ConnectionError: a connection was closed, or nothing came for long.
        """
        receive, send, rest, batches = self._receive, self._send, self._rest, self._batches
        poll, buffer, size, find = self._poll.poll, self._buffer, self.size, self._whole
        clock = time.perf_counter
        total = 0
        end = clock() + seconds
        last = clock()
        while (now := clock()) < end:
            events = poll(0.1)
            for number, _ in events:
                count = receive[number](buffer)
                if count == size and not rest[number]:
                    total += 1
                    send[number](batches[1])
                    continue
                if not count:
                    raise self._closed()
                whole = find(number, count)
                total += whole
                if whole:
                    send[number](batches[whole])
            if events:
                last = now
            elif now - last > _STALL:
                raise ConnectionError(f"no reply for {_STALL:.0f} s")
        return total

    def _whole(self, number: int, count: int) -> int:
        """Return how many replies end in the bytes that have come."""
        whole, self._rest[number] = divmod(self._rest[number] + count, self.size)
        return whole


class JoinedEchoLoad(EchoLoad):
    """The same for replies that may share a frame; each has `marker` in it, once."""

    def __init__(
        self, sockets: Sequence[socket.socket], message: bytes, marker: bytes, in_flight: int
    ) -> None:
        super().__init__(sockets, message, -1, in_flight)
        self._marker = marker
        self._ends = dict.fromkeys(self._receive, b"")

    def _whole(self, number: int, count: int) -> int:
        data = self._ends[number] + self._buffer[:count]
        self._ends[number] = data[1 - len(self._marker) :]  # too short to have the marker in it
        return data.count(self._marker)


class FanOutLoad(_Load):
    """Publishes on the first connection, `window` at a time; every connection gets everything."""

    def __init__(
        self, sockets: Sequence[socket.socket], message: bytes, reply_size: int, window: int
    ) -> None:
        super().__init__(sockets, reply_size)
        self._message = message
        self._whole = reply_size * len(sockets)
        self._received = 0
        self._publish = sockets[0].send
        self._receive = {sock.fileno(): sock.recv_into for sock in sockets}
        self._published = window
        for _ in range(window):
            self._publish(message)
        self._window = window

    def run(self, seconds: float) -> int:
        """Return how many deliveries came.

        Raises:
            ConnectionError: a connection was closed, or nothing came for long.
        """
        receive, poll, buffer = self._receive, self._poll.poll, self._buffer
        clock = time.perf_counter
        begun = self._received
        end = clock() + seconds
        last = clock()
        while (now := clock()) < end:
            events = poll(0.1, 1024)
            for number, _ in events:
                count = receive[number](buffer)
                if not count:
                    raise self._closed()
                self._received += count
            while self._published - self._received // self._whole < self._window:
                self._publish(self._message)
                self._published += 1
            if events:
                last = now
            elif now - last > _STALL:
                raise ConnectionError(f"no delivery for {_STALL:.0f} s")
        return (self._received - begun) // self.size


class PacedLoad(_Load):
    """Sends at a fixed rate, whether or not replies come, in turn on each connection.

    The latency of a message counts from when it was due, not from when it was sent, so a server
    that stalls is charged for every message that had to wait.
    """

    def __init__(
        self, sockets: Sequence[socket.socket], message: bytes, reply_size: int, rate: float
    ) -> None:
        super().__init__(sockets, reply_size)
        self._message = message
        self._gap = 1.0 / rate
        self._most = max(64, int(rate / 2))
        self._send = [(sock.send, sock.fileno()) for sock in sockets]
        self._receive = {sock.fileno(): sock.recv_into for sock in sockets}
        self._due: dict[int, deque[float]] = {sock.fileno(): deque() for sock in sockets}
        self._rest = dict.fromkeys(self._receive, 0)
        self._sent = 0
        self._replied = 0

    def run(self, seconds: float) -> array[float]:
        """Return the seconds from due to reply, of every message that was due meanwhile.

        Raises:
            Overloaded: half a second's worth of messages waited, or some were never answered.
            ConnectionError: a connection was closed.
        """
        latencies: array[float] = array("d")
        clock, message, due = time.perf_counter, self._message, self._due
        send, turns = self._send, len(self._send)
        next_due = clock()
        end = next_due + seconds
        while next_due < end:
            now = clock()
            while next_due <= now:
                push, number = send[self._sent % turns]
                push(message)
                due[number].append(next_due)
                self._sent += 1
                next_due += self._gap
            self._collect(latencies, 0)
            if self._sent - self._replied > self._most:
                raise Overloaded(f"{self._sent - self._replied} messages wait for their replies")
        limit = clock() + 0.5
        while self._replied < self._sent and clock() < limit:
            self._collect(latencies, 0.01)
        if self._replied < self._sent:
            raise Overloaded(f"{self._sent - self._replied} replies never came")
        return latencies

    def _collect(self, latencies: array[float], wait: float) -> None:
        buffer, size, rest, clock = self._buffer, self.size, self._rest, time.perf_counter
        for number, _ in self._poll.poll(wait):
            count = self._receive[number](buffer)
            if not count:
                raise self._closed()
            now = clock()
            whole, rest[number] = divmod(rest[number] + count, size)
            waiting = self._due[number]
            for _ in range(whole):
                latencies.append(now - waiting.popleft())
            self._replied += whole


def mirrors(count: int) -> list[socket.socket]:
    """Return TCP connections that end in themselves: what is sent comes back from the kernel."""
    made = []
    for _ in range(count):
        sock = socket.socket()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.bind(("127.0.0.1", 0))
        sock.connect(sock.getsockname())
        made.append(sock)
    return made
