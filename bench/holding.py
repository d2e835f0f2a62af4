"""What a channel and a subscription cost while nothing happens: growth of resident memory."""

from __future__ import annotations

import json
import socket

from .opening import abandon, open_many
from .results import Sample
from .server import Server
from .wire import client_frame, read_frame

__all__ = ["measure_many"]

_CONNECTIONS = 100
_SECONDS = 60.0
_PING, _PONG = 9, 10


def measure_many(server: Server, count: int) -> Sample:
    """Return the bytes of one more channel, and of one more subscription to one that is there.

    Each of 100 connections subscribes to `count` / 100 channels that nobody else is in, then to
    those of its neighbour. The first growth is that of a channel with its first subscription, the
    second that of a subscription alone.

    Raises:
        ValueError: the peer did not say that it is subscribed.
        TimeoutError: a connection could not be made.
    """
    sockets = open_many(server.target("many"), _CONNECTIONS + 1).sockets
    try:
        if len(sockets) <= _CONNECTIONS:
            raise TimeoutError(f"{len(sockets)} of {_CONNECTIONS + 1} connections after 30 s")
        each = count // _CONNECTIONS
        shares = [range(each * i, each * (i + 1)) for i in range(_CONNECTIONS)]
        _subscribe(sockets[-1:], [range(-each, 0)])
        base = _resident(server)
        _subscribe(sockets, shares)
        first = _resident(server)
        _subscribe(sockets, [*shares[1:], shares[0]])
        second = _resident(server)
    finally:
        server.stop()
        abandon(sockets)
    total = each * _CONNECTIONS
    subscription = (second[0] - first[0]) / total
    values = {
        "channel": (first[0] - base[0]) / total - subscription,
        "subscription": subscription,
    }
    if server.broker is not None:
        values["broker"] = (first[1] - base[1]) / total
    return Sample(values)


def _resident(server: Server) -> tuple[int, int]:
    """Return the resident memory of the server, and that of its broker."""
    own = server.settled()
    return own, 0 if server.broker is None else server.broker.settled()


def _subscribe(sockets: list[socket.socket], shares: list[range]) -> None:
    for sock, share in zip(sockets, shares, strict=False):
        sock.setblocking(True)
        sock.settimeout(_SECONDS)
        sock.send(client_frame(json.dumps({"start": share.start, "stop": share.stop}).encode()))
    for sock, _ in zip(sockets, shares, strict=False):
        data = b""
        while (frame := read_frame(data)) is None or frame.opcode == _PING:
            if frame is not None:
                data = data[frame.size :]
                sock.send(client_frame(frame.payload, _PONG))
                continue
            part = sock.recv(4096)
            if not part:
                raise ConnectionError("closed while it subscribed")
            data += part
        if b"done" not in frame.payload:
            raise ValueError(f"expected 'done', got {frame.payload[:100]!r}")
