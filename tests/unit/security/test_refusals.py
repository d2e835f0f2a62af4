from __future__ import annotations

import asyncio

import pytest

from wirework.security.refusals import Refusals
from wirework.timers import wheel

INTERVAL = 10.0


@pytest.fixture
def refusals() -> Refusals:
    return Refusals(INTERVAL)


async def test_the_first_refusal_for_each_reason_is_logged_at_once(
    refusals: Refusals, caplog: pytest.LogCaptureFixture
) -> None:
    for address in range(1000):
        refusals.log("max_connections", "refused %s", address)
        refusals.log("origin", "foreign %s", address)
    assert caplog.messages == ["refused 0", "foreign 0"]


async def test_then_their_number_is_logged_once_in_an_interval(
    refusals: Refusals, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(1000):
        refusals.log("max_connections", "refused")
    refusals.log("origin", "foreign")
    caplog.clear()
    assert refusals.tick(50.0) == 50.0 + INTERVAL
    assert caplog.messages == ["refused 999 more handshakes in 10 s: max_connections"]
    for _ in range(5):
        refusals.log("max_connections", "refused")
    assert len(caplog.messages) == 1
    refusals.tick(60.0)
    assert caplog.messages[1:] == ["refused 5 more handshakes in 10 s: max_connections"]


async def test_after_a_quiet_interval_the_next_one_is_logged_at_once(
    refusals: Refusals, caplog: pytest.LogCaptureFixture
) -> None:
    refusals.log("origin", "foreign")
    assert refusals.tick(50.0) is None
    refusals.log("origin", "foreign again")
    assert caplog.messages == ["foreign", "foreign again"]


async def test_the_wheel_looks_at_it_only_while_somebody_was_refused(refusals: Refusals) -> None:
    clock = wheel()
    before = len(clock)
    refusals.log("origin", "foreign")
    refusals.log("max_connections", "refused")
    assert len(clock) == before + 1
    clock.forget(refusals)


def test_another_event_loop_begins_anew(
    refusals: Refusals, caplog: pytest.LogCaptureFixture
) -> None:
    async def refuse() -> None:
        refusals.log("origin", "foreign")

    for _ in range(2):
        asyncio.run(refuse())
    assert caplog.messages == ["foreign", "foreign"]
