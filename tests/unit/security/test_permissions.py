from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wirework.errors import RegistrationError
from wirework.security.identity import Identity
from wirework.security.permissions import check, requirement_of

ADA = Identity("ada", permissions=["orders:read", "orders:write"])
BOB = Identity("bob", permissions=["orders:read"])


def is_ada(user: str) -> bool:
    return user == "ada"


@pytest.mark.parametrize(
    ("requires", "ada", "bob"),
    [
        (None, True, True),
        ("orders:read", True, True),
        ("orders:write", True, False),
        (["orders:read", "orders:write"], True, False),
        ({"orders:read"}, True, True),
        (("orders:read", "admin"), False, False),
        (is_ada, True, False),
        (lambda user: user, True, True),
        (lambda user: None, False, False),
    ],
    ids=["none", "read", "write", "both", "set", "admin", "function", "truthy", "nothing"],
)
def test_a_requirement_is_met_by_who_has_all_of_it(requires: Any, ada: bool, bob: bool) -> None:
    required = requirement_of(requires, "ws('/orders')")
    assert (check(required, ADA), check(required, BOB)) == (ada, bob)
    assert (check(requires, ADA), check(requires, BOB)) == (ada, bob)


@pytest.mark.parametrize("requires", ["orders:read", ["orders:read"], lambda user: True])
@pytest.mark.parametrize("identity", [None, Identity(None, permissions=["orders:read"])], ids=repr)
def test_somebody_without_a_name_meets_no_requirement(requires: Any, identity: Any) -> None:
    assert check(requirement_of(requires, "here"), identity) is False
    assert check(None, identity) is True


def test_a_function_is_not_asked_about_nobody() -> None:
    asked: list[object] = []

    def ask(user: object) -> bool:
        asked.append(user)
        return True

    assert (check(ask, None), asked) == (False, [])
    assert (check(ask, ADA), asked) == (True, ["ada"])


@pytest.mark.parametrize(
    "near",
    ["Orders:read", "orders:read ", "orders:reads", "orders", "orders:*", "*", "оrders:read"],
)
def test_names_are_compared_exactly(near: str) -> None:
    assert not check("orders:read", Identity("eve", permissions=[near]))
    assert not check(near, BOB)


def test_no_names_at_all_are_never_met() -> None:
    assert check([], ADA) is False


@given(needed=st.sets(st.text(min_size=1), min_size=1), had=st.sets(st.text()))
def test_exactly_a_subset_is_enough(needed: set[str], had: set[str]) -> None:
    assert check(needed, Identity("ada", permissions=had)) is (needed <= had)


async def later(user: str) -> bool:
    return False


class Later:
    async def __call__(self, user: str) -> bool:
        return False


def hidden(user: str) -> Any:
    return later(user)


@pytest.mark.parametrize(
    ("requires", "said"),
    [
        ("", "requires: expected a name, got ''"),
        ("read write", "requires: expected a name without spaces, got 'read write'"),
        ("read\n", "requires: expected a name without spaces, got 'read"),
        ([], "requires: expected names, got an empty collection; leave it out"),
        (["a", 5], "requires: expected a name, got 5; write requires='orders:write'"),
        (["a", ""], "requires: expected a name, got ''"),
        (b"read", "requires: expected a name, got b'read'"),
        (5, "requires: expected a name, got 5"),
        (True, "requires: expected a name, got True"),
        (Later, "requires: expected a name, got <class"),
        (later, "requires: expected a def, got an async def; have verify look it up"),
        (Later(), "requires: expected a def, got an async def"),
    ],
    ids=[
        *("empty", "two", "line", "none", "number_in_list", "empty_in_list", "bytes", "number"),
        *("true", "class", "async", "async_object"),
    ],
)
def test_what_could_never_be_met_is_refused_at_registration(requires: Any, said: str) -> None:
    with pytest.raises(RegistrationError) as caught:
        requirement_of(requires, "ws('/orders'), place")
    assert str(caught.value).startswith(f"ws('/orders'), place: {said}")


def test_a_coroutine_does_not_pass_for_a_yes() -> None:
    with pytest.raises(TypeError, match=r"expected a bool from .*hidden.*, got an awaitable"):
        check(hidden, ADA)
