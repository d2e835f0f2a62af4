from __future__ import annotations

import asyncio
import logging

import pytest

from tests.unit.applications import Line, open_line, text
from wirework import ConnectionClosed, StateError
from wirework.connection import Connection, State, current, size_of
from wirework.timers import wheel


class Witness:
    """A consumer that counts how often it is woken."""

    def __init__(self) -> None:
        self.woken = 0

    def wake(self) -> None:
        self.woken += 1


async def ended(connection: Connection) -> ConnectionClosed:
    with pytest.raises(ConnectionClosed) as caught:
        await connection.receive()
    return caught.value


async def test_every_connection_has_an_id_of_its_own_that_its_repr_shows() -> None:
    one, other = Line().connection, Line().connection
    assert one.id != other.id
    assert repr(one) == f"<Connection {one.id} connecting>"


# --- the handshake ------------------------------------------------------------------------------


async def test_accepting_opens_with_the_subprotocol_and_headers() -> None:
    line = Line()
    await line.connection.accept("chat.v1", [("x-a", "1")])
    assert line.calls == [("accept", "chat.v1", [("x-a", "1")])]
    assert line.connection.subprotocol == "chat.v1"
    assert line.connection.is_open
    assert line.connection.is_accepted


async def test_what_was_pushed_before_the_answer_leaves_right_after_it() -> None:
    line = Line()
    line.connection.push(text("a"))
    assert "wake" not in line.calls
    await line.connection.accept()
    assert line.calls == [("accept", None, []), "wake"]
    assert line.written() == ["a"]


async def test_a_handshake_is_answered_once() -> None:
    line = await open_line()
    with pytest.raises(StateError, match="accepted already"):
        await line.connection.accept()
    with pytest.raises(StateError, match="accepted already"):
        await line.connection.refuse(403)


async def test_a_refusal_is_the_end_and_nothing_that_was_pushed_is_sent() -> None:
    line = Line()
    line.connection.push(text("a"))
    await line.connection.refuse(403, [("x", "y")], b"no")
    assert line.calls == [("refuse", 403, [("x", "y")], b"no")]
    assert line.connection.state is State.CLOSED
    assert not line.connection.is_accepted
    assert line.connection.close_code == 4403
    with pytest.raises(ConnectionClosed):
        await line.connection.accept()


async def test_a_peer_that_leaves_during_the_handshake_makes_accept_fail() -> None:
    line = Line()
    line.connection.lost(1001)
    with pytest.raises(ConnectionClosed) as caught:
        await line.connection.accept()
    assert caught.value.code == 1001


async def test_a_peer_that_leaves_while_accept_is_sent_makes_it_fail() -> None:
    class Leaving(Line):
        async def accept(self, subprotocol: str | None, headers: object) -> None:
            self.connection.lost(1006)

    line = Leaving()
    with pytest.raises(ConnectionClosed):
        await line.connection.accept()
    assert not line.connection.is_accepted


async def test_a_handshake_that_is_not_answered_in_time_is_aborted() -> None:
    line = Line(handshake_timeout=3)
    assert line.connection.tick(wheel().now() + 3) is None
    assert line.calls == ["abort"]
    assert line.connection.state is State.CLOSED
    assert line.connection.close_code == 4408


# --- the inbox ----------------------------------------------------------------------------------


async def test_frames_are_received_in_the_order_they_came() -> None:
    line = await open_line()
    line.connection.feed("a")
    line.connection.feed(b"b")
    assert await line.connection.receive() == "a"
    assert await line.connection.receive() == b"b"
    assert line.connection.received == 2


async def test_receive_waits_for_the_next_frame() -> None:
    line = await open_line()
    waiting = asyncio.ensure_future(line.connection.receive())
    await asyncio.sleep(0)
    assert not waiting.done()
    line.connection.feed("late")
    assert await waiting == "late"


async def test_a_cancelled_receive_loses_no_frame() -> None:
    line = await open_line()
    waiting = asyncio.ensure_future(line.connection.receive())
    await asyncio.sleep(0)
    line.connection.feed("kept")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await line.connection.receive() == "kept"


async def test_two_tasks_cannot_receive_at_once() -> None:
    line = await open_line()
    first = asyncio.ensure_future(line.connection.receive())
    await asyncio.sleep(0)
    with pytest.raises(StateError, match="another task is receiving"):
        await line.connection.receive()
    line.connection.feed("a")
    assert await first == "a"


