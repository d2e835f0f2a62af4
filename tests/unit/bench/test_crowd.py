"""The clients of bench/crowd.py, against a server that is written out by hand."""

from __future__ import annotations

import json
import socket
from array import array
from collections.abc import Iterator
from typing import Any

import pytest

from bench.crowd import Crowd, State

UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
SUBSCRIBED = {"id": 2, "subscribe": {"epoch": "e", "offset": 4, "recoverable": True}}
PUSH = {"push": {"channel": "kept:a", "pub": {"data": "x" * 200}}}


def frame(said: Any, opcode: int = 1) -> bytes:
    payload = said if isinstance(said, bytes) else json.dumps(said).encode()
    size = len(payload)
    if size < 126:
        head = bytes((size,))
    elif size < 65536:
        head = b"\x7e" + size.to_bytes(2, "big")
    else:
        head = b"\x7f" + size.to_bytes(8, "big")
    return bytes((0x80 | opcode,)) + head + payload


def in_lines(*said: Any) -> bytes:
    return b"\n".join(json.dumps(each).encode() for each in said)


class Peer:
    """The server's side of the only client."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.crowd = Crowd(self.listener.getsockname()[1], ["kept:a"])
        self.client = self.crowd.clients[0]

    def meet(self) -> None:
        self.crowd.dial(self.client)
        self.sock, _ = self.listener.accept()
        self.turn_until(State.UPGRADING)
        assert self.sock.recv(4096).startswith(b"GET /live/websocket ")

    def turn_until(self, state: State) -> None:
        while self.client.state is not state:
            self.crowd.turn(1)

    def heard(self) -> Any:
        """Return what the client says next."""
        data = self.sock.recv(4096)
        mask, payload = data[2:6], data[6 : 6 + (data[1] & 0x7F)]
        return json.loads(bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload)))

    def welcome(self, subscribed: Any) -> Any:
        """Take the client in; return what it asked for."""
        self.sock.send(UPGRADED)
        self.turn_until(State.CONNECTING)
        assert self.heard() == {"connect": {}, "id": 1}
        self.sock.send(frame({"id": 1, "connect": {}}))
        self.turn_until(State.SUBSCRIBING)
        asked = self.heard()
        self.sock.send(frame(subscribed))
        self.turn_until(State.HERE)
        return asked


@pytest.fixture
def peer() -> Iterator[Peer]:
    found = Peer()
    found.meet()
    yield found
    found.crowd.leave()
    found.sock.close()
    found.listener.close()


def test_a_client_connects_and_subscribes(peer: Peer) -> None:
    assert peer.welcome(SUBSCRIBED) == {"subscribe": {"channel": "kept:a"}, "id": 2}
    assert (peer.client.epoch, peer.client.offset, peer.crowd.here) == ("e", 4, 1)


def test_publications_are_counted_however_they_are_cut(peer: Peer) -> None:
    peer.welcome(SUBSCRIBED)
    peer.crowd.sent, peer.crowd.latencies = [0.0, 0.0], array("d")
    data = frame(PUSH) + frame(PUSH)
    for part in (data[:1], data[1:3], data[3:300], data[300:]):
        before = peer.crowd.received
        peer.sock.send(part)
        while peer.crowd.received < before + len(part):
            peer.crowd.turn(1)
    assert (peer.crowd.heard, peer.client.offset, len(peer.crowd.latencies)) == (2, 6, 2)


def test_a_ping_is_answered_and_is_no_publication(peer: Peer) -> None:
    peer.welcome(SUBSCRIBED)
    peer.sock.send(frame({}))
    while not peer.crowd.beats:
        peer.crowd.turn(1)
    assert peer.heard() == {}
    assert peer.crowd.heard == 0


def test_replies_in_lines_of_one_frame_are_all_taken(peer: Peer) -> None:
    peer.sock.send(UPGRADED)
    peer.turn_until(State.CONNECTING)
    peer.heard()
    peer.sock.send(frame(in_lines({"id": 1, "connect": {}}, {})))
    peer.turn_until(State.SUBSCRIBING)
    peer.sock.send(frame(in_lines(SUBSCRIBED, PUSH)) + frame(PUSH))
    peer.turn_until(State.HERE)
    assert (peer.crowd.heard, peer.crowd.beats, peer.client.offset) == (2, 1, 6)
    peer.sock.send(frame(in_lines(PUSH, {}, PUSH)))
    while peer.crowd.beats < 2:
        peer.crowd.turn(1)
    assert (peer.crowd.heard, peer.client.offset) == (4, 8)


@pytest.mark.parametrize("size", [10, 125, 126, 65535, 65536])
def test_a_frame_of_any_size_is_one_publication(peer: Peer, size: int) -> None:
    peer.welcome(SUBSCRIBED)
    peer.sock.sendall(frame(b"x" * size) + frame({}))
    while not peer.crowd.beats:
        peer.crowd.turn(1)
    assert peer.crowd.heard == 1


def test_a_client_that_was_closed_comes_back_with_its_position(peer: Peer) -> None:
    peer.welcome(SUBSCRIBED)
    peer.sock.send(frame((1013).to_bytes(2, "big"), opcode=8))
    peer.turn_until(State.AWAY)
    assert (peer.crowd.here, peer.crowd.closes) == (0, {1013: 1})
    assert peer.crowd.problems == {"close 1013": 1}
    peer.sock.close()
    peer.meet()
    missed = {"epoch": "e", "offset": 4, "recovered": True, "publications": [{}, {}]}
    asked = peer.welcome({"id": 2, "subscribe": missed})
    position = {"recover": True, "epoch": "e", "offset": 4}
    assert asked == {"subscribe": {"channel": "kept:a", **position}, "id": 2}
    assert (peer.client.is_recovered, peer.client.missed, peer.client.offset) == (True, 2, 6)


def test_a_refused_handshake_is_counted_by_its_status(peer: Peer) -> None:
    peer.sock.send(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
    peer.turn_until(State.AWAY)
    assert peer.crowd.problems == {"503": 1}
