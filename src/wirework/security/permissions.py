"""What a route or an event asks of the peer: `requires=`."""

from __future__ import annotations

from collections.abc import Callable, Collection
from inspect import isawaitable, iscoroutine, iscoroutinefunction
from typing import Any, TypeAlias

from ..errors import RegistrationError
from .identity import Identity

__all__ = ["Requirement", "Requires", "check", "requirement_of"]

Requires: TypeAlias = str | Collection[str] | Callable[[Any], bool]
"""What `requires=` takes: a permission, several that are all needed, or a function of the user."""

Requirement: TypeAlias = frozenset[str] | Callable[[Any], bool]
"""What it becomes at registration."""

_REMEDY = "write requires='orders:write', a list of such names, or a def that takes the user"


def requirement_of(requires: object, where: str) -> Requirement | None:
    """Return what is given as `requires=` in its one form; None: nothing is required.

    Raises:
        RegistrationError: it is none of the three, or could never be met, or always.
    """
    if requires is None:
        return None
    if isinstance(requires, str):
        return frozenset({_name(requires, where)})
    if isinstance(requires, Collection) and not isinstance(requires, bytes):
        return _names(requires, where)
    if not callable(requires) or isinstance(requires, type):
        raise RegistrationError(where, f"requires: expected a name, got {requires!r}", _REMEDY)
    if iscoroutinefunction(requires) or iscoroutinefunction(type(requires).__call__):
        raise RegistrationError(
            where,
            "requires: expected a def, got an async def",
            "have verify look it up, and return Identity(user, permissions=...)",
        )
    return requires


def check(requires: Requires | Requirement | None, identity: Identity[Any] | None) -> bool:
    """Whether the peer meets the requirement; one without an identity meets only none at all.

    Names are compared exactly. Whatever is not a clear yes is a no.

    Raises:
        TypeError: the function returned an awaitable, which would pass for a yes.
    """
    if requires is None:
        return True
    if identity is None or identity.user is None:
        return False
    if isinstance(requires, str):
        return requires in identity.permissions
    if not isinstance(requires, Collection):
        return _ask(requires, identity.user)
    return bool(requires) and all(name in identity.permissions for name in requires)


def _ask(function: Callable[[Any], Any], user: Any) -> bool:
    answer = function(user)
    if isawaitable(answer):
        if iscoroutine(answer):
            answer.close()
        raise TypeError(f"requires: expected a bool from {function!r}, got an awaitable")
    return bool(answer)


def _names(names: Collection[Any], where: str) -> frozenset[str]:
    if not names:
        raise RegistrationError(
            where, "requires: expected names, got an empty collection", "leave it out"
        )
    return frozenset(_name(name, where) for name in names)


def _name(name: object, where: str) -> str:
    if not isinstance(name, str) or not name:
        raise RegistrationError(where, f"requires: expected a name, got {name!r}", _REMEDY)
    if name != "".join(name.split()):
        raise RegistrationError(
            where, f"requires: expected a name without spaces, got {name!r}", _REMEDY
        )
    return name