async def test_nothing_can_be_received_before_the_handshake_is_answered() -> None:
    with pytest.raises(StateError, match=r"call accept\(\) first"):
        await Line().connection.receive()


async def test_a_full_inbox_stops_reading_until_it_is_half_empty() -> None:
    line = await open_line(inbox_frames=4)
    for number in range(4):
        line.connection.feed(str(number))
    assert line.calls == ["pause"]
    await line.connection.receive()
    assert line.calls == ["pause"]
    await line.connection.receive()
    assert line.calls == ["pause", "resume"]


async def test_an_inbox_of_too_many_bytes_stops_reading_however_few_the_frames() -> None:
    line = await open_line(inbox_bytes=10)
    line.connection.feed("é" * 5)
    assert line.calls == ["pause"]
    line.connection.feed("more that was read already")
    assert line.calls == ["pause"]


async def test_an_inbox_paused_by_bytes_resumes_only_when_half_of_them_are_gone() -> None:
    line = await open_line(inbox_bytes=10)
    for _ in range(3):
        line.connection.feed(b"12345")
    await line.connection.receive()
    assert line.calls == ["pause"]
    await line.connection.receive()
    assert line.calls == ["pause", "resume"]


async def test_a_message_over_the_limit_closes_with_1009_and_drops_what_waits() -> None:
    line = await open_line(max_message_size=4)
    line.connection.feed("1234")
    line.connection.push(text("unsent"))
    line.connection.feed(b"12345")
    assert line.connection.close_code == 1009
    assert line.connection.close_reason == "at most 4 bytes"
    assert line.written() == []
    assert (await ended(line.connection)).code == 1009


async def test_the_size_of_text_is_that_of_its_utf_8() -> None:
    assert size_of("abc") == size_of(b"abc") == 3
    assert size_of("é€") == 5


async def test_frames_after_the_close_are_ignored() -> None:
    line = await open_line()
    line.connection.close()
    line.connection.feed("late")
    assert line.connection.received == 0
    assert not line.connection.inbox


async def test_the_consumer_hears_of_every_frame_and_of_the_end() -> None:
    line = await open_line()
    witness = Witness()
    line.connection.consumer = witness
    line.connection.feed("a")
    line.connection.feed("b")
    line.connection.lost()
    assert witness.woken == 3


# --- the outbox ---------------------------------------------------------------------------------


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
    assert [frame.data for frame in first] == [b"1234", b"5678"]
    assert not is_all
    rest, is_all = line.connection.take_many(6)
    assert [frame.data for frame in rest] == [b"90"]
    assert is_all
    assert line.connection.taken == 3


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
    assert line.connection.dropped == 2
    assert line.written() == ["c", "d"]


async def test_drop_oldest_makes_room_for_a_frame_that_is_large() -> None:
    line = await open_line(outbox_bytes=6, overflow="drop_oldest")
    for word in ("aa", "bb", "cc", "dddd"):
        line.connection.push(text(word))
    assert line.written() == ["cc", "dddd"]
    assert line.connection.dropped == 2


async def test_drop_newest_keeps_the_oldest_frames_and_counts_the_others() -> None:
    line = await open_line(outbox_frames=2, overflow="drop_newest")
    for word in "abcd":
        line.connection.push(text(word))
    assert line.connection.dropped == 2
    assert line.written() == ["a", "b"]
    assert line.connection.is_open


async def test_latest_keeps_the_newest_frame_of_each_stream() -> None:
    line = await open_line(outbox_frames=3, overflow="latest")
    for word, key in [("x1", "x"), ("y1", "y"), ("x2", "x"), ("x3", "x")]:
        line.connection.push(text(word, key))
    assert line.connection.dropped == 2
    assert line.written() == ["y1", "x3"]


async def test_latest_gives_up_the_oldest_frames_where_streams_are_not_enough() -> None:
    line = await open_line(outbox_frames=2, overflow="latest")
    for word, key in [("reply", ""), ("x1", "x"), ("reply 2", "")]:
        line.connection.push(text(word, key))
    assert line.connection.dropped == 1
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
    assert line.connection.is_congested


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


# --- the end ------------------------------------------------------------------------------------


