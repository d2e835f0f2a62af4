"""The session in a store: what is saved, what is seen, and what concurrent writers get."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wirework import MemorySessions, SessionEnded, SessionError
from wirework.security.stored_session import MAX_SESSION, StoredSession

ID = "an id of a test"


class Failing(MemorySessions):
    """A store that fails while it is told to."""

    is_down = False

    async def update(self, id: str, changes: Mapping[str, str | None], max_age: int | None) -> bool:
        await asyncio.sleep(0)
        if self.is_down:
            raise OSError("the store is down")
        return await super().update(id, changes, max_age)


@pytest.fixture(name="store")
def empty() -> Failing:
    return Failing()


async def opened(store: MemorySessions, id: str = ID) -> StoredSession:
    """Return the session as a request finds it."""
    texts = await store.load(id)
    return StoredSession(store, 60, "" if texts is None else id, texts)


async def begun(store: MemorySessions, **values: Any) -> StoredSession:
    """Return a session that is in the store."""
    await store.create(ID, {key: json.dumps(value) for key, value in values.items()}, 60)
    return await opened(store)


async def held(store: MemorySessions, id: str = ID) -> dict[str, Any] | None:
    """Return what the store has."""
    texts = await store.load(id)
    return None if texts is None else {key: json.loads(text) for key, text in texts.items()}


# --- saving ---------------------------------------------------------------------------------------


async def test_a_new_session_gets_a_long_random_id_with_its_first_values(store: Failing) -> None:
    ids = set()
    for _ in range(20):
        session = StoredSession(store, 60)
        session["a"] = 1
        await session.save()
        assert await held(store, session.id) == {"a": 1}
        ids.add(session.id)
    assert len(ids) == 20
    assert {len(id) for id in ids} == {43}  # 32 random bytes


async def test_a_new_session_without_values_is_not_kept(store: Failing) -> None:
    session = StoredSession(store, 60)
    session["a"] = 1
    del session["a"]
    await session.save()
    assert (session.id, len(store)) == ("", 0)


def assign(session: StoredSession) -> None:
    session["a"] = 2


def delete(session: StoredSession) -> None:
    del session["a"]


def merge(session: StoredSession) -> None:
    session |= {"b": 2}


WRITES: list[tuple[Callable[[StoredSession], object], dict[str, Any]]] = [
    (assign, {"a": 2, "list": [1]}),
    (delete, {"list": [1]}),
    (merge, {"a": 1, "b": 2, "list": [1]}),
    (lambda session: session.pop("a"), {"list": [1]}),
    (lambda session: session.pop("absent", None), {"a": 1, "list": [1]}),
    (lambda session: session.popitem(), {"a": 1}),
    (lambda session: session.setdefault("b", 2), {"a": 1, "b": 2, "list": [1]}),
    (lambda session: session.setdefault("a", 2), {"a": 1, "list": [1]}),
    (lambda session: session.update({"b": 2}, c=3), {"a": 1, "b": 2, "c": 3, "list": [1]}),
    (lambda session: session["list"].append(2), {"a": 1, "list": [1, 2]}),
]


@pytest.mark.parametrize(("write", "after"), WRITES)
async def test_every_write_is_saved_also_after_the_answer(
    store: Failing, write: Callable[[StoredSession], object], after: dict[str, Any]
) -> None:
    session = await begun(store, a=1, list=[1])
    session.lock()
    write(session)
    await session.save()
    assert session == after
    assert await held(store) == after


async def test_a_session_that_lost_its_last_value_goes_on(store: Failing) -> None:
    session = await begun(store, a=1)
    session.lock()
    session.pop("a")
    await session.save()
    session["b"] = 2
    await session.save()
    assert await held(store) == {"b": 2}


async def test_writers_of_different_keys_undo_nothing_of_each_other(store: Failing) -> None:
    one, two = await begun(store, a=1, b=1, c=1), await opened(store)
    one["a"] = 2
    del two["b"]
    two["d"] = 2
    await two.save()
    await one.save()
    assert await held(store) == {"a": 2, "c": 1, "d": 2}


async def test_of_two_writes_to_one_key_the_last_saved_wins_also_with_an_old_value(
    store: Failing,
) -> None:
    one, two = await begun(store, a=1), await opened(store)
    one["a"] = 2
    await one.save()
    two["a"] = 1
    await two.save()
    assert await held(store) == {"a": 1}


async def test_what_was_only_read_is_not_written(store: Failing) -> None:
    one, two = await begun(store, a=[1]), await opened(store)
    one["a"] = [2]
    await one.save()
    assert two["a"] == [1]
    await two.save()
    assert await held(store) == {"a": [2]}


async def test_a_write_beside_a_running_save_is_saved_by_the_next(store: Failing) -> None:
    session = await begun(store)
    session["a"] = 1
    saving = asyncio.create_task(session.save())
    await asyncio.sleep(0)
    session["a"] = 2
    session["b"] = 2
    await saving
    await session.save()
    assert await held(store) == {"a": 2, "b": 2}


class Hesitating(MemorySessions):
    """A store whose first write is held up."""

    def __init__(self) -> None:
        super().__init__()
        self.may_write = asyncio.Event()
        self.calls = 0

    async def create(self, id: str, values: Mapping[str, str], max_age: int | None) -> None:
        await self._hesitate()
        await super().create(id, values, max_age)

    async def update(self, id: str, changes: Mapping[str, str | None], max_age: int | None) -> bool:
        await self._hesitate()
        return await super().update(id, changes, max_age)

    async def _hesitate(self) -> None:
        self.calls += 1
        if self.calls == 1:
            await self.may_write.wait()


@pytest.mark.parametrize("is_new", [True, False], ids=["new", "known"])
async def test_saves_at_the_same_time_are_in_order_and_begin_one_session(*, is_new: bool) -> None:
    store = Hesitating()
    session = StoredSession(store, 60)
    if not is_new:
        await MemorySessions.create(store, ID, {}, 60)
        session = await opened(store)
    saves = []
    for number in (1, 2):
        session["a"] = number
        saves.append(asyncio.create_task(session.save()))
        await asyncio.sleep(0)
    store.may_write.set()
    await asyncio.gather(*saves)
    assert (await held(store, session.id), len(store)) == ({"a": 2}, 1)


async def test_what_could_not_be_saved_is_saved_by_the_next_save(store: Failing) -> None:
    session = await begun(store, a=[1], b=1, c=1)
    store.is_down = True
    session["a"].append(2)
    session["b"] = 2
    del session["c"]
    with pytest.raises(OSError, match="down"):
        await session.save()
    store.is_down = False
    await session.save()
    assert await held(store) == {"a": [1, 2], "b": 2}


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("b", object(), "a value that is not JSON: 'b'"),
        (1, 1, "a key that is no str: 1"),
        ("b", "x" * MAX_SESSION, f"expected at most {MAX_SESSION}"),
    ],
    ids=["a value", "a key", "a size"],
)
async def test_what_cannot_be_kept_is_dropped_and_said_once(
    store: Failing, key: Any, value: Any, said: str
) -> None:
    session = await begun(store, a=1)
    session["a"] = 2
    session[key] = value
    with pytest.raises(SessionError, match=said):
        await session.save()
    assert session == {"a": 1}
    await session.save()
    session["c"] = 3
    await session.save()
    assert await held(store) == {"a": 1, "c": 3}


STEPS = st.tuples(
    st.integers(0, 2), st.sampled_from("abc"), st.sampled_from([1, [2], None, "save"])
)


@given(st.lists(STEPS))
async def test_each_key_has_what_was_saved_last(steps: list[tuple[int, str, Any]]) -> None:
    store = Failing()
    expected: dict[str, Any] = {"a": 0, "b": [0]}
    sessions = [await begun(store, **expected), await opened(store), await opened(store)]
    written: list[dict[str, Any]] = [{}, {}, {}]
    for writer, key, value in steps:
        if value == "save":
            await sessions[writer].save()
            expected |= written[writer]
            written[writer].clear()
        elif value is not None:
            sessions[writer][key] = written[writer][key] = value
        elif key in sessions[writer]:
            del sessions[writer][key]
            written[writer][key] = None
        there = {name: value for name, value in expected.items() if value is not None}
        assert await held(store) == there


async def test_a_session_that_is_touched_lives_longer() -> None:
    now = [0.0]
    store = MemorySessions(clock=lambda: now[0])
    session = await begun(store, a=1)
    now[0] = 50.0
    session.mark_modified()
    await session.save()
    now[0] = 100.0
    assert await held(store) == {"a": 1}


# --- reading again --------------------------------------------------------------------------------


async def test_reloading_shows_what_others_wrote_and_keeps_what_is_not_saved(
    store: Failing,
) -> None:
    one, two = await begun(store, a=1, b=1, c=1, own=[1]), await opened(store)
    two["a"] = 2
    two["new"] = 2
    del two["c"]
    await two.save()
    one["b"] = 3
    one["own"].append(3)
    await one.reload()
    assert one == {"a": 2, "b": 3, "new": 2, "own": [1, 3]}
    await one.save()
    assert await held(store) == {"a": 2, "b": 3, "new": 2, "own": [1, 3]}


async def test_a_list_that_nobody_else_changed_stays_the_sessions_after_a_reload(
    store: Failing,
) -> None:
    session = await begun(store, cart=[1])
    cart = session["cart"]
    await session.reload()
    cart.append(2)
    await session.save()
    assert await held(store) == {"cart": [1, 2]}


# --- the end --------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_answered", [False, True], ids=["before", "after"])
async def test_clearing_deletes_the_session(store: Failing, *, is_answered: bool) -> None:
    session = await begun(store, a=1)
    if is_answered:
        session.lock()
    session.clear()
    await session.save()
    assert (session, await held(store)) == ({}, None)


async def test_after_the_answer_a_cleared_session_cannot_be_written(store: Failing) -> None:
    session = await begun(store, a=1)
    session.lock()
    session.clear()
    with pytest.raises(SessionEnded):
        session["a"] = 1
    await session.save()
    with pytest.raises(SessionEnded):
        session["a"] = 1
    assert len(store) == 0


async def test_before_the_answer_another_session_may_follow_with_another_id(
    store: Failing,
) -> None:
    session = await begun(store, a=1)
    session.clear()
    session["b"] = 2
    await session.save()
    assert session.id not in ("", ID)
    assert (await held(store), await held(store, session.id)) == (None, {"b": 2})


@pytest.mark.parametrize("is_answered", [False, True], ids=["before", "after"])
async def test_a_deleted_session_never_comes_back(store: Failing, *, is_answered: bool) -> None:
    session = await begun(store, a=1)
    if is_answered:
        session.lock()
    session["a"] = 2
    await store.delete(ID)
    with pytest.raises(SessionEnded):
        await session.save()
    assert (session, len(store)) == ({}, 0)
    with pytest.raises(SessionEnded):
        session["a"] = 3
    with pytest.raises(SessionEnded):
        await session.reload()
    await session.save()
    assert len(store) == 0


async def test_reloading_a_deleted_session_says_so(store: Failing) -> None:
    session = await begun(store, a=1)
    await store.delete(ID)
    with pytest.raises(SessionEnded) as caught:
        await session.reload()
    assert str(caught.value) == "session_ended: The session has ended."
    assert session == {}


async def test_a_session_that_was_not_begun_before_the_answer_cannot_begin_after_it(
    store: Failing,
) -> None:
    session = StoredSession(store, 60)
    session.lock()
    writes: list[Callable[[], None]] = [lambda: session.update(a=1), session.clear, session.renew]
    for write in writes:
        with pytest.raises(SessionError, match="begin it in conn, before accept, or in an HTTP"):
            write()
    assert session.is_locked


# --- renewal --------------------------------------------------------------------------------------


async def test_renewing_moves_the_values_to_a_new_id_and_the_old_one_is_gone(
    store: Failing,
) -> None:
    session, other = await begun(store, cart=[1]), await opened(store)
    other["theme"] = "dark"
    await other.save()
    session["user"] = "ada"
    session.renew()
    await session.save()
    assert session.id not in ("", ID)
    assert session.ids == {ID, session.id}
    assert await held(store) is None
    assert await held(store, session.id) == {"cart": [1], "theme": "dark", "user": "ada"}


async def test_a_socket_with_the_old_id_has_lost_its_session(store: Failing) -> None:
    session, socket = await begun(store, a=1), await opened(store)
    socket.lock()
    session.renew()
    await session.save()
    socket["a"] = 2
    with pytest.raises(SessionEnded):
        await socket.save()
    assert await held(store, session.id) == {"a": 1}


async def test_renewing_a_session_that_was_deleted_begins_one_with_what_was_written(
    store: Failing,
) -> None:
    session = await begun(store, user="eve", cart=[1])
    session["user"] = "ada"
    session.renew()
    await store.delete(ID)
    await session.save()
    assert (session, await held(store, session.id)) == ({"user": "ada"}, {"user": "ada"})


async def test_after_the_answer_renewing_is_refused_and_the_session_goes_on(
    store: Failing,
) -> None:
    session = await begun(store, a=1)
    session.lock()
    with pytest.raises(SessionError, match="cannot be renewed any more: its id travels in"):
        session.renew()
    session["a"] = 2
    await session.save()
    assert await held(store) == {"a": 2}


async def test_renewing_a_new_session_needs_nothing(store: Failing) -> None:
    session = StoredSession(store, 60)
    session.renew()
    session["a"] = 1
    await session.save()
    assert await held(store, session.id) == {"a": 1}
