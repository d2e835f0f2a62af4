from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from wirework.timers import TICK, Wheel, wheel


class Clock:
    """An event loop's clock and timers, moved by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.timer: tuple[float, Callable[[], None]] | None = None

    def time(self) -> float:
        return self.seconds

    def call_later(self, delay: float, callback: Callable[[], None]) -> None:
        self.timer = (self.seconds + delay, callback)

    def advance(self, seconds: float) -> None:
        """Let time pass, and every timer go off when it is due."""
        end = self.seconds + seconds
        while self.timer is not None and self.timer[0] <= end:
            self.seconds, callback = self.timer
            self.timer = None
            callback()
        self.seconds = end

    def stall(self, seconds: float) -> None:
        """Let time pass in one step: a handler blocks the loop."""
        self.seconds += seconds
        if self.timer is not None and self.timer[0] <= self.seconds:
            callback, self.timer = self.timer[1], None
            callback()


class Member:
    """Notes when it is looked at."""

    def __init__(self, *answers: float | None) -> None:
        self.looks: list[float] = []
        self.answers = list(answers)

    def tick(self, now: float) -> float | None:
        self.looks.append(now)
        return self.answers.pop(0) if self.answers else None


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def turning(clock: Clock) -> Wheel:
    loop: Any = clock
    return Wheel(loop)


def test_a_member_is_looked_at_once_when_its_time_has_come(clock: Clock, turning: Wheel) -> None:
    member = Member()
    turning.watch(member, turning.now() + 3)
    clock.advance(3 - TICK)
    assert member.looks == []
    clock.advance(3 * TICK)
    assert len(member.looks) == 1
    assert 1003 <= member.looks[0] <= 1003 + 2 * TICK
    clock.advance(10)
    assert len(member.looks) == 1
    assert len(turning) == 0


def test_a_member_names_the_next_time_itself(clock: Clock, turning: Wheel) -> None:
    member = Member(1005.0, 1009.0, None)
    turning.watch(member, 1001)
    clock.advance(20)
    assert [round(look) for look in member.looks] == [1001, 1005, 1009]


def test_asking_again_replaces_the_earlier_time(clock: Clock, turning: Wheel) -> None:
    member = Member()
    turning.watch(member, 1001)
    turning.watch(member, 1005)
    clock.advance(3)
    assert member.looks == []
    assert len(turning) == 1
    clock.advance(3)
    assert len(member.looks) == 1


def test_a_member_that_is_forgotten_is_not_looked_at(clock: Clock, turning: Wheel) -> None:
    one, other = Member(), Member()
    turning.watch(one, 1001)
    turning.watch(other, 1001)
    turning.forget(one)
    turning.forget(one)
    clock.advance(3)
    assert one.looks == []
    assert len(other.looks) == 1


def test_a_member_may_forget_its_neighbour_while_it_is_looked_at(
    clock: Clock, turning: Wheel
) -> None:
    class Jealous(Member):
        def tick(self, now: float) -> float | None:
            turning.forget(other if self is one else one)
            return super().tick(now)

    one, other = Jealous(), Jealous()
    turning.watch(one, 1001)
    turning.watch(other, 1001)
    clock.advance(3)
    assert len(one.looks + other.looks) == 1


def test_a_wheel_without_members_has_no_timer(clock: Clock, turning: Wheel) -> None:
    assert clock.timer is None
    turning.watch(Member(), 1001)
    assert clock.timer is not None
    clock.advance(3)
    assert clock.timer is None


def test_a_stalled_loop_stretches_every_deadline(clock: Clock, turning: Wheel) -> None:
    member = Member()
    turning.watch(member, turning.now() + 3)
    clock.advance(1)
    clock.stall(60)
    assert turning.now() < 1000 + 3
    assert member.looks == []
    clock.advance(3 + 2 * TICK)
    assert len(member.looks) == 1


def test_a_member_that_fails_is_logged_and_the_others_are_looked_at(
    clock: Clock, turning: Wheel, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Member):
        def tick(self, now: float) -> float | None:
            raise ValueError("broken")

    member = Member()
    turning.watch(Broken(), 1001)
    turning.watch(member, 1001)
    caplog.set_level(logging.ERROR, "wirework")
    clock.advance(3)
    assert len(member.looks) == 1
    assert "a deadline of" in caplog.text
    assert "ValueError: broken" in caplog.text
    assert len(turning) == 0


def test_each_event_loop_has_one_wheel_and_those_of_closed_loops_are_dropped() -> None:
    async def own() -> Wheel:
        assert wheel() is wheel()
        return wheel()

    assert asyncio.run(own()) is not asyncio.run(own())


async def test_the_wheel_turns_on_the_running_loop() -> None:
    looked = asyncio.Event()

    class Once:
        def tick(self, now: float) -> None:
            looked.set()

    wheel().watch(Once(), wheel().now())
    async with asyncio.timeout(5):
        await looked.wait()
