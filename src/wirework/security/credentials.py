"""What a peer shows to say who it is: how it is checked before anybody looks into it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeVar

from ..errors import Reject
from .identity import Identity

__all__ = [
    "MAX_CREDENTIAL",
    "BadCredentials",
    "ExpiredCredentials",
    "NobodysCredentials",
    "only_one",
    "sound",
]

MAX_CREDENTIAL: Final = 8 * 1024
"""Characters of the longest credential that is looked at."""

_T = TypeVar("_T")


class BadCredentials(Reject):
    """Raised where credentials came that are not good; the peer is told no more than that.

    A `verify` may raise it, too: `raise BadCredentials("the account is locked")`.

    Args:
        reason: for the log, in words; it must never hold the credential or a part of it.
    """

    def __init__(self, reason: str) -> None:
        super().__init__("not_authenticated", "Could not validate credentials.")
        self.reason = reason


class ExpiredCredentials(BadCredentials):
    """Raised for credentials that were good: a client that can get newer ones may come back."""


class NobodysCredentials(BadCredentials):
    """Raised for credentials that are good, and name no user; `optional=True` lets them in.

    Args:
        reason: as for `BadCredentials`.
        identity: what they say, with None as the user.
    """

    def __init__(self, reason: str, identity: Identity[None]) -> None:
        super().__init__(reason)
        self.identity = identity


def sound(value: _T, source: str) -> _T:
    """Return a credential that may be looked into; what is no text is not judged.

    Raises:
        BadCredentials: it is empty, or longer than `MAX_CREDENTIAL`.
    """
    if isinstance(value, str) and not value:
        raise BadCredentials(f"{source}: it is empty")
    if isinstance(value, str) and len(value) > MAX_CREDENTIAL:
        raise BadCredentials(
            f"{source}: expected at most {MAX_CREDENTIAL} characters, got {len(value)}"
        )
    return value


def only_one(values: Sequence[Any], source: str) -> Any:
    """Return the only one of `values`, None where there is none.

    Raises:
        BadCredentials: there are several, of which another reader might choose another.
    """
    if len(values) > 1:
        raise BadCredentials(f"{source}: expected one, got {len(values)}")
    return values[0] if values else None
