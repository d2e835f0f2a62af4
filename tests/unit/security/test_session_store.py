"""What every store promises; another one joins the fixture `store`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest

from tests.brokers.servers import redis_server
from wirework import MemorySessions, RedisSessions, SessionStore, SettingsError


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(name="clock")
def stopped() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = redis_server(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server.url
    server.end()


@pytest.fixture(name="store", params=["memory", "redis"])
async def empty(request: pytest.FixtureRequest) -> AsyncIterator[SessionStore]:
    if request.param == "memory":
        yield MemorySessions()
        return
    store = RedisSessions(request.getfixturevalue("redis"), prefix=f"{uuid4()}:")
    yield store
    await store.close()


@pytest.fixture
def timed(clock: Clock) -> SessionStore:
    return MemorySessions(clock=clock)


async def test_what_was_created_is_loaded(store: SessionStore) -> None:
    await store.create("a", {"user": '"ada"'}, 60)
    assert await store.load("a") == {"user": '"ada"'}
    assert await store.load("b") is None


async def test_an_update_sets_and_removes_keys_and_leaves_the_others(store: SessionStore) -> None:
    await store.create("a", {"x": "1", "y": "2", "z": "3"}, 60)
    assert await store.update("a", {"x": "9", "y": None, "absent": None}, 60)
    assert await store.load("a") == {"x": "9", "z": "3"}


async def test_an_update_of_a_session_that_is_not_there_creates_none(store: SessionStore) -> None:
    assert not await store.update("a", {"x": "1"}, 60)
    assert await store.load("a") is None


async def test_a_session_without_values_exists(store: SessionStore) -> None:
    await store.create("a", {"x": "1"}, 60)
    assert await store.update("a", {"x": None}, 60)
    assert await store.load("a") == {}
    assert await store.update("a", {"y": "2"}, 60)


async def test_a_deleted_session_is_gone_and_deleting_twice_is_fine(store: SessionStore) -> None:
    await store.create("a", {"x": "1"}, 60)
    await store.delete("a")
    await store.delete("a")
    assert await store.load("a") is None
    assert not await store.update("a", {}, 60)


async def test_a_renamed_session_has_its_values_under_the_new_id_alone(store: SessionStore) -> None:
    await store.create("a", {"x": "1"}, 60)
    assert await store.rename("a", "b")
    assert await store.load("a") is None
    assert await store.load("b") == {"x": "1"}
    assert not await store.rename("a", "c")
    assert await store.load("c") is None


async def test_a_session_ends_when_its_time_is_over(timed: SessionStore, clock: Clock) -> None:
    store = timed
    await store.create("a", {"x": "1"}, 60)
    clock.now = 59.9
    assert await store.load("a") == {"x": "1"}
    clock.now = 60.0
    assert await store.load("a") is None
    assert not await store.update("a", {"x": "2"}, 60)
    assert not await store.rename("a", "b")


async def test_an_update_begins_the_time_anew_and_a_renaming_does_not(
    timed: SessionStore, clock: Clock
) -> None:
    store = timed
    for id in ("updated", "renamed"):
        await store.create(id, {"x": "1"}, 60)
    clock.now = 50.0
    await store.update("updated", {}, 60)
    await store.rename("renamed", "new")
    clock.now = 70.0
    assert await store.load("updated") == {"x": "1"}
    assert await store.load("new") is None


async def test_a_session_without_an_end_stays(timed: SessionStore, clock: Clock) -> None:
    store = timed
    await store.create("a", {"x": "1"}, None)
    clock.now = 1e12
    assert await store.load("a") == {"x": "1"}


async def test_what_was_loaded_is_a_copy(store: SessionStore) -> None:
    given = {"x": "1"}
    await store.create("a", given, 60)
    given["x"] = "2"
    loaded = await store.load("a")
    assert loaded == {"x": "1"}
    await store.update("a", {"x": "3"}, 60)
    assert loaded == {"x": "1"}


async def test_concurrent_writers_of_different_keys_undo_nothing(store: SessionStore) -> None:
    await store.create("a", {}, 60)
    await asyncio.gather(*(store.update("a", {str(key): "1"}, 60) for key in range(50)))
    assert await store.load("a") == {str(key): "1" for key in range(50)}


# --- the one in memory ----------------------------------------------------------------------------


async def test_a_full_memory_forgets_the_session_whose_last_write_is_longest_ago(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    store = MemorySessions(2, clock=clock)
    await store.create("a", {}, 60)
    await store.create("b", {}, 60)
    await store.update("a", {}, 60)
    for id in ("c", "d"):
        await store.create(id, {}, 60)
    assert [await store.load(id) for id in "abcd"] == [None, None, {}, {}]
    assert (len(store), store.dropped) == (2, 2)
    assert caplog.messages == ["MemorySessions: 2 sessions are kept, the oldest go"]


async def test_expired_sessions_make_room_and_do_not_count_as_dropped(clock: Clock) -> None:
    store = MemorySessions(2, clock=clock)
    await store.create("a", {}, 60)
    await store.create("b", {}, 60)
    clock.now = 60.0
    await store.create("c", {}, 60)
    assert (len(store), store.dropped) == (1, 0)


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "many", None])
def test_a_number_of_sessions_that_cannot_be_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="max_sessions: expected an int >= 1, got"):
        MemorySessions(wrong)  # type: ignore[arg-type]


def test_the_memory_is_a_session_store() -> None:
    assert isinstance(MemorySessions(), SessionStore)


# --- the one in Redis -----------------------------------------------------------------------------


async def test_redis_ends_a_session_when_its_time_is_over(redis: str) -> None:
    store = RedisSessions(redis, prefix=f"{uuid4()}:")

    async def left(id: str) -> int:
        return int(await store._redis.ttl(store._prefix + id))

    await store.create("a", {"x": "1"}, 60)
    assert 55 <= await left("a") <= 60
    await store.update("a", {}, 600)
    assert 595 <= await left("a") <= 600
    await store.rename("a", "b")
    assert 595 <= await left("b") <= 600
    await store.update("b", {"x": "2"}, None)
    assert await left("b") == -1
    await store.create("b", {}, None)
    assert await store.load("b") == {}
    await store.close()


async def test_a_key_of_any_text_is_kept(redis: str) -> None:
    store = RedisSessions(redis, prefix=f"{uuid4()}:")
    values = {"": "1", "m": "2", "v:m": "3", "größe": '"ä"', "a b": "{}"}
    await store.create("a", values, 60)
    assert await store.load("a") == values
    await store.close()


def test_an_address_that_cannot_be_read_is_refused_and_not_repeated() -> None:
    with pytest.raises(SettingsError, match="expected redis://") as caught:
        RedisSessions("http://:secret@example")
    assert "secret" not in str(caught.value)
