"""Who a function gets as its user: somebody, where its annotation says so."""

from __future__ import annotations

import inspect
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from ..binding.plan import Context, Getter
from ..errors import Reject

__all__ = ["user", "user_as"]


def user(context: Context) -> Any:
    """Return the user of a connection; None: nobody."""
    return context.connection.user


def user_as(hint: Any) -> Getter:
    """Return what reads the user for a parameter with this annotation.

    It raises `Reject`: "not_authenticated" for nobody, unless the annotation has None, and
    "forbidden" for a user of another type.
    """
    members = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if any(each in (Any, object, inspect.Parameter.empty) for each in members):
        return user
    kinds = tuple(get_origin(each) or each for each in members if _is_checkable(each))
    may_be_nobody = NoneType in members or None in members

    def get(context: Context) -> Any:
        found = context.connection.user
        if found is None and not may_be_nobody:
            raise Reject("not_authenticated", "this is for users")
        if found is not None and kinds and not isinstance(found, kinds):
            raise Reject("forbidden", "You may not do this.")
        return found

    return get


def _is_checkable(hint: Any) -> bool:
    try:
        isinstance(None, get_origin(hint) or hint)
    except TypeError:
        return False
    return hint is not None
