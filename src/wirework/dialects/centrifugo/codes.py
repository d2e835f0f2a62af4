"""The codes of the protocol, and ours."""

from __future__ import annotations

from typing import Final

from ... import closecodes

__all__ = ["CLOSES", "ERRORS", "OWN_ERROR", "UNSUBSCRIBED"]

CLOSES: Final = {
    closecodes.NORMAL: 3503,
    closecodes.GOING_AWAY: 3001,
    closecodes.WRONG_KIND: 3501,
    closecodes.INVALID_DATA: 3501,
    closecodes.POLICY: 3501,
    closecodes.INTERNAL_ERROR: 3004,
    closecodes.RESTARTING: 3001,
    closecodes.OVERLOADED: 3008,
    closecodes.MALFORMED: 3501,
    closecodes.NOT_AUTHENTICATED: 3500,
    closecodes.FORBIDDEN: 3507,
    closecodes.NOT_FOUND: 3508,
    closecodes.TIMED_OUT: 3502,
    closecodes.REPLACED: 3503,
    closecodes.TOO_MANY_MESSAGES: 3013,
}
"""Ours -> the protocol's disconnect codes."""

ERRORS: Final[dict[str | int, tuple[int, bool]]] = {
    "internal": (100, True),
    "timed_out": (100, True),
    "unavailable": (100, True),
    "not_authenticated": (101, False),
    "authenticated": (101, False),
    "unknown_channel": (102, False),
    "forbidden": (103, False),
    "not_found": (104, False),
    "subscribed": (105, False),
    "too_many_channels": (106, False),
    "full": (106, False),
    "validation": (107, False),
    "malformed": (107, False),
    "wrong_frame": (107, False),
    "bad_channel": (107, False),
    "not_subscribed": (103, False),
    "not_ready": (107, False),
    "no_history": (108, False),
    "no_presence": (108, False),
    "expired": (109, False),
    "rate_limited": (111, True),
    "unrecoverable": (112, False),
}
"""Our words -> the protocol's error codes, and whether to try again."""
OWN_ERROR: Final = 400
"""The code of an application's own errors, whose words are in the message."""

UNSUBSCRIBED: Final = {"unsubscribed": 2000, "expelled": 2000, "expired": 2501, "gap": 2500}
"""Why the server ends a subscription; from 2500 on clients subscribe anew."""
