"""The one table of close codes: names, meanings, and which of them a program may send.

Sources: RFC 6455 section 7.4 and the registry it created (1000-1015, 3000-3999);
44xx are ours, chosen so that clients that read them (HTMX, Centrifugo) stop, while
they come back after 1011-1013.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "ABNORMAL",
    "EXPIRED_REASON",
    "FORBIDDEN",
    "GOING_AWAY",
    "INTERNAL_ERROR",
    "INVALID_DATA",
    "MALFORMED",
    "MAX_REASON_BYTES",
    "MESSAGE_TOO_BIG",
    "MEANINGS",
    "NORMAL",
    "NOT_AUTHENTICATED",
    "NOT_FOUND",
    "NO_STATUS",
    "OVERLOADED",
    "POLICY",
    "PROTOCOL_ERROR",
    "REPLACED",
    "RESTARTING",
    "TIMED_OUT",
    "TOO_MANY_MESSAGES",
    "WRONG_KIND",
    "check_close",
    "http_status",
    "is_sendable",
    "shorten_reason",
]

NORMAL: Final = 1000
GOING_AWAY: Final = 1001
PROTOCOL_ERROR: Final = 1002
WRONG_KIND: Final = 1003
NO_STATUS: Final = 1005
ABNORMAL: Final = 1006
INVALID_DATA: Final = 1007
POLICY: Final = 1008
MESSAGE_TOO_BIG: Final = 1009
INTERNAL_ERROR: Final = 1011
RESTARTING: Final = 1012
OVERLOADED: Final = 1013
MALFORMED: Final = 4400
NOT_AUTHENTICATED: Final = 4401
FORBIDDEN: Final = 4403
NOT_FOUND: Final = 4404
TIMED_OUT: Final = 4408
REPLACED: Final = 4409
TOO_MANY_MESSAGES: Final = 4429

EXPIRED_REASON: Final = "the credentials have expired"
"""With `NOT_AUTHENTICATED`: newer ones may do."""

MEANINGS: Final[dict[int, str]] = {
    NORMAL: "done",
    GOING_AWAY: "going away",
    PROTOCOL_ERROR: "protocol error",
    WRONG_KIND: "wrong kind of frame",
    NO_STATUS: "closed without a code",
    ABNORMAL: "connection lost",
    INVALID_DATA: "not UTF-8 or not decodable",
    POLICY: "policy",
    MESSAGE_TOO_BIG: "message too big",
    INTERNAL_ERROR: "internal error",
    RESTARTING: "restarting",
    OVERLOADED: "overloaded",
    MALFORMED: "malformed message",
    NOT_AUTHENTICATED: "not authenticated",
    FORBIDDEN: "forbidden",
    NOT_FOUND: "no such endpoint",
    TIMED_OUT: "timed out",
    REPLACED: "replaced",
    TOO_MANY_MESSAGES: "too many messages",
}

MAX_REASON_BYTES: Final = 123
"""A control frame carries 125 bytes, two of them the code (RFC 6455 section 5.5)."""

_STATUSES: Final[dict[int, int]] = {
    INTERNAL_ERROR: 500,
    RESTARTING: 503,
    OVERLOADED: 503,
    MESSAGE_TOO_BIG: 413,
    MALFORMED: 400,
    NOT_AUTHENTICATED: 401,
    NOT_FOUND: 404,
    TIMED_OUT: 408,
    REPLACED: 409,
    TOO_MANY_MESSAGES: 429,
}


def is_sendable(code: int) -> bool:
    """Whether an endpoint may put `code` into a close frame (RFC 6455 section 7.4)."""
    return code in (1000, 1001, 1003) or 1007 <= code <= 1014 or 3000 <= code <= 4999


def check_close(code: int, reason: str) -> None:
    """Raise where the program gives a close code or reason that no close frame can carry.

    Raises:
        TypeError: the code is not an int, or the reason is not a str.
        ValueError: the code is not sendable, or the reason is over 123 bytes in UTF-8.
    """
    if not isinstance(code, int) or isinstance(code, bool):
        raise TypeError(f"close code: expected an int, got {code!r}")
    if not is_sendable(code):
        raise ValueError(
            f"close code: expected 1000, 1001, 1003, 1007-1014 or 3000-4999, got {code}"
        )
    if not isinstance(reason, str):
        raise TypeError(f"close reason: expected a str, got {reason!r}")
    size = len(reason.encode())
    if size > MAX_REASON_BYTES:
        raise ValueError(
            f"close reason: expected at most {MAX_REASON_BYTES} bytes in UTF-8, got {size}"
        )


def shorten_reason(reason: str) -> str:
    """Cut `reason` to at most 123 bytes of UTF-8, never inside a character."""
    return reason.encode(errors="replace")[:MAX_REASON_BYTES].decode(errors="ignore")


def http_status(code: int) -> int:
    """Return the HTTP status that says the same as `code` before the handshake is answered."""
    return _STATUSES.get(code, 403)
