"""Heartbeats and the idle timeout; times are passed in."""

from __future__ import annotations

from tests.unit.applications import open_line
from wirework.timers import wheel


async def test_a_silent_peer_is_pinged_and_given_up_when_it_does_not_answer() -> None:
    line = await open_line(heartbeat_interval=25, heartbeat_timeout=10)
    now = wheel().now()
    line.connection.tick(now + 20)
    assert line.calls == []
    assert line.connection.tick(now + 26) == now + 31  # the next look at what is written
    assert line.calls == ["ping"]
    line.connection.tick(now + 31)
    assert line.connection.is_open
    assert line.connection.tick(now + 36) is None
    assert line.calls == ["ping", "abort"]
    assert (line.connection.close_code, line.connection.close_reason) == (
        1006,
        "no answer to a ping",
    )


async def test_a_pong_keeps_the_connection_and_tells_the_round_trip() -> None:
    line = await open_line(heartbeat_interval=25, heartbeat_timeout=10)
    now = wheel().now()
    assert line.connection.deadlines.round_trip is None
    line.connection.tick(now + 26)
    line.connection.deadlines.pong(now + 26.5)
    for later in (31, 36, 41, 46):
        line.connection.tick(now + later)
    assert line.connection.is_open
    assert line.calls == ["ping"]
    assert line.connection.deadlines.round_trip == 0.5


async def test_any_message_counts_as_an_answer() -> None:
    line = await open_line(heartbeat_interval=25, heartbeat_timeout=10)
    now = wheel().now()
    line.connection.tick(now + 26)
    line.connection.feed("still here")
    line.connection.tick(now + 36)
    assert line.connection.is_open


async def test_a_peer_that_talks_is_never_pinged() -> None:
    line = await open_line(heartbeat_interval=25)
    now = wheel().now()
    for later in range(5, 100, 5):
        line.connection.feed("hello")
        line.connection.tick(now + later)
    assert "ping" not in line.calls


async def test_heartbeats_can_be_switched_off() -> None:
    line = await open_line(heartbeat_interval=None)
    now = wheel().now()
    line.connection.tick(now + 1000)
    assert line.calls == []


async def test_an_idle_peer_is_closed_with_4408() -> None:
    line = await open_line(idle_timeout=60, heartbeat_interval=None)
    now = wheel().now()
    line.connection.feed("hello")
    line.connection.tick(now + 50)
    line.connection.tick(now + 70)
    assert line.connection.is_open
    line.connection.tick(now + 111)
    assert (line.connection.close_code, line.connection.close_reason) == (
        4408,
        "no message in time",
    )


async def test_pongs_are_no_messages() -> None:
    line = await open_line(idle_timeout=60, heartbeat_interval=25)
    now = wheel().now()
    for later in (26, 52):
        line.connection.tick(now + later)
        line.connection.deadlines.pong(now + later + 1)
    line.connection.tick(now + 61)
    assert line.connection.close_code == 4408
