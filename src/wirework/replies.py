"""Answers that say more than a value: a status, another name, the end of the connection."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from .errors import Close

__all__ = [
    "BadRequest",
    "Conflict",
    "Created",
    "Forbidden",
    "GatewayTimeout",
    "InternalServerError",
    "MethodNotAllowed",
    "NoContent",
    "NotFound",
    "NotImplementedStatus",
    "Ok",
    "Reply",
    "ServiceUnavailable",
    "Unauthorized",
]

_PHRASES: Final = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


class Reply:
    """Return or yield it from a handler instead of a bare value.

    Args:
        body: a value; no generator, no `Close` and no other `Reply`, which a handler returns by
            themselves.
        status: an HTTP status, 100-599. Dialects with statuses carry it (`Status`, and HTTP);
            in the others 400 and above makes the answer an error with this code, whose message
            is a `str` body and whose details are any other body.
        name: for dialects with names: called like this instead of like the message it answers.
        include: of an object, only these fields leave.
        exclude: of an object, these fields do not leave.
        then: `Close(...)`: the connection ends after this answer, which is sent when the
            dependencies of the message are released (so a commit that fails is told instead).

    Raises:
        ValueError: a status outside 100-599.
        TypeError: `then` is not a `Close`; `include` or `exclude` is one text.
    """

    __slots__ = ("body", "exclude", "include", "name", "status", "then")

    def __init__(
        self,
        body: Any = None,
        *,
        status: int | None = None,
        name: str | None = None,
        include: Collection[str] | None = None,
        exclude: Collection[str] | None = None,
        then: Close | None = None,
    ) -> None:
        if status is not None and not (isinstance(status, int) and 100 <= status <= 599):
            raise ValueError(f"reply status: expected 100-599, got {status!r}")
        if then is not None and not isinstance(then, Close):
            raise TypeError(f"reply then: expected Close(...), got {then!r}")
        for option, names in (("include", include), ("exclude", exclude)):
            if isinstance(names, str):
                raise TypeError(f"reply {option}: expected a list of names, got {names!r}")
        self.body = body
        self.status = status
        self.name = name
        self.include = include
        self.exclude = exclude
        self.then = then

    def __repr__(self) -> str:
        return f"Reply({self.body!r}, status={self.status})"

    @property
    def is_error(self) -> bool:
        """Whether its status is 400 or above."""
        return self.status is not None and self.status >= 400

    @property
    def message(self) -> str:
        """What an error says in dialects without statuses: a str body, or the status' phrase."""
        if isinstance(self.body, str):
            return self.body
        return _PHRASES.get(self.status or 0, f"status {self.status}")


def Ok(body: Any = None) -> Reply:
    """Reply with 200."""
    return Reply(body, status=200)


def Created(body: Any = None) -> Reply:
    """Reply with 201."""
    return Reply(body, status=201)


def NoContent() -> Reply:
    """Reply with 204, and without a body."""
    return Reply(None, status=204)


def BadRequest(body: Any = None) -> Reply:
    """Reply with 400."""
    return Reply(body, status=400)


def Unauthorized(body: Any = None) -> Reply:
    """Reply with 401."""
    return Reply(body, status=401)


def Forbidden(body: Any = None) -> Reply:
    """Reply with 403."""
    return Reply(body, status=403)


def NotFound(body: Any = None) -> Reply:
    """Reply with 404."""
    return Reply(body, status=404)


def MethodNotAllowed(body: Any = None) -> Reply:
    """Reply with 405."""
    return Reply(body, status=405)


def Conflict(body: Any = None) -> Reply:
    """Reply with 409."""
    return Reply(body, status=409)


def InternalServerError(body: Any = None) -> Reply:
    """Reply with 500."""
    return Reply(body, status=500)


def NotImplementedStatus(body: Any = None) -> Reply:
    """Reply with 501 (`NotImplemented` is Python's own)."""
    return Reply(body, status=501)


def ServiceUnavailable(body: Any = None) -> Reply:
    """Reply with 503."""
    return Reply(body, status=503)


def GatewayTimeout(body: Any = None) -> Reply:
    """Reply with 504."""
    return Reply(body, status=504)
