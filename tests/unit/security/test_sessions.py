from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wirework.errors import SessionError
from wirework.security.sessions import Session


def assign(session: Session) -> None:
    session["a"] = 2


def delete(session: Session) -> None:
    del session["a"]


def merge(session: Session) -> None:
    session |= {"b": 2}


WRITES: list[tuple[Callable[[Session], object], dict[str, Any]]] = [
    (assign, {"a": 2}),
    (delete, {}),
    (merge, {"a": 1, "b": 2}),
    (lambda session: session.clear(), {}),
    (lambda session: session.pop("a"), {}),
    (lambda session: session.popitem(), {}),
    (lambda session: session.setdefault("b", 2), {"a": 1, "b": 2}),
    (lambda session: session.setdefault("b"), {"a": 1, "b": None}),
    (lambda session: session.update({"b": 2}, c=3), {"a": 1, "b": 2, "c": 3}),
    (lambda session: session.update([("b", 2)]), {"a": 1, "b": 2}),
]


@pytest.mark.parametrize(("write", "after"), WRITES)
def test_every_write_is_noticed(write: Callable[[Session], object], after: dict[str, Any]) -> None:
    session = Session({"a": 1})
    write(session)
    assert session == after
    assert session.modified
    assert session.accessed


@pytest.mark.parametrize(("write", "after"), WRITES)
def test_no_write_passes_after_the_handshakes_answer(
    write: Callable[[Session], object], after: dict[str, Any]
) -> None:
    session = Session({"a": 1})
    session.lock()
    assert session.is_locked
    with pytest.raises(SessionError) as caught:
        write(session)
    assert session == {"a": 1}
    assert not session.modified
    assert "its cookie travelled with the handshake's answer" in str(caught.value)
    assert "write it in conn, before accept, or in an HTTP route" in str(caught.value)


def test_the_error_after_the_answer_does_not_depend_on_what_the_session_holds() -> None:
    session = Session({"a": 1})
    session.lock()
    with pytest.raises(SessionError):
        session.pop("absent", None)
    with pytest.raises(SessionError):
        session.setdefault("a", 1)
    with pytest.raises(SessionError):
        session.mark_modified()


def test_every_method_of_dict_that_writes_is_watched() -> None:
    public = {name for name in dir(dict) if not name.startswith("__")}
    writing = public - {"copy", "fromkeys", "get", "items", "keys", "values"}
    assert writing | {"__setitem__", "__delitem__", "__ior__"} <= set(vars(Session))


def test_reading_is_not_writing_and_stays_fine() -> None:
    session = Session({"a": 1})
    session.lock()
    session.mark_accessed()
    assert session["a"] == 1
    assert session.get("b") is None
    assert "a" in session
    assert list(session.items()) == [("a", 1)]
    assert session | {"b": 2} == {"a": 1, "b": 2}
    assert session.accessed
    assert not session.modified


def test_what_changes_nothing_is_not_a_write() -> None:
    session = Session({"a": 1})
    assert session.pop("absent", 5) == 5
    assert session.setdefault("a", 5) == 1
    with pytest.raises(KeyError):
        session.pop("absent")
    assert not session.modified


@given(
    st.dictionaries(st.text(max_size=3), st.integers()),
    st.lists(
        st.tuples(st.sampled_from(["set", "del", "pop", "default"]), st.text(max_size=2)),
        max_size=10,
    ),
)
def test_a_session_behaves_as_a_dict_and_notices_every_change(
    start: dict[str, int], steps: list[tuple[str, str]]
) -> None:
    session, plain = Session(start), dict(start)
    for step, key in steps:
        if step == "set":
            session[key] = plain[key] = 1
        elif step == "pop":
            assert session.pop(key, None) == plain.pop(key, None)
        elif step == "default":
            assert session.setdefault(key, 2) == plain.setdefault(key, 2)
        elif key in plain:
            del session[key], plain[key]
    assert session == plain
    assert session.modified or session == start
