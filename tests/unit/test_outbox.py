"""The outbox: its bounds, what a full one does, and who waits for room."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from tests.unit.applications import Line, open_line, text
from wirework import ConnectionClosed, Position
from wirework.connection import State, current
from wirework.outbox import MOST_JOINED, Outgoing, Waiting


async def test_the_transport_is_woken_once_until_it_has_found_the_outbox_empty() -> None:
    line = await open_line()
    line.connection.push(text("a"))
    line.connection.push(text("b"))
    assert line.calls == ["wake"]
    assert line.written() == ["a", "b"]
    line.connection.push(text("c"))
    assert line.calls == ["wake", "wake"]


async def test_a_transport_may_take_many_frames_at_once() -> None:
    line = await open_line()
    for word in ("1234", "5678", "90"):
        line.connection.push(text(word))
    first, is_all = line.connection.take_many(6)
    assert [_payload(frame) for frame in first] == [b"1234", b"5678"]
    assert not is_all
    rest, is_all = line.connection.take_many(6)
    assert [_payload(frame) for frame in rest] == [b"90"]
    assert is_all
    assert line.connection.outbox.taken == 3


async def test_taking_many_makes_room_for_who_waits() -> None:
    line = await open_line(outbox_frames=2)
    line.connection.push(text("a"))
    line.connection.push(text("b"))
    draining = asyncio.ensure_future(line.connection.drain())
    await asyncio.sleep(0)
    line.connection.take_many(100)
    await draining


@pytest.mark.parametrize("bound", [{"outbox_frames": 2}, {"outbox_bytes": 2}])
async def test_a_full_outbox_closes_with_1013_by_default(bound: dict[str, int]) -> None:
    line = await open_line(**bound)
    line.connection.push(text("a"))
    line.connection.push(text("b"))
    with pytest.raises(ConnectionClosed) as caught:
        line.connection.push(text("c"))
    assert caught.value.code == 1013
    assert line.written() == []
    assert line.connection.state is State.CLOSING


async def test_drop_oldest_keeps_the_newest_frames_and_counts_the_others() -> None:
    line = await open_line(outbox_frames=2, overflow="drop_oldest")
    for word in "abcd":
        line.connection.push(text(word))
    assert line.connection.outbox.dropped == 2
    assert line.written() == ["c", "d"]


async def test_drop_oldest_makes_room_for_a_frame_that_is_large() -> None:
    line = await open_line(outbox_bytes=6, overflow="drop_oldest")
    for word in ("aa", "bb", "cc", "dddd"):
        line.connection.push(text(word))
    assert line.written() == ["cc", "dddd"]
    assert line.connection.outbox.dropped == 2


async def test_drop_newest_keeps_the_oldest_frames_and_counts_the_others() -> None:
    line = await open_line(outbox_frames=2, overflow="drop_newest")
    for word in "abcd":
        line.connection.push(text(word))
    assert line.connection.outbox.dropped == 2
    assert line.written() == ["a", "b"]
    assert line.connection.is_open


async def test_latest_keeps_the_newest_frame_of_each_stream() -> None:
    line = await open_line(outbox_frames=3, overflow="latest")
    for word, key in [("x1", "x"), ("y1", "y"), ("x2", "x"), ("x3", "x")]:
        line.connection.push(text(word, key))
    assert line.connection.outbox.dropped == 2
    assert line.written() == ["y1", "x3"]


async def test_latest_gives_up_the_oldest_frames_where_streams_are_not_enough() -> None:
    line = await open_line(outbox_frames=2, overflow="latest")
    for word, key in [("reply", ""), ("x1", "x"), ("reply 2", "")]:
        line.connection.push(text(word, key))
    assert line.connection.outbox.dropped == 1
    assert line.written() == ["x1", "reply 2"]


async def test_one_frame_passes_however_large_where_nothing_else_waits() -> None:
    line = await open_line(outbox_bytes=2)
    line.connection.push(text("large"))
    assert line.written() == ["large"]


async def test_nothing_can_be_pushed_after_the_end() -> None:
    line = await open_line()
    line.connection.close(4409, "replaced")
    with pytest.raises(ConnectionClosed) as caught:
        line.connection.push(text("a"))
    assert (caught.value.code, caught.value.reason) == (4409, "replaced")


async def test_the_connections_own_handler_waits_for_room() -> None:
    line = await open_line(outbox_frames=2)
    current.set(line.connection)
    await line.connection.make_room()
    line.connection.push(text("a"))
    line.connection.push(text("b"))
    waiting = asyncio.ensure_future(line.connection.make_room())
    await asyncio.sleep(0)
    assert not waiting.done()
    line.connection.take()
    await waiting


async def test_anyone_else_never_waits_for_room() -> None:
    line = await open_line(outbox_frames=2)
    line.connection.push(text("a"))
    line.connection.push(text("b"))
    await line.connection.make_room()
    assert line.connection.outbox.is_congested


async def test_several_tasks_may_wait_for_room_and_an_end_frees_them_all() -> None:
    line = await open_line(outbox_frames=1)
    line.connection.push(text("a"))
    waiting = [asyncio.ensure_future(line.connection.drain()) for _ in range(2)]
    await asyncio.sleep(0)
    line.connection.lost()
    await asyncio.gather(*waiting)
    await line.connection.drain()


async def test_the_own_handler_of_a_connection_that_has_ended_does_not_wait() -> None:
    line = await open_line(outbox_frames=1)
    current.set(line.connection)
    line.connection.push(text("a"))
    line.connection.close()
    await line.connection.make_room()


async def test_cancelling_one_who_waits_for_room_leaves_the_others_waiting() -> None:
    line = await open_line(outbox_frames=1)
    line.connection.push(text("a"))
    one, other = (asyncio.ensure_future(line.connection.drain()) for _ in range(2))
    await asyncio.sleep(0)
    one.cancel()
    await asyncio.wait([one])
    assert not other.done()
    line.connection.take()
    await other


def _payload(frame: Waiting) -> bytes:
    return frame if isinstance(frame, bytes) else frame.data


# --- texts that share a frame -------------------------------------------------------------------


async def joining(*frames: Waiting, **settings: Any) -> Line:
    line = await open_line(**settings)
    line.connection.outbox.separator = b"\n"
    for frame in frames:
        line.connection.push(frame)
    return line


def payloads(frames: Sequence[Waiting]) -> list[bytes]:
    return [_payload(frame) for frame in frames]


async def test_texts_that_wait_together_leave_as_one_frame() -> None:
    line = await joining(b"a", b"b", b"c")
    frames, is_all = line.connection.take_many(100)
    assert (payloads(frames), is_all) == ([b"a\nb\nc"], True)
    assert (line.connection.outbox.taken, line.connection.outbox.size) == (3, 0)
    for word in (b"d", b"e"):
        line.connection.push(word)
    assert line.written() == ["d\ne"]
    assert (line.connection.outbox.taken, line.connection.outbox.size) == (5, 0)


async def test_frames_that_others_have_too_stay_as_they_are() -> None:
    waiting: list[Waiting] = [b"a", b"b", text("all"), b"c", text("all"), b"d", b"e"]
    line = await joining(*waiting)
    assert line.written() == ["a\nb", "all", "c", "all", "d\ne"]
    line = await joining(*waiting)
    frames, _ = line.connection.take_many(100)
    assert payloads(frames) == [b"a\nb", b"all", b"c", b"all", b"d\ne"]
    assert frames[1] is waiting[2]


async def test_frames_of_several_texts_have_a_bound() -> None:
    half = b"x" * (MOST_JOINED // 2)
    whole = b"y" * (MOST_JOINED + 1)
    waiting = [half, half, b"z", whole, half, b"z", whole]
    expected = [half + b"\n" + half, b"z", whole, half + b"\nz", whole]
    line = await joining(*waiting, outbox_bytes=2**20)
    assert line.written() == [each.decode() for each in expected]
    line = await joining(*waiting, outbox_bytes=2**20)
    assert payloads(line.connection.take_many(2**20)[0]) == expected


async def test_what_is_taken_in_parts_is_joined_in_parts() -> None:
    line = await joining(b"1234", b"5678", b"90")
    assert payloads(line.connection.take_many(6)[0]) == [b"1234\n5678"]
    assert payloads(line.connection.take_many(6)[0]) == [b"90"]
    assert line.connection.outbox.taken == 3


async def test_without_a_separator_each_text_is_a_frame() -> None:
    line = await open_line()
    for word in (b"a", b"b"):
        line.connection.push(word)
    assert line.written() == ["a", "b"]


@pytest.mark.parametrize(
    ("policy", "left", "lost"),
    [
        ("drop_oldest", ["b", "c"], {"news": Position("e", 0)}),
        ("drop_newest", ["n1", "b", "n2"], {}),
        ("latest", ["b", "c"], {"news": Position("e", 0)}),
    ],
)
async def test_who_wants_to_know_is_told_what_was_given_up_of_a_channel(
    policy: Any, left: list[str], lost: dict[str, Position]
) -> None:
    line = await open_line(outbox_frames=3, overflow=policy)
    told: list[Any] = []
    line.connection.outbox.on_loss = told.append
    line.connection.push(told_by("news", 1))
    line.connection.push(text("b"))
    line.connection.push(told_by("news", 2))
    line.connection.push(text("c"))
    assert told == ([lost] if lost else [])
    assert line.written() == left
    assert line.connection.outbox.size == 0


async def test_of_several_that_are_given_up_at_once_the_first_says_where_the_channel_stands() -> (
    None
):
    line = await open_line(outbox_frames=3, overflow="drop_newest")
    told: list[Any] = []
    line.connection.outbox.on_loss = told.append
    for number in range(1, 4):
        line.connection.push(told_by("news", number))
    line.connection.outbox.put_first(text("greeting"))
    line.connection.push(told_by("news", 4))
    assert told == [{"news": Position("e", 2)}]
    assert line.written() == ["greeting", "n1", "n2"]


async def test_an_outbox_that_gives_up_all_that_waits_makes_room() -> None:
    line = await open_line(outbox_frames=2, overflow="drop_oldest")
    line.connection.outbox.on_loss = lambda lost: None
    for number in range(1, 4):
        line.connection.push(told_by("news", number))
    draining = asyncio.ensure_future(line.connection.drain())
    assert len(line.connection.outbox) == 0
    assert line.connection.outbox.dropped == 3
    assert line.written() == []
    await draining
    line.connection.push(text("next"))
    assert line.written() == ["next"]


def told_by(channel: str, offset: int) -> Outgoing:
    """A frame that tells the publication with this offset."""
    frame = text(f"n{offset}")
    frame.origin = (channel, Position("e", offset - 1))
    return frame
