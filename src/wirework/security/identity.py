"""Who a peer turned out to be, until when, and what that allows."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from types import NoneType, UnionType
from typing import Any, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

__all__ = ["Identity", "identity_of", "user_key", "user_type"]

UserT = TypeVar("UserT")


@dataclass(frozen=True, slots=True)
class Identity(Generic[UserT]):
    """What `verify` may return in place of a bare user, to say more about it.

    Args:
        user: what handlers take by its type or as `user`.
        expires_at: Unix time from which on the user counts as unknown; None: never. Default None.
        permissions: names that `requires=` of routes and events asks for. Default none.
        info: any JSON that others see of the connection in channels, in dialects that have a place
            for it; None: nothing. Default None.

    Raises:
        TypeError: `permissions` is no collection of str, `expires_at` is no number.
        ValueError: `expires_at` is not finite.
    """

    user: UserT
    expires_at: float | None = None
    permissions: Collection[str] = ()
    info: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "permissions", names_of(self.permissions, "permissions"))
        if self.expires_at is not None:
            object.__setattr__(self, "expires_at", _unix_time(self.expires_at))

    def is_expired(self, now: float) -> bool:
        """Whether its time is over; `now` is Unix time."""
        return self.expires_at is not None and now >= self.expires_at

    def with_permissions(self, more: Collection[str]) -> Identity[UserT]:
        """Return the same identity with `more` permissions beside its own."""
        added = names_of(more, "permissions")
        return replace(self, permissions=frozenset(self.permissions) | added)


def identity_of(result: Any) -> Identity[Any] | None:
    """Return what the result of `verify` says; None: the peer is refused.

    None and False refuse, also as the user of an Identity: a `verify` that compares and returns a
    bool lets nobody in by mistake.

    Raises:
        TypeError: it is an awaitable, which would pass for a user.
    """
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        raise TypeError("verify returned an awaitable, expected a user; write an async def")
    identity = result if isinstance(result, Identity) else Identity(result)
    return None if identity.user is None or identity.user is False else identity


def user_key(user: Any) -> Any:
    """Return what tells users apart: their `id` where they have one, else themselves."""
    key = getattr(user, "id", user)
    try:
        hash(key)
    except TypeError:
        return repr(key)
    return key


def user_type(verify: Callable[..., Any]) -> type:
    """Return the class of the users that `verify` says it returns; `object` where it does not say.

    None aside, and in `Identity[User]` it is `User`. A callable object may say it in an attribute
    `user_type`.
    """
    told = getattr(verify, "user_type", None)
    if isinstance(told, type):
        return told
    target = verify if inspect.isroutine(verify) else type(verify).__call__
    try:
        hint = get_type_hints(target).get("return", object)
    except (NameError, TypeError):
        return object
    return _class_of(hint)


def _class_of(hint: Any) -> type:
    members = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    kinds = {_user_in(member) for member in members} - {NoneType}
    kind = kinds.pop() if len(kinds) == 1 else object
    return kind if isinstance(kind, type) else object


def _user_in(hint: Any) -> Any:
    if hint is Identity or hint is Any:
        return object
    if get_origin(hint) is Identity:
        return _class_of(get_args(hint)[0])
    return get_origin(hint) or hint


def names_of(names: object, what: str) -> frozenset[str]:
    """Return a collection of str as a set.

    Raises:
        TypeError: it is something else; a str, too, which would fall apart into letters.
    """
    if isinstance(names, str) or not isinstance(names, Collection):
        raise TypeError(f"{what}: expected a collection of str, got {type(names).__name__}")
    for name in names:
        if not isinstance(name, str):
            raise TypeError(
                f"{what}: expected a collection of str, got {type(name).__name__} in it"
            )
    return frozenset(names)


def _unix_time(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"expires_at: expected Unix time or None, got {type(value).__name__}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"expires_at: expected Unix time or None, got {number}")
    return number
