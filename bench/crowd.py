"""Many clients of Centrifugo's protocol in one thread: they subscribe, answer pings and count.

What they say is prebuilt; what comes is parsed as far as it must be. The n-th publication that a
client hears is the n-th that was sent, so latencies need no clock in the messages.
"""

from __future__ import annotations

import enum
import json
import select
import socket
import time
from array import array
from collections.abc import Callable, Iterator
from typing import Any

from .opening import HandshakeFailed, abandon, dial, sources
from .wire import client_frame, read_frame, upgrade_request

__all__ = ["Client", "Crowd", "State"]

PATH = "/live/websocket"
_CONNECT = client_frame(b'{"connect":{},"id":1}')
_PONG = client_frame(b"{}")
_IN_OUT = select.EPOLLIN | select.EPOLLOUT


class State(enum.Enum):
    """How far a client has come."""

    AWAY = 0
    DIALLING = 1
    UPGRADING = 2
    CONNECTING = 3
    SUBSCRIBING = 4
    HERE = 5


class Client:
    """One client: `channel` is what it subscribes to, `epoch` and `offset` where it stands."""

    __slots__ = (
        *("attempts", "channel", "data", "epoch", "heard", "is_recovered", "missed", "offset"),
        *("sock", "state"),
    )

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self.sock: socket.socket | None = None
        self.state = State.AWAY
        self.data = b""
        self.epoch = ""
        self.offset = 0
        self.heard = 0
        self.missed = 0
        """Publications that came with the answer to `subscribe`."""
        self.is_recovered: bool | None = None
        self.attempts = 0

    def subscribe(self) -> bytes:
        """Return the frame that asks for the channel, from where the client stands."""
        asked: dict[str, Any] = {"channel": self.channel}
        if self.epoch:
            asked |= {"recover": True, "epoch": self.epoch, "offset": self.offset}
        said = {"subscribe": asked, "id": 2}
        return client_frame(json.dumps(said, separators=(",", ":")).encode())


