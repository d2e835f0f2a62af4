"""Tokens that let a client subscribe, signed by whoever may say so."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..errors import Reject
from ..publications import Member
from ..security.credentials import BadCredentials, ExpiredCredentials
from ..security.jwt import Jwt

__all__ = ["Admission", "admission"]

_REFUSED = "You may not do this."


class Admission(NamedTuple):
    """What a good token says.

    Args:
        expires_at: Unix time from which on it is not good any more; None: never.
        info: what others see of the client; any JSON.
    """

    expires_at: float | None
    info: Any


async def admission(judge: Jwt, token: str, channel: str, member: Member) -> Admission:
    """Return what `token` says, if it is for exactly this channel and this user.

    Its claim `channel` is the channel's name, and `sub` the user, "" or none for nobody in
    particular, as in Centrifugo's tokens.

    Raises:
        Reject: "forbidden"; "expired" where it was good once.
    """
    try:
        claims = await judge.claims(token)
    except ExpiredCredentials:
        raise Reject("expired", "the token has expired") from None
    except BadCredentials:
        raise Reject("forbidden", _REFUSED) from None
    if claims.get("channel") != channel or claims.get("sub", "") != member.user:
        raise Reject("forbidden", _REFUSED)
    return Admission(judge.expiry_of(claims), claims.get("info"))
