"""Who is present: by connection and by user, on all processes, also after one of them died."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from wirework.brokers import Member, Roll

from .record import PATIENCE, Change, Place, Worker, eventually, running

ADA, EVE = Member("a1", "ada"), Member("e1", "eve")
ADA_AGAIN = Member("a2", "ada")
NOBODY = Member("n1")
ROOT = Path(__file__).parents[2]


def connections(roll: Roll) -> list[str]:
    return sorted(member.connection for member in roll.members)


async def pair(place: Place, channel: str) -> tuple[Worker, Worker]:
    """Return a process that members come to, and one that is told of it."""
    first, second = await place.pair()
    await second.broker.subscribe(channel)
    return first, second


async def told(worker: Worker, number: int) -> list[tuple[str, str]]:
    """Return what was told when nothing more can come."""
    changes = await worker.seen.changed(number)
    await worker.quiet()
    assert len(worker.seen.changes) == number
    return changes


async def test_the_first_connection_of_a_user_joins_and_the_last_one_leaves(
    place: Place, channel: str
) -> None:
    worker, other = await pair(place, channel)
    for member in (ADA, ADA_AGAIN, EVE):
        await worker.broker.join(channel, member)
    assert await told(other, 2) == [("joined", "u:ada"), ("joined", "u:eve")]
    for member in (ADA, EVE, ADA_AGAIN):
        await worker.broker.leave(channel, member)
    expected = [("joined", "u:ada"), ("joined", "u:eve"), ("left", "u:eve"), ("left", "u:ada")]
    assert await told(other, 4) == expected


async def test_a_user_with_connections_to_several_processes_is_one(
    place: Place, channel: str
) -> None:
    worker, other = await pair(place, channel)
    await worker.broker.join(channel, ADA)
    await other.broker.join(channel, ADA_AGAIN)
    assert await other.broker.count(channel) == (2, 1)
    await worker.broker.leave(channel, ADA)
    assert connections(await worker.broker.members(channel)) == ["a2"]
    await other.broker.leave(channel, ADA_AGAIN)
    assert await told(other, 2) == [("joined", "u:ada"), ("left", "u:ada")]


async def test_connections_of_nobody_are_told_apart(place: Place, channel: str) -> None:
    worker, other = await pair(place, channel)
    await worker.broker.join(channel, NOBODY)
    await worker.broker.join(channel, Member("n2"))
    await worker.broker.join(channel, Member("n3", "n1"))
    assert await told(other, 3) == [("joined", "c:n1"), ("joined", "c:n2"), ("joined", "u:n1")]
    assert await other.broker.count(channel) == (3, 3)


async def test_members_are_what_they_said_of_themselves(place: Place, channel: str) -> None:
    worker, other = await pair(place, channel)
    member = Member("c:1|2 *", "ü {}.>", b'{"name":"\xc3\xbc"}', b"[1]")
    await worker.broker.join(channel, member)
    await told(other, 1)
    assert other.seen.changes[0].member == member
    assert other.seen.changes[0].channel == channel
    assert list((await other.broker.members(channel)).members) == [member]


async def test_to_join_again_changes_the_info_and_nothing_else(place: Place, channel: str) -> None:
    worker, other = await pair(place, channel)
    await worker.broker.join(channel, ADA)
    before = await other.broker.members(channel)
    changed = Member("a1", "ada", b'"new"')
    await worker.broker.join(channel, changed)
    after = await other.broker.members(channel)
    assert list(after.members) == [changed]
    assert after.version >= before.version
    assert await other.broker.count(channel) == (1, 1)
    assert await told(other, 1) == [("joined", "u:ada")]


async def test_who_is_not_there_cannot_leave(place: Place, channel: str) -> None:
    worker, other = await pair(place, channel)
    await worker.broker.leave(channel, ADA)
    await worker.broker.join(channel, ADA)
    await worker.broker.leave(channel, ADA_AGAIN)
    await worker.broker.leave(channel, EVE)
    assert connections(await other.broker.members(channel)) == ["a1"]
    assert await told(other, 1) == [("joined", "u:ada")]


async def test_an_empty_channel_has_nobody(place: Place, channel: str) -> None:
    worker = await place.worker()
    assert list((await worker.broker.members(channel)).members) == []
    assert await worker.broker.count(channel) == (0, 0)


async def test_presence_is_of_its_channel(place: Place, channel: str) -> None:
    worker, other = await pair(place, channel)
    await worker.broker.join(f"{channel}:other", ADA)
    await worker.broker.join(channel, EVE)
    assert connections(await other.broker.members(channel)) == ["e1"]
    assert connections(await other.broker.members(f"{channel}:other")) == ["a1"]
    assert await told(other, 1) == [("joined", "u:eve")]


async def test_the_version_grows_with_each_join_and_leave(place: Place, channel: str) -> None:
    worker, other = await pair(place, channel)
    versions = [(await other.broker.members(channel)).version]
    for _ in range(3):
        await worker.broker.join(channel, ADA)
        versions.append((await other.broker.members(channel)).version)
        await worker.broker.leave(channel, ADA)
        versions.append((await other.broker.members(channel)).version)
    assert versions == sorted(set(versions))
    await told(other, 6)
    assert [change.version for change in other.seen.changes] == versions[1:]


async def test_a_list_and_the_changes_after_it_make_the_present(place: Place, channel: str) -> None:
    worker, other = await pair(place, channel)
    members = [Member(f"c{number}", f"user-{number % 5}") for number in range(10)]

    async def come_and_go() -> None:
        while True:
            for action in (worker.broker.join, worker.broker.leave):
                for member in members:
                    await action(channel, member)
                    await asyncio.sleep(0)

    rolls = []
    async with running(come_and_go()):
        for _ in range(20):
            rolls.append(await other.broker.members(channel))
            await other.seen.another_change()
    for member in members:
        await worker.broker.leave(channel, member)
    await worker.broker.join(channel, members[3])
    await other.quiet()
    changes = other.seen.changes
    assert [each.version for each in changes] == sorted({each.version for each in changes})
    for roll in rolls:
        assert replayed(roll, changes) == {"u:user-3"}


def replayed(roll: Roll, changes: list[Change]) -> set[str]:
    present = {member.key for member in roll.members}
    for change in changes:
        if change.version > roll.version:
            assert (change.member.key in present) is (change.what == "left")
            present ^= {change.member.key}
    return present


async def test_of_those_who_join_at_the_same_time_one_is_the_first(
    place: Place, channel: str
) -> None:
    workers = await pair(place, channel)
    members = [Member(f"c{number}", "ada") for number in range(10)]
    for number in range(3):
        await asyncio.gather(
            *(workers[n % 2].broker.join(channel, m) for n, m in enumerate(members))
        )
        assert await workers[0].broker.count(channel) == (10, 1)
        await asyncio.gather(
            *(workers[n % 2].broker.leave(channel, m) for n, m in enumerate(members))
        )
        assert await workers[0].broker.count(channel) == (0, 0)
        expected = [("joined", "u:ada"), ("left", "u:ada")] * (number + 1)
        assert await told(workers[1], 2 * (number + 1)) == expected


async def test_the_members_of_a_process_that_stops_leave(shared: Place, channel: str) -> None:
    worker, other = await pair(shared, channel)
    await worker.broker.join(channel, ADA)
    await worker.broker.join(f"{channel}:2", ADA)
    await other.broker.join(channel, EVE)
    await worker.broker.stop()
    assert await told(other, 3) == [("joined", "u:ada"), ("joined", "u:eve"), ("left", "u:ada")]
    assert connections(await other.broker.members(channel)) == ["e1"]
    assert await other.broker.count(f"{channel}:2") == (0, 0)


@asynccontextmanager
async def attending(place: Place, lease: float, channel: str, user: str) -> AsyncIterator[None]:
    """Have two connections of a user be present in a process that is killed at the end."""
    command = (sys.executable, "-m", "tests.brokers.attendant", place.url, str(lease))
    process = await asyncio.create_subprocess_exec(*command, channel, user, stdout=PIPE, cwd=ROOT)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            assert await process.stdout.readline() == b"present\n"
        yield
    finally:
        process.kill()
        await process.communicate()


@pytest.mark.parametrize("how", ["members", "count", "sweep"])
async def test_the_members_of_a_process_that_died_are_struck_off(
    shared: Place, channel: str, how: str
) -> None:
    worker = await shared.worker(lease=1.0)
    await worker.broker.subscribe(channel)
    await worker.broker.join(channel, EVE)
    async with attending(shared, 1.0, channel, "ada"):
        assert await told(worker, 2) == [("joined", "u:eve"), ("joined", "u:ada")]
        assert await worker.broker.count(channel) == (3, 2)

    async def is_alone() -> bool:
        if how == "sweep":
            await worker.broker.sweep([channel])
            return ("left", "u:ada") in await worker.seen.changed(0)
        if how == "count":
            return await worker.broker.count(channel) == (1, 1)
        return connections(await worker.broker.members(channel)) == ["e1"]

    await eventually(is_alone)
    await worker.broker.sweep([channel])
    assert await told(worker, 3) == [
        ("joined", "u:eve"),
        ("joined", "u:ada"),
        ("left", "u:ada"),
    ]
    roll = await worker.broker.members(channel)
    assert (connections(roll), await worker.broker.count(channel)) == (["e1"], (1, 1))
    assert roll.version == worker.seen.changes[-1].version


async def test_a_user_who_is_also_elsewhere_stays_when_a_process_dies(
    shared: Place, channel: str
) -> None:
    worker = await shared.worker(lease=1.0)
    await worker.broker.subscribe(channel)
    await worker.broker.join(channel, ADA)
    async with attending(shared, 1.0, channel, "ada"):
        assert await worker.broker.count(channel) == (3, 1)

    async def is_one() -> bool:
        return await worker.broker.count(channel) == (1, 1)

    await eventually(is_one)
    await worker.broker.sweep([channel])
    assert await told(worker, 1) == [("joined", "u:ada")]
    await worker.broker.leave(channel, ADA)
    assert await told(worker, 2) == [("joined", "u:ada"), ("left", "u:ada")]
