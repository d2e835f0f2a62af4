"""What workers tell each other outside of channels."""

from __future__ import annotations

import logging
from typing import Any, Final

import msgspec

__all__ = ["Disconnected", "Expelled", "Notice", "Posted", "Sent", "notice_of", "packed_notice"]

logger = logging.getLogger("wirework")


class Sent(msgspec.Struct, tag="sent", frozen=True):
    """A message for every connection of a user."""

    user: str
    name: str
    data: bytes
    is_html: bool = False


class Expelled(msgspec.Struct, tag="expelled", frozen=True):
    """The subscriptions of a user (None: of everybody) to a channel end."""

    channel: str
    user: str | None
    code: str
    reason: str


class Disconnected(msgspec.Struct, tag="disconnected", frozen=True):
    """The connections of a user end."""

    user: str
    code: int
    reason: str


class Posted(msgspec.Struct, tag="posted", frozen=True):
    """A message for the mailbox `session` of one worker, which has arrived at another one."""

    session: str
    message: str | None = None
    data: bytes = b""
    """The message where it is binary: then there is no other."""


Notice = Sent | Expelled | Disconnected | Posted

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Notice).decode


def packed_notice(notice: Notice) -> bytes:
    """Return the bytes that tell other workers."""
    return _encode(notice)


def notice_of(data: bytes) -> Notice | None:
    """Return what another worker tells; None, and a line in the log, where that is unknown."""
    try:
        found: Any = _decode(data)
    except msgspec.MsgspecError as error:
        logger.warning("a worker tells what this version cannot read: %s", error)
        return None
    notice: Notice = found
    return notice
