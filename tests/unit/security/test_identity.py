from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from wirework.security.auth import AnyOf
from wirework.security.identity import Identity, identity_of, user_type
from wirework.security.sources import (
    Bearer,
    Ticket,
)


def verify(token: str) -> str | None:
    return token


class Callback:
    def __call__(self, token: str) -> str:
        return token


async def _later(user: object) -> list[str]:
    return []


@pytest.mark.parametrize("result", [None, False, Identity(None), Identity(False)], ids=repr)
def test_verify_refuses_with_none_and_with_false(result: object) -> None:
    assert identity_of(result) is None


@pytest.mark.parametrize("user", ["ada", 0, "", True, {"id": 1}], ids=repr)
def test_anything_else_is_the_user(user: object) -> None:
    assert identity_of(user) == Identity(user)


def test_an_identity_is_taken_as_it_is() -> None:
    identity = Identity("ada", 5, ["b", "a", "b"])
    assert identity_of(identity) is identity
    assert identity.permissions == {"a", "b"}


def test_a_coroutine_is_no_user() -> None:
    with pytest.raises(TypeError, match="expected a user; write an async def"):
        identity_of(_later("ada"))


@pytest.mark.parametrize(("now", "is_over"), [(4.9, False), (5.0, True), (6.0, True)])
def test_an_identity_ends_at_its_time(now: float, is_over: bool) -> None:
    assert Identity("ada", 5).is_expired(now) is is_over
    assert not Identity("ada").is_expired(now)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("ada", "tomorrow"), "expires_at: expected Unix time or None, got str"),
        (("ada", True), "expires_at: expected Unix time or None, got bool"),
        (("ada", float("inf")), "expires_at: expected Unix time or None, got inf"),
        (("ada", float("nan")), "expires_at: expected Unix time or None, got nan"),
        (("ada", 10**400), "expires_at: expected Unix time or None, got inf"),
        (("ada", None, "admin"), "permissions: expected a collection of str, got str"),
        (("ada", None, 5), "permissions: expected a collection of str, got int"),
        (("ada", None, ["a", 5]), "permissions: expected a collection of str, got int in it"),
    ],
    ids=["text", "bool", "inf", "nan", "huge", "str", "int", "list"],
)
def test_an_identity_that_means_nothing_is_refused(arguments: tuple[Any, ...], said: str) -> None:
    with pytest.raises((TypeError, ValueError), match=said):
        Identity(*arguments)


def test_permissions_of_the_user_are_added_to_those_of_the_identity() -> None:
    source = Bearer(verify, permissions=lambda user: [f"{user}:write"])
    assert source.identify("ada") == Identity("ada", None, ["ada:write"])
    assert source.identify(Identity("ada", 5, ["x"])) == Identity("ada", 5, ["x", "ada:write"])
    assert source.identify(None) is None


def test_a_str_for_the_permissions_does_not_fall_apart_into_letters() -> None:
    with pytest.raises(TypeError, match="expected a collection of str, got str"):
        Bearer(verify, permissions=lambda user: "rw").identify("ada")


class User: ...


def plain(token: str) -> User: ...  # type: ignore[empty-body]
async def maybe(token: str) -> User | None: ...
def full(token: str) -> Identity[User]: ...  # type: ignore[empty-body]
def full_or_none(token: str) -> Identity[User] | None: ...
def listed(token: str) -> dict[str, int]: ...  # type: ignore[empty-body]
def bare(token: str) -> Identity: ...  # type: ignore[type-arg,empty-body]
def several(token: str) -> User | str: ...  # type: ignore[empty-body]
def anything(token: str) -> Any: ...
def silent(token): ...  # type: ignore[no-untyped-def]


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (plain, User),
        (maybe, User),
        (full, User),
        (full_or_none, User),
        (listed, dict),
        (bare, object),
        (several, object),
        (anything, object),
        (silent, object),
        (Callback(), str),
    ],
    ids=[
        *("plain", "maybe", "full", "full_or_none", "listed", "bare", "several", "anything"),
        *("silent", "object"),
    ],
)
def test_the_type_of_users_is_read_from_verify(function: Callable[..., Any], kind: type) -> None:
    assert user_type(function) is kind


def test_what_it_is_made_of_can_be_read() -> None:
    assert repr(AnyOf(Bearer(verify), Ticket())) == "AnyOf(Bearer(verify), Ticket())"
