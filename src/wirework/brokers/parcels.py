"""What workers send each other: MessagePack with a version, for brokers that carry bytes."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from .base import Member, Message, Publication

__all__ = ["Joined", "Left", "UnreadableParcel", "kept", "packed", "unkept", "unpacked"]

VERSION: Final = 1
"""The first byte; a receiver that does not know it drops the parcel and counts it."""
_HEAD: Final = bytes([VERSION])


class UnreadableParcel(Exception):
    """Bytes that no worker of this version has sent."""


class Joined(msgspec.Struct, array_like=True, tag="j", frozen=True):
    """A member has come."""

    member: Member
    version: int


class Left(msgspec.Struct, array_like=True, tag="l", frozen=True):
    """A member has gone."""

    member: Member
    version: int


class _Said(msgspec.Struct, array_like=True, tag="p", frozen=True):
    epoch: str
    offset: int
    kept: msgspec.Raw
    """The message as it is kept: packed once, also where a script adds epoch and offset."""


class _By(msgspec.Struct, array_like=True, frozen=True):
    connection: str
    user: str
    info: bytes | None
    about: bytes | None = None


class _Kept(msgspec.Struct, array_like=True, frozen=True):
    data: bytes
    key: str = ""
    by: _By | None = None
    exclude: tuple[str, ...] = ()
    at: int = 0
    is_html: bool = False


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Joined | Left | _Said).decode
_decode_kept: Final = msgspec.msgpack.Decoder(_Kept).decode


def kept(message: Message) -> bytes:
    """Return the bytes of a message, as history keeps them and parcels carry them."""
    by = message.by
    sender = None if by is None else _By(by.connection, by.user, by.info, by.about)
    exclude = tuple(message.exclude)
    return _encode(_Kept(message.data, message.key, sender, exclude, message.at, message.is_html))


def unkept(data: bytes) -> Message:
    """Return the message that `kept` made these bytes of.

    Raises:
        UnreadableParcel: it did not.
    """
    try:
        found = _decode_kept(data)
    except msgspec.MsgspecError as error:
        raise UnreadableParcel(str(error)) from None
    by = None if found.by is None else Member(*msgspec.structs.astuple(found.by))
    return Message(found.data, found.key, by, found.exclude, found.at, found.is_html)


def packed(item: Publication | Joined | Left) -> bytes:
    """Return the parcel that tells `item`; a publication's without its channel."""
    if isinstance(item, Publication):
        raw = msgspec.Raw(kept(item.message))
        return _HEAD + _encode(_Said(item.epoch, item.offset, raw))
    return _HEAD + _encode(item)


def unpacked(channel: str, parcel: bytes) -> Publication | Joined | Left:
    """Return what a parcel tells.

    Raises:
        UnreadableParcel: it is of another version, or no parcel at all.
    """
    if parcel[:1] != _HEAD:
        raise UnreadableParcel(f"expected version {VERSION}, got {parcel[:1]!r}")
    try:
        item: Any = _decode(memoryview(parcel)[1:])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise UnreadableParcel(str(error)) from None
    if isinstance(item, _Said):
        return Publication(channel, unkept(bytes(item.kept)), item.epoch, item.offset)
    found: Joined | Left = item
    return found