async def test_a_close_lets_what_was_sent_before_go_first() -> None:
    line = await open_line()
    line.connection.push(text("a"))
    line.connection.close(4401, "who?")
    assert line.connection.state is State.CLOSING
    assert line.written() == ["a"]
    assert (line.connection.close_code, line.connection.close_reason) == (4401, "who?")


async def test_the_first_close_counts_and_later_ones_do_nothing() -> None:
    line = await open_line()
    line.connection.close(4001, "first")
    line.connection.close(4002, "second")
    line.connection.lost(1006, "third")
    assert (line.connection.close_code, line.connection.close_reason) == (4001, "first")
    assert not line.connection.by_peer


async def test_a_close_before_the_answer_does_nothing() -> None:
    line = Line()
    line.connection.close()
    assert line.connection.state is State.CONNECTING


async def test_the_peers_close_keeps_its_code_and_reason_and_happens_once() -> None:
    line = await open_line()
    line.connection.lost(4123, "bye")
    line.connection.lost(1006)
    assert (line.connection.close_code, line.connection.close_reason) == (4123, "bye")
    assert line.connection.by_peer


async def test_what_had_arrived_before_the_peer_left_stays_readable() -> None:
    line = await open_line()
    line.connection.feed("a")
    line.connection.lost(1000)
    assert await line.connection.receive() == "a"
    assert (await ended(line.connection)).code == 1000


async def test_our_own_close_drops_what_was_not_read_and_reading_goes_on() -> None:
    line = await open_line(inbox_frames=1)
    line.connection.feed("a")
    line.connection.close()
    assert line.calls == ["pause", "resume", "wake"]
    assert (await ended(line.connection)).code == 1000


async def test_the_end_wakes_who_receives() -> None:
    line = await open_line()
    waiting = asyncio.ensure_future(line.connection.receive())
    await asyncio.sleep(0)
    line.connection.lost(1001)
    with pytest.raises(ConnectionClosed):
        await waiting


async def test_a_reason_that_is_too_long_is_shortened() -> None:
    line = await open_line()
    line.connection.close(4000, "é" * 100)
    assert line.connection.close_reason == "é" * 61


async def test_an_end_leaves_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "wirework.connection")
    line = await open_line()
    line.connection.lost(1001, "away")
    assert f"{line.connection.id} ended with 1001 away" in caplog.text


async def test_finish_is_told_once() -> None:
    told: list[str] = []
    line = await open_line()
    line.connection.on_finished = lambda: told.append("done")
    line.connection.finish()
    line.connection.finish()
    assert told == ["done"]
    Line().connection.finish()


# --- time ---------------------------------------------------------------------------------------


async def test_a_peer_that_reads_nothing_within_the_write_stall_timeout_is_given_up() -> None:
    line = await open_line(write_stall_timeout=5)
    line.connection.push(text("a"))
    assert line.connection.tick(100) == 105
    assert line.connection.tick(105) is None
    assert line.calls == ["wake", "abort"]
    assert line.connection.close_code == 1013


async def test_a_slow_peer_that_makes_progress_is_kept() -> None:
    line = await open_line(write_stall_timeout=5)
    for word in "abc":
        line.connection.push(text(word))
    line.connection.tick(100)
    line.connection.take()
    assert line.connection.tick(105) == 110
    line.written()
    assert line.connection.tick(110) == 115
    assert line.connection.tick(115) == 120
    assert line.connection.is_open


async def test_a_close_that_the_peer_never_answers_is_given_up() -> None:
    line = await open_line(write_stall_timeout=5)
    line.connection.close(4401)
    line.written()
    assert line.connection.tick(100) == 105
    assert line.connection.tick(105) is None
    assert line.calls[-1] == "abort"
    assert line.connection.state is State.CLOSED
    assert line.connection.close_code == 4401


async def test_a_connection_that_has_ended_has_no_deadlines() -> None:
    line = await open_line()
    line.connection.lost()
    assert line.connection.tick(100) is None
    assert line.calls == []


async def test_the_wheel_watches_a_connection_until_its_end() -> None:
    before = len(wheel())
    line = await open_line()
    assert len(wheel()) == before + 1
    line.connection.lost()
    assert len(wheel()) == before
    refused = Line()
    await refused.connection.refuse(403)
    assert len(wheel()) == before