class Crowd:
    """Clients of one server.

    Args:
        port: of the server, on this machine.
        channels: what each client subscribes to; "" for nothing.
    """

    def __init__(self, port: int, channels: list[str]) -> None:
        self.port = port
        self.clients = [Client(channel) for channel in channels]
        self.here = 0
        """Clients that have connected and subscribed."""
        self.problems: dict[str, int] = {}
        self.closes: dict[int, int] = {}
        """Close codes of the server, and how often each came."""
        self.received = 0
        """Bytes that came."""
        self.heard = 0
        self.beats = 0
        self.sent: list[float] = []
        """When each publication was sent."""
        self.latencies: array[float] | None = None
        self.on_here: Callable[[Client], None] = lambda client: None
        self.on_lost: Callable[[Client], None] = lambda client: None
        self._request = upgrade_request(port, PATH)
        self._poll = select.epoll()
        self._by_number: dict[int, Client] = {}
        self._sources: Iterator[str] = sources()

    def dial(self, client: Client) -> None:
        """Have a client connect; what fails is counted, and told to `on_lost`."""
        client.attempts += 1
        client.data = b""
        try:
            client.sock = dial(self.port, next(self._sources))
        except OSError as error:
            self._lose(client, type(error).__name__)
            return
        client.state = State.DIALLING
        self._by_number[client.sock.fileno()] = client
        self._poll.register(client.sock.fileno(), _IN_OUT)

    def turn(self, seconds: float) -> None:
        """Do what can be done now, or within `seconds`."""
        for number, event in self._poll.poll(seconds, 1024):
            client = self._by_number.get(number)
            if client is None:
                continue
            try:
                self._go_on(client, event)
            except (OSError, HandshakeFailed, ValueError) as error:
                name = str(error) if isinstance(error, HandshakeFailed) else type(error).__name__
                self._lose(client, name)

    def run(self, seconds: float) -> None:
        """Do what comes for so long."""
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            self.turn(left)

    def gather(self, seconds: float, at_once: int = 64) -> None:
        """Bring everybody here, `at_once` at a time.

        Raises:
            TimeoutError: not all came within `seconds`.
        """
        end = time.perf_counter() + seconds
        waiting = iter([each for each in self.clients if each.state is State.AWAY])
        begun = self.here
        while self.here < len(self.clients):
            while begun - self.here < at_once and (client := next(waiting, None)) is not None:
                begun += 1
                self.dial(client)
            self.turn(0.05)
            if time.perf_counter() > end:
                found = f"{self.here} of {len(self.clients)} clients after {seconds:g} s"
                raise TimeoutError(f"{found}; {self.problems}")

    def leave(self) -> None:
        """Reset all connections."""
        abandon([each.sock for each in self.clients if each.sock is not None])
        self._poll.close()

    # --- one client -----------------------------------------------------------------------------

    def _go_on(self, client: Client, event: int) -> None:
        sock = client.sock
        assert sock is not None
        if client.state is State.DIALLING:
            problem = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if problem:
                raise OSError(problem, "connect")
            sock.send(self._request)
            client.state = State.UPGRADING
            self._poll.modify(sock.fileno(), select.EPOLLIN)
            return
        data = sock.recv(262144)
        if not data:
            raise ConnectionResetError
        self.received += len(data)
        client.data = client.data + data if client.data else data
        if client.state is State.UPGRADING and not self._is_upgraded(client, sock):
            return
        if client.state is not State.HERE:
            self._arrive(client, sock)
        if client.state is State.HERE:
            self._listen(client, sock)

    def _is_upgraded(self, client: Client, sock: socket.socket) -> bool:
        head, end, rest = client.data.partition(b"\r\n\r\n")
        if not end:
            return False
        status = head[9:12].decode()
        if status != "101":
            raise HandshakeFailed(status)
        client.data = rest
        client.state = State.CONNECTING
        sock.send(_CONNECT)
        return True

    def _arrive(self, client: Client, sock: socket.socket) -> None:
        while client.state is not State.HERE and (frame := read_frame(client.data)) is not None:
            client.data = client.data[frame.size :]
            self._check(frame.opcode, frame.payload)
            for line in frame.payload.split(b"\n"):
                self._enter(client, sock, line)

    def _enter(self, client: Client, sock: socket.socket, line: bytes) -> None:
        if client.state is State.HERE or line == b"{}":
            self._take(client, sock, len(line))
            return
        said = json.loads(line)
        if "error" in said:
            raise HandshakeFailed(f"error {said['error'].get('code')}")
        if client.state is State.CONNECTING and "connect" in said:
            client.state = State.SUBSCRIBING
            if client.channel:
                sock.send(client.subscribe())
                return
            self._is_here(client)
        elif "subscribe" in said:
            self._note(client, said["subscribe"])
            self._is_here(client)

    def _note(self, client: Client, said: dict[str, Any]) -> None:
        missed = said.get("publications", [])
        client.epoch, client.offset = said.get("epoch", ""), said.get("offset", 0) + len(missed)
        client.is_recovered = said.get("recovered")
        client.missed = len(missed)

    def _is_here(self, client: Client) -> None:
        client.state = State.HERE
        self.here += 1
        self.on_here(client)

    def _listen(self, client: Client, sock: socket.socket) -> None:
        """Count what frames that are whole say: a reply, or several in lines."""
        data, at, end = client.data, 0, len(client.data)
        while end - at >= 2:
            size, head = data[at + 1], 2
            if size > 125:
                head = 4 if size == 126 else 10
                if end - at < head:
                    break
                size = int.from_bytes(data[at + 2 : at + head], "big")
            start, at_end = at + head, at + head + size
            if end < at_end:
                break
            if data[at] != 0x81:
                self._check(data[at] & 0x0F, data[start:at_end])
            elif data.find(b"\n", start, at_end) < 0:
                self._take(client, sock, size)
            else:
                for line in data[start:at_end].split(b"\n"):
                    self._take(client, sock, len(line))
            at = at_end
        client.data = data[at:]

    def _take(self, client: Client, sock: socket.socket, size: int) -> None:
        """Count a reply of so many bytes; a ping is the one of two."""
        if size == 2:
            sock.send(_PONG)
            self.beats += 1
        else:
            self._hear(client)

    def _hear(self, client: Client) -> None:
        if client.channel:
            self.heard += 1
            if self.latencies is not None:
                self.latencies.append(time.perf_counter() - self.sent[client.heard])
        client.heard += 1
        client.offset += 1

    def _check(self, opcode: int, payload: bytes) -> None:
        if opcode == 8:
            code = int.from_bytes(payload[:2], "big")
            self.closes[code] = self.closes.get(code, 0) + 1
            raise HandshakeFailed(f"close {code}")

    def _lose(self, client: Client, name: str) -> None:
        self.problems[name] = self.problems.get(name, 0) + 1
        if client.state is State.HERE:
            self.here -= 1
        client.state = State.AWAY
        if client.sock is not None:
            self._by_number.pop(client.sock.fileno(), None)
            abandon([client.sock])
            client.sock = None
        self.on_lost(client)
