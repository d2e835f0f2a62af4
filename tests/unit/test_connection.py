from __future__ import annotations

import asyncio
import logging
import subprocess
import sys

import pytest

from tests.unit.applications import Line, open_line, text
from wirework import ConnectionClosed, StateError
from wirework.connection import Connection, State, size_of
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


FORKED = """
import asyncio, os
from tests.unit.applications import Line

async def show():
    os.write(1, f"{Line().connection.id} ".encode())  # at once: two processes write

child = os.fork()
asyncio.run(show())
if child:
    os.waitpid(child, 0)
"""


def test_connections_of_forked_processes_have_different_ids() -> None:
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, check=True)
    assert len(set(done.stdout.split())) == 2


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
    line.connection.feed(b"12345" * 2)
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


async def test_who_is_listened_to_is_read_beyond_the_frames_of_the_inbox() -> None:
    line = await open_line(inbox_frames=2)
    line.connection.intercept = lambda frame: frame == "cancel"
    for number in range(31):
        line.connection.feed(str(number))
    line.connection.feed_all(["cancel"])
    assert line.calls == []
    line.connection.feed("31")
    assert line.calls == ["pause"]
    for _ in range(16):
        assert line.calls == ["pause"]
        line.connection.next_frame()
    assert line.calls == ["pause", "resume"]


async def test_who_is_listened_to_is_read_up_to_the_bytes_of_the_inbox() -> None:
    line = await open_line(inbox_bytes=10)
    line.connection.intercept = lambda frame: False
    line.connection.feed("12345")
    assert line.calls == []
    line.connection.feed("67890")
    assert line.calls == ["pause"]


async def test_reading_goes_on_once_somebody_listens() -> None:
    line = await open_line(inbox_frames=2)
    for frame in "ab":
        line.connection.feed(frame)
    assert line.calls == ["pause"]
    line.connection.intercept = lambda frame: False
    line.connection.sift()
    assert line.calls == ["pause", "resume"]
    assert list(line.connection.inbox) == ["a", "b"]


async def test_an_end_at_once_drops_what_was_not_read() -> None:
    line = await open_line()
    line.connection.feed("a")
    line.connection.expire(1006, "no answer to a ping")
    assert not line.connection.inbox
    assert (await ended(line.connection)).reason == "no answer to a ping"


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


async def test_a_message_over_the_limit_before_the_answer_closes_right_after_it() -> None:
    line = Line(max_message_size=4)
    line.connection.feed("12345")
    line.connection.feed("more")
    line.connection.push(text("unsent"))
    await line.connection.accept()
    assert line.connection.state is State.CLOSING
    assert line.connection.close_code == 1009
    assert line.written() == []
    assert not line.connection.inbox


async def test_frames_after_the_close_are_ignored() -> None:
    line = await open_line()
    line.connection.close()
    line.connection.feed("late")
    assert line.connection.received == 0
    assert not line.connection.inbox


async def test_the_consumer_hears_of_the_frames_that_it_awaits_and_of_the_end() -> None:
    line = await open_line()
    witness = Witness()
    line.connection.consumer = witness
    line.connection.is_awaited = True
    line.connection.feed("a")
    line.connection.feed("b, while it is busy with a")
    assert witness.woken == 1
    line.connection.lost()
    assert witness.woken == 2


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
    now = wheel().now()
    line.connection.push(text("a"))
    assert line.connection.tick(now + 5) == now + 10
    assert line.connection.tick(now + 10) is None
    assert line.calls == ["wake", "abort"]
    assert line.connection.close_code == 1013


async def test_a_slow_peer_that_makes_progress_is_kept() -> None:
    line = await open_line(write_stall_timeout=5, heartbeat_interval=None)
    now = wheel().now()
    for word in "abc":
        line.connection.push(text(word))
    line.connection.tick(now + 5)
    line.connection.take()
    assert line.connection.tick(now + 10) == now + 15
    line.written()
    assert line.connection.tick(now + 15) == now + 20
    assert line.connection.tick(now + 20) == now + 25
    assert line.connection.is_open


async def test_a_close_that_the_peer_never_answers_is_given_up() -> None:
    line = await open_line(write_stall_timeout=5)
    now = wheel().now()
    line.connection.close(4401)
    line.written()
    assert line.connection.tick(now + 5) == now + 10
    assert line.connection.tick(now + 10) is None
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


# --- messages that come together ----------------------------------------------------------------


@pytest.mark.parametrize("is_open", [True, False], ids=["open", "connecting"])
@pytest.mark.parametrize(
    "frames",
    [["a", "b", "c"], ["ä" * 6], ["a", "ä" * 40, "b"], ["a", "é" * 10_000]],
    ids=["short", "not ascii", "over the limit", "far over it"],
)
async def test_messages_that_come_together_are_taken_as_one_by_one(
    frames: list[str], is_open: bool
) -> None:
    together, apart = Line(max_message_size=64), Line(max_message_size=64)
    if is_open:
        await together.connection.accept()
        await apart.connection.accept()
    together.connection.feed_all(frames)
    for each in frames:
        apart.connection.feed(each)
    for line in (together, apart):
        line.connection.lost()
    assert list(together.connection.inbox) == list(apart.connection.inbox)
    assert together.connection.received == apart.connection.received
    assert together.connection.close_code == apart.connection.close_code
    assert together.calls == apart.calls


async def test_messages_that_come_together_fill_the_inbox_and_wake_once() -> None:
    line = await open_line(inbox_frames=4)
    witness = Witness()
    line.connection.consumer = witness
    line.connection.is_awaited = True
    line.connection.feed_all(["a", "b", "c", "d"])
    assert witness.woken == 1
    assert line.calls[-1] == "pause"
    assert [await line.connection.receive() for _ in "abcd"] == ["a", "b", "c", "d"]
    assert line.calls[-1] == "resume"


async def test_messages_that_come_together_are_shown_to_an_interceptor_first() -> None:
    line = await open_line()
    line.connection.intercept = lambda frame: frame == "b"
    line.connection.feed_all(["a", "b", "c"])
    assert list(line.connection.inbox) == ["a", "c"]
    assert line.connection.received == 3


async def test_an_idle_connection_keeps_no_room_for_messages() -> None:
    line = await open_line()
    line.connection.feed("a")
    await line.connection.receive()
    line.connection.push(text("b"))
    assert line.written() == ["b"]
    line.connection.tick(wheel().now())
    assert line.connection.inbox is Line().connection.inbox
    line.connection.feed("c")
    assert await line.connection.receive() == "c"
