"""Several workers are one application: who is there, who is told, who is sent away."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest

from tests.brokers.servers import free_port
from tests.contract.process import ROOT
from wirework import Publisher

from .cluster import APPLICATION, BROKERS, Cluster, cluster_of
from .peer import Peer

pytestmark = pytest.mark.timeout(180)

COMMAND = (sys.executable, "-c", "from wirework.cli import main; main()")


@pytest.fixture(scope="module", params=BROKERS)
def cluster(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """Three workers, whose members are gone two seconds after they died."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLUSTER_LEASE", "2")
        with cluster_of(request.param, tmp_path_factory.mktemp("cluster")) as running:
            yield running


@pytest.fixture
def room() -> str:
    """The name of a channel with presence that no other test uses."""
    return f"room:{uuid4().hex}"


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def everywhere(
    cluster: Cluster, stack: AsyncExitStack, user: str, *channels: str
) -> list[Peer]:
    """Connect a user to each worker, and subscribe there."""
    peers = []
    for worker in await cluster.workers():
        peer = await stack.enter_async_context(cluster.peer(user, worker))
        await peer.enter(*channels)
        peers.append(peer)
    return peers


async def test_members_of_a_worker_that_was_killed_are_gone_within_its_lease(
    cluster: Cluster, room: str, stack: AsyncExitStack
) -> None:
    """G9: no ghosts, and nobody else is struck off with them."""
    first, second, *_ = await cluster.workers()
    ada, bob, carol = [
        await stack.enter_async_context(cluster.peer(user, worker))
        for user, worker in (("ada", first), ("bob", second), ("carol", second))
    ]
    for each in (ada, bob, carol):
        await each.enter(room)
    assert await bob.members(room) == ["ada", "bob", "carol"]
    cluster.kill(first)
    await ada.is_closed()
    async with asyncio.timeout(20):
        while await bob.members(room) != ["bob", "carol"]:
            pass
    await carol.left("ada")
    await carol.ask("pid")
    assert carol.times("channel.left", "ada") == 1
    assert carol.times("channel.left", "bob") == bob.times("channel.left", "carol") == 0


async def test_a_user_who_comes_back_at_another_worker_within_the_grace_never_left(
    cluster: Cluster, room: str, stack: AsyncExitStack
) -> None:
    first, second, *_ = await cluster.workers()
    bob = await stack.enter_async_context(cluster.peer("bob", second))
    await bob.enter(room)
    zoe = await stack.enter_async_context(cluster.peer("zoe", first))
    await zoe.enter(room)
    async with cluster.peer("ada", first) as ada:
        await ada.enter(room)
        again = await stack.enter_async_context(cluster.peer("ada", second))
    await again.enter(room)
    await zoe.close()
    await bob.left("zoe")
    assert await bob.members(room) == ["ada", "bob"]
    assert bob.times("channel.joined", "ada") == 1
    assert bob.times("channel.left", "ada") == 0


async def test_a_publication_reaches_clients_of_all_workers(
    cluster: Cluster, room: str, channel: str, stack: AsyncExitStack
) -> None:
    peers = await everywhere(cluster, stack, "ada", room, channel)
    for name in (room, channel):
        await peers[0].ask("channel.publish", channel=name, data={"text": "hello"})
        for peer in peers:
            await peer.hears("channel.publication", channel=name, data="hello")


async def test_the_command_and_a_publisher_reach_clients_of_all_workers(
    cluster: Cluster, channel: str, stack: AsyncExitStack
) -> None:
    peers = await everywhere(cluster, stack, "ada", channel)
    arguments = ("publish", "--broker", cluster.broker.url, channel, '{"from": "a shell"}')
    done = await asyncio.to_thread(
        subprocess.run, [*COMMAND, *arguments], capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 0, done.stderr
    async with Publisher(cluster.broker.url) as publisher:
        await publisher.publish_to_user("ada", {"from": "elsewhere"}, name="told")
    for peer in peers:
        said = await peer.hears("channel.publication", channel=channel)
        assert said["data"]["data"] == {"from": "a shell"}
        position = said["data"]["position"]
        assert done.stdout.split() == [position["epoch"], str(position["offset"])]
        assert (await peer.hears("told"))["data"] == {"from": "elsewhere"}


async def test_a_message_to_a_user_reaches_the_connections_of_that_user_on_all_workers(
    cluster: Cluster, stack: AsyncExitStack
) -> None:
    adas = await everywhere(cluster, stack, "ada")
    bobs = await everywhere(cluster, stack, "bob")
    await asyncio.to_thread(cluster.post, "/tell/ada/one")
    await asyncio.to_thread(cluster.post, "/tell/bob/two")
    for peer in adas + bobs:
        said = await peer.hears("told")
        assert said["data"] == ("one" if peer.user == "ada" else "two")


async def test_who_is_expelled_hears_nothing_more_on_any_worker(
    cluster: Cluster, room: str, stack: AsyncExitStack
) -> None:
    """E3: the others go on."""
    adas = await everywhere(cluster, stack, "ada", room)
    bobs = await everywhere(cluster, stack, "bob", room)
    await asyncio.to_thread(cluster.post, f"/expel/ada/{room}")
    for ada in adas:
        assert (await ada.hears("channel.unsubscribed"))["data"]["code"] == "expelled"
    await bobs[0].ask("channel.publish", channel=room, data={"text": "among us"})
    for bob in bobs:
        await bob.hears("channel.publication", data="among us")
    for ada in adas:
        await ada.ask("pid")
        assert "channel.publication" not in {said["type"] for said in ada.heard}


async def test_who_is_signed_out_is_disconnected_from_all_workers(
    cluster: Cluster, stack: AsyncExitStack
) -> None:
    """E3: and nobody else."""
    adas = await everywhere(cluster, stack, "ada")
    bobs = await everywhere(cluster, stack, "bob")
    await asyncio.to_thread(cluster.post, "/sign-out/ada")
    for ada in adas:
        assert await ada.is_closed() == 4401
    for bob in bobs:
        await bob.ask("pid")


@pytest.mark.parametrize("server", ["uvicorn", "granian"])
def test_several_workers_without_a_broker_that_they_share_are_refused(server: str) -> None:
    arguments = ("run", APPLICATION, "--workers", "2", "--port", "0", "--server", server)
    done = subprocess.run(
        [*COMMAND, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 1
    assert done.stderr == (
        "wirework run: the broker memory:// knows the channels of one process alone, and each"
        " worker is one; leave out --workers, or set broker, such as WIREWORK_BROKER=redis://...\n"
    )


@pytest.mark.parametrize("kind", BROKERS)
def test_without_its_broker_the_application_does_not_start_and_says_why(kind: str) -> None:
    """G2: and does not repeat the password."""
    place = f"127.0.0.1:{free_port()}"
    address = f"{kind}://ann:s3cret@{place}"
    done = subprocess.run(
        [*COMMAND, "run", APPLICATION, "--port", "0"],
        cwd=ROOT,
        env={**os.environ, "WIREWORK_BROKER": address, "WIREWORK_BROKER_TIMEOUT": "1"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert f"{place}: Connection refused" in done.stderr
    assert "s3cret" not in done.stderr
