"""Readers find frames in bytes, and connections share them."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.wire import client_frame as frame
from wirework.transports.native.parser import Bench, PlainReader, Reader

TEXT, BINARY, CLOSE = 1, 2, 8
LIMIT = 100_000


class Peer:
    """Hears what comes of one connection, as a wire does."""

    def __init__(self, bench: Bench, *, is_plain: bool = True) -> None:
        self.is_plain = is_plain
        self.sink = self
        self.heard: list[Any] = []
        self.violations: list[int] = []
        self._bench = bench
        self._own: Reader | None = None

    def feed(self, message: str | bytes) -> None:
        self.heard.append(message)

    def feed_all(self, messages: list[str]) -> None:
        assert messages
        self.heard += messages

    def on_frame(self, kind: int, frame: Any) -> None:
        payload = frame.get_payload_as_bytes()
        is_text = self.is_plain and kind == TEXT and frame.fin
        try:
            self.heard.append(payload.decode() if is_text else (kind, payload))
        except UnicodeDecodeError:
            self.violations.append(1007)
            self.is_plain = False

    def on_violation(self, code: int, reason: str) -> None:
        self.violations.append(code)

    def send(self, data: bytes) -> None:
        """Have `data` read, as much at a time as the buffer takes."""
        while data and not self.violations:
            reader = self._own or self._bench.reader
            view = reader.view = reader.get_buffer(-1)
            size = min(len(view), len(data))
            view[:size], data = data[:size], data[size:]
            reader.wire = self
            is_between = reader.read(size, is_fresh=self._own is None)
            if is_between:
                self._own = reader.wire = None
                self._bench.settle(reader)
            elif self._own is None:
                self._own = self._bench.take()


MESSAGES = st.lists(st.one_of(st.text(max_size=400), st.binary(max_size=400)), max_size=30)


@given(MESSAGES, st.lists(st.integers(1, 500), min_size=1, max_size=20))
def test_messages_are_heard_in_order_however_they_are_cut(
    messages: list[str | bytes], cuts: list[int]
) -> None:
    async def check() -> None:
        peer = Peer(Bench(PlainReader, LIMIT))
        data = b"".join(
            frame(each, BINARY) if isinstance(each, bytes) else frame(each.encode(), TEXT)
            for each in messages
        )
        turn = 0
        while data:
            size = cuts[turn % len(cuts)]
            peer.send(data[:size])
            data, turn = data[size:], turn + 1
        assert peer.heard == messages

    asyncio.run(check())


@pytest.mark.parametrize("kind", [PlainReader, Reader], ids=["plain", "any"])
async def test_whole_frames_of_many_peers_are_read_by_one_reader(kind: type[Reader]) -> None:
    bench = Bench(kind, LIMIT)
    reader = bench.reader
    for number in range(20):
        peer = Peer(bench)
        peer.send(frame(b"one") + frame(b"%d" % number))
        assert peer.heard == ["one", str(number)]
        assert bench.reader is reader
        assert reader.wire is None


async def test_who_has_sent_half_a_frame_keeps_the_reader_until_the_rest_has_come() -> None:
    bench = Bench(PlainReader, LIMIT)
    slow, quick = Peer(bench), Peer(bench)
    half = frame(b"a long message" * 20)
    slow.send(frame(b"before") + half[:50])
    quick.send(frame(b"quick"))
    slow.send(half[50:] + frame(b"after"))
    assert slow.heard == ["before", "a long message" * 20, "after"]
    assert quick.heard == ["quick"]


@pytest.mark.parametrize("kind", [PlainReader, Reader], ids=["plain", "any"])
async def test_every_peer_may_close_once(kind: type[Reader]) -> None:
    bench = Bench(kind, LIMIT)
    close = frame(struct.pack("!H", 1000), CLOSE)
    for _ in range(3):
        peer = Peer(bench)
        peer.send(frame(b"last") + close)
        assert peer.heard == ["last", (CLOSE, b"\x03\xe8")]
        assert not peer.violations


BROKEN = {
    "unmasked": (b"\x81\x02hi", 1002),
    "size in too many bytes": (b"\x81\xfe\x00\x02" + bytes(4) + b"hi", 1002),
    "too large": (b"\x81\xff" + struct.pack("!Q", LIMIT + 1) + bytes(4), 1009),
    "not utf-8": (frame(b"\xff"), 1007),
}


@pytest.mark.parametrize("before", [1, 30], ids=["few", "many"])
@pytest.mark.parametrize(("data", "code"), BROKEN.values(), ids=BROKEN)
async def test_a_violation_of_one_peer_is_not_that_of_the_next(
    data: bytes, code: int, before: int
) -> None:
    bench = Bench(PlainReader, LIMIT)
    peer, other = Peer(bench), Peer(bench)
    peer.send(frame(b"fine, so far") * before + data)
    assert peer.violations == [code]
    assert peer.heard == ["fine, so far"] * before
    other.send(frame(b"hello"))
    assert (other.heard, other.violations) == (["hello"], [])


async def test_frames_in_two_pieces_take_a_parser_that_was_there_before() -> None:
    bench = Bench(PlainReader, LIMIT)
    seen = set()
    for _ in range(20):
        peer = Peer(bench)
        data = frame(b"in two")
        peer.send(data[:5])
        seen.add(bench.reader)
        peer.send(data[5:])
        assert peer.heard == ["in two"]
    assert len(seen) == 2, "one reads, one waits"


async def test_a_parser_that_has_grown_is_not_kept() -> None:
    bench = Bench(PlainReader, 1 << 20)
    peer = Peer(bench)
    peer.send(frame(b"x" * 900_000))
    assert [len(each) for each in peer.heard] == [900_000]
    assert len(bench.reader.get_buffer(-1)) < 300_000
