"""Redis refuses: what is said, that nothing runs hot, and that it heals."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from wirework.brokers import Member, Message, Publication
from wirework.brokers.redis import RedisBroker
from wirework.errors import BrokerUnavailable

from .record import KEEP, Recorder, eventually
from .redis_scene import Scene, command, scene
from .servers import HOST, free_port, redis_server

RIGHTS = "~test:* &test:* +@connection +@pubsub +@read +@scripting +@write +info +time"
"""All that a user needs."""


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[Scene]:
    """A server that lets everybody in, and knows the user `ann` with the password `s3same`."""
    async with scene(tmp_path) as found:
        await found.order("ACL", "SETUSER", "ann", "on", ">s3same", *RIGHTS.split())
        yield found


def as_ann(redis: Scene, password: str = "s3same", database: int = 0) -> str:
    return f"redis://ann:{password}@{HOST}:{redis.server.port}/{database}"


async def test_a_user_with_a_password_does_everything_in_the_database_of_the_url(
    redis: Scene,
) -> None:
    worker = await redis.worker(as_ann(redis, database=3))
    await worker.broker.subscribe("room")
    await worker.say("room", b"1")
    await worker.seen.told_of(b"1")
    await worker.broker.join("room", Member("c1"))
    assert await worker.broker.count("room") == (1, 1)
    keyspace = await redis.order("INFO", "keyspace")
    assert b"db3:" in keyspace
    assert b"db0:" not in keyspace


async def test_a_password_with_any_characters_works(redis: Scene) -> None:
    await redis.order("ACL", "SETUSER", "ann", ">p@ss:w/rd?#%")
    worker = await redis.worker(as_ann(redis, "p%40ss%3Aw%2Frd%3F%23%25"))
    await worker.say("room", b"1")


@pytest.mark.parametrize(
    ("password", "said"),
    [("wr0ng-pass", "does not accept the user or the password"), ("", "asks for a password")],
    ids=["wrong", "none"],
)
async def test_a_start_with_a_wrong_password_says_so_and_does_not_repeat_it(
    tmp_path: Path, password: str, said: str
) -> None:
    async with scene(tmp_path, "--requirepass", "s3same") as found:
        credentials = f":{password}@" if password else ""
        broker = RedisBroker(f"redis://{credentials}{HOST}:{found.server.port}")
        with pytest.raises(BrokerUnavailable, match=said) as caught:
            await broker.start(Recorder())
        assert "wr0ng-pass" not in str(caught.value)


async def test_a_password_that_is_changed_is_asked_for_calmly_until_it_fits_again(
    redis: Scene,
) -> None:
    worker = await redis.worker(as_ann(redis), timeout=0.5)
    await worker.broker.subscribe("room")
    await redis.order("ACL", "SETUSER", "ann", "resetpass", ">other")
    await redis.order("CLIENT", "KILL", "USER", "ann")
    await worker.seen.until(lambda: worker.seen.states == ["degraded"])

    async def has_been_refused_three_times() -> bool:
        return await refusals(redis) >= 3

    await eventually(has_been_refused_three_times)
    with pytest.raises(BrokerUnavailable, match="does not accept") as caught:
        await worker.broker.publish("room", Message(b"1"))
    assert "s3same" not in str(caught.value)
    await redis.order("ACL", "SETUSER", "ann", ">s3same")
    await worker.seen.until(lambda: worker.seen.states == ["degraded", "restored"])
    assert await refusals(redis) < 100
    await worker.say("room", b"2")
    await worker.seen.told_of(b"2")


async def refusals(redis: Scene) -> int:
    """Return how many times somebody was not let in."""
    log = await redis.order("ACL", "LOG")
    return sum(int(entry[1]) for entry in log)


@pytest.mark.parametrize("right", ["-publish", "-evalsha", "-xadd"])
async def test_what_the_user_may_not_do_is_an_error_of_that_call_only(
    redis: Scene, right: str
) -> None:
    worker = await redis.worker(as_ann(redis))
    await worker.broker.subscribe("room")
    await redis.order("ACL", "SETUSER", "ann", right)
    with pytest.raises(BrokerUnavailable, match="may not do this"):
        await worker.broker.publish("room", Message(b"1"), KEEP)
    assert worker.seen.states == []
    await redis.order("ACL", "SETUSER", "ann", right.replace("-", "+"))
    await worker.say("room", b"2")
    await worker.seen.told_of(b"2")
    page = await worker.broker.read("room", KEEP, limit=10)
    assert [each.offset for each in page.publications] == list(range(1, page.top.offset + 1))


async def test_a_channel_that_may_not_be_subscribed_to_is_an_error_of_that_call_only(
    redis: Scene,
) -> None:
    worker = await redis.worker(as_ann(redis))
    await redis.order("ACL", "SETUSER", "ann", "-subscribe")
    with pytest.raises(BrokerUnavailable, match="may not do this"):
        await worker.broker.subscribe("room")
    assert worker.seen.states == []
    await redis.order("ACL", "SETUSER", "ann", "+subscribe")
    await worker.broker.subscribe("room")
    await worker.say("room", b"2")
    await worker.seen.told_of(b"2")


async def test_channels_and_keys_outside_of_the_users_are_refused(redis: Scene) -> None:
    worker = await redis.worker(as_ann(redis), prefix="test")
    other = RedisBroker(as_ann(redis), prefix="foreign")
    await worker.say("room", b"1")
    with pytest.raises(BrokerUnavailable, match="may not do this"):
        await other.start(Recorder())


async def test_full_memory_is_an_error_of_what_is_kept_and_heals(redis: Scene) -> None:
    worker = await redis.worker()
    await worker.say("room", b"1")
    await redis.order("CONFIG", "SET", "maxmemory", "1")
    with pytest.raises(BrokerUnavailable, match="memory is full"):
        await worker.broker.publish("room", Message(b"2"), KEEP)
    assert worker.seen.states == []
    await redis.order("CONFIG", "SET", "maxmemory", "0")
    await worker.say("room", b"3")
    page = await worker.broker.read("room", KEEP, limit=10)
    assert [each.message.data for each in page.publications] == [b"1", b"3"]
    assert [each.offset for each in page.publications] == [1, 2]


async def test_full_memory_holds_up_no_connection_and_members_are_present_when_it_heals(
    redis: Scene,
) -> None:
    worker = await redis.worker()
    await worker.broker.subscribe("room")
    await worker.broker.join("room", Member("c1", "ann"))
    await redis.order("FLUSHALL")
    await redis.order("CONFIG", "SET", "maxmemory", "1")
    await redis.cut()
    await worker.seen.until(lambda: worker.seen.states[-1:] == ["restored"])
    await worker.broker.publish("room", Message(b"passing"))
    await worker.seen.told_of(b"passing")
    assert await worker.broker.count("room") == (0, 0)
    await redis.order("CONFIG", "SET", "maxmemory", "0")

    async def is_present() -> bool:
        return await worker.broker.count("room") == (1, 1)

    await eventually(is_present)


async def test_a_master_that_becomes_a_replica_is_an_error_and_heals(
    redis: Scene, tmp_path: Path
) -> None:
    worker = await redis.worker(timeout=1.0)
    await worker.broker.subscribe("room")
    await redis.order("REPLICAOF", HOST, str(free_port()))
    with pytest.raises(BrokerUnavailable, match="expected a master, got a replica"):
        await worker.broker.publish("room", Message(b"1"), KEEP)
    with pytest.raises(BrokerUnavailable, match="expected a master, got a replica"):
        await RedisBroker(redis.server.url).start(Recorder())
    await redis.order("REPLICAOF", "NO", "ONE")
    await worker.seen.until(lambda: worker.seen.states == ["degraded", "restored"])
    await worker.say("room", b"2")
    await worker.seen.told_of(b"2")


async def test_a_script_that_the_server_has_forgotten_is_sent_again(redis: Scene) -> None:
    worker = await redis.worker()
    await redis.order("SCRIPT", "FLUSH")
    await asyncio.gather(*(worker.say("room", b"1") for _ in range(10)))
    page = await worker.broker.read("room", KEEP, limit=20)
    assert page.top.offset == 10


async def test_a_socket_of_this_machine_works(tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    async with scene(tmp_path, "--unixsocket", str(path)) as found:
        worker = await found.worker(f"redis+unix://{path}?db=1")
        await worker.broker.subscribe("room")
        await worker.say("room", b"1")
        await worker.seen.told_of(b"1")


# --- TLS ------------------------------------------------------------------------------------------

REQUEST = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test"]


def certificate(folder: Path, name: str, address: str) -> tuple[str, str]:
    """Make a certificate that signs itself; return the paths of it and of its key."""
    paths = str(folder / f"{name}.crt"), str(folder / f"{name}.key")
    wanted = ["-addext", f"subjectAltName={address}", "-out", paths[0], "-keyout", paths[1]]
    subprocess.run(["openssl", *REQUEST, *wanted], check=True, capture_output=True)
    return paths


async def tls_worker(folder: Path, address: str, options: str) -> list[Publication]:
    """Start a server with TLS and a worker on it; return what the worker got."""
    found, key = certificate(folder, "server", address)
    certificate(folder, "stranger", address)
    port = free_port()
    tls = ["--tls-port", str(port), "--tls-cert-file", found, "--tls-key-file", key]
    tls += ["--tls-ca-cert-file", found, "--tls-auth-clients", "no"]
    server = redis_server(folder, *tls)
    server.start()
    broker = RedisBroker(f"rediss://{HOST}:{port}?{options.format(folder=folder)}")
    seen = Recorder()
    try:
        await broker.start(seen)
        await broker.subscribe("room")
        await broker.publish("room", Message(b"1"))
        await seen.told_of(b"1")
        return seen.publications
    finally:
        await broker.stop()
        server.end()


@pytest.mark.parametrize(
    "options",
    ["ssl_ca_certs={folder}/server.crt", "ssl_cert_reqs=none"],
    ids=["known", "unchecked"],
)
async def test_tls_works_with_a_certificate_that_is_trusted(tmp_path: Path, options: str) -> None:
    assert len(await tls_worker(tmp_path, f"IP:{HOST}", options)) == 1


@pytest.mark.parametrize(
    ("address", "options"),
    [
        (f"IP:{HOST}", "ssl_cert_reqs=required"),
        (f"IP:{HOST}", "ssl_ca_certs={folder}/stranger.crt"),
        ("DNS:other.test", "ssl_ca_certs={folder}/server.crt"),
    ],
    ids=["unknown", "of-a-stranger", "for-another-host"],
)
async def test_tls_refuses_a_certificate_that_is_not_trusted(
    tmp_path: Path, address: str, options: str
) -> None:
    with pytest.raises(BrokerUnavailable, match=r"(?i)certificate"):
        await tls_worker(tmp_path, address, options)


async def test_plain_text_to_a_server_with_tls_is_an_error(tmp_path: Path) -> None:
    async with scene(tmp_path) as found:
        broker = RedisBroker(f"rediss://{HOST}:{found.server.port}", timeout=2.0)
        with pytest.raises(BrokerUnavailable, match=str(found.server.port)):
            await broker.start(Recorder())
        assert await command(found.server.port, "PING") == b"PONG"
