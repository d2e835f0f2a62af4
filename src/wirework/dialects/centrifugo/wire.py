"""Protobuf as far as the protocol needs it (protobuf.dev, "Encoding").

Messages are described by `Message`, read into objects and written from dicts. What is read passes
over fields that nobody knows, takes the last of several and joins messages that come in parts, as
all Protobuf readers do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import msgspec

from ...errors import MalformedMessage

__all__ = ["Fields", "Many", "Message", "Table", "read", "read_number", "with_size", "write"]

_VARINT, _EIGHT, _SIZED, _FOUR = 0, 1, 2, 5
"""Ways in which a value is written."""
_MAX_VARINT: Final = 10
"""Bytes of the longest number."""
_SHORT: Final = [bytes((number,)) for number in range(128)]

Plain: TypeAlias = Literal["uint", "int", "bool", "text", "bytes", "data"]
"""`data` is JSON: bytes on the wire, `msgspec.Raw` where it is read, any value to be written.

What is read is not looked at, and an empty one is none.
"""


class Message:
    """What a message has: names with their numbers and kinds.

    Args:
        fields: name -> number and kind, of messages that are read or written.
        make: makes the object of one that was read.
    """

    def __init__(self, fields: Fields, make: Callable[..., Any] = dict) -> None:
        self.make = make
        tags = {name: _tag(number, kind) for name, (number, kind) in fields.items()}
        kinds = {name: kind for name, (_, kind) in fields.items()}
        self.by_name = {name: (write_number(tag), kinds[name]) for name, tag in tags.items()}
        self.by_tag = {tag: (name, kinds[name]) for name, tag in tags.items()}
        self.inner = {
            name: kind for name, (_, kind) in fields.items() if isinstance(kind, (Message, Table))
        }


class Many(NamedTuple):
    """Any number of messages, to be written from a list."""

    of: Message


class Table(NamedTuple):
    """A map from text, to be written from a dict; one to messages can be read into one, too."""

    entry: Message

    @classmethod
    def of(cls, kind: Plain | Message) -> Table:
        """Return a map whose values are of a kind."""
        return cls(Message({"key": (1, "text"), "value": (2, kind)}))


Kind: TypeAlias = Plain | Message | Many | Table
Fields: TypeAlias = dict[str, tuple[int, Kind]]


def _tag(number: int, kind: Kind) -> int:
    return number << 3 | (_VARINT if kind in ("uint", "int", "bool") else _SIZED)


# --- reading ------------------------------------------------------------------------------------


def read(message: Message, data: bytes, start: int = 0, end: int | None = None) -> Any:
    """Return the object of the message that is in `data` from `start` to `end`.

    Raises:
        MalformedMessage: there is no such message.
    """
    found: dict[str, Any] = {}
    _collect(message, data, start, len(data) if end is None else end, found)
    return _made(message, found)


def read_number(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Return the number at a place and the place behind it.

    Raises:
        MalformedMessage: it is longer than numbers are, or goes beyond `end`.
    """
    if at < end and data[at] < 0x80:  # most are short
        return data[at], at + 1
    number = shift = 0
    for place in range(at, min(end, at + _MAX_VARINT)):
        byte = data[place]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number & 0xFFFFFFFFFFFFFFFF, place + 1
        shift += 7
    raise _unreadable("a number has no end")


def _collect(message: Message, data: bytes, at: int, end: int, found: dict[str, Any]) -> None:
    """Add the fields between two places to those that were found before."""
    while at < end:
        tag, at = read_number(data, at, end)
        known = message.by_tag.get(tag)
        if known is None:
            at = _behind(tag, data, at, end)
            continue
        name, kind = known
        number, at = read_number(data, at, end)
        if tag & 7 == _VARINT:
            found[name] = _counted(kind, number)
            continue
        if number > end - at:
            raise _unreadable("it ends too early")
        _take(name, kind, found, (data, at, at + number))
        at += number


def _take(name: str, kind: Kind, found: dict[str, Any], place: tuple[bytes, int, int]) -> None:
    """Add a field that says its size."""
    data, start, end = place
    if isinstance(kind, Message):
        _collect(kind, data, start, end, found.setdefault(name, {}))
    elif isinstance(kind, Table):
        entry: dict[str, Any] = {}
        _collect(kind.entry, data, start, end, entry)
        found.setdefault(name, {})[entry.get("key", "")] = entry.get("value", {})
    elif kind == "text":
        try:
            found[name] = data[start:end].decode()
        except UnicodeDecodeError:
            raise _unreadable(f"{name} is not UTF-8") from None
    elif kind == "bytes":
        found[name] = data[start:end]
    elif start < end:
        found[name] = msgspec.Raw(data[start:end])
    else:
        found.pop(name, None)


def _made(message: Message, found: dict[str, Any]) -> Any:
    for name, kind in message.inner.items():
        value = found.get(name)
        if value is None:
            continue
        if isinstance(kind, Message):
            found[name] = _made(kind, value)
            continue
        _, of = kind.entry.by_name["value"]
        if isinstance(of, Message):
            found[name] = {key: _made(of, each) for key, each in value.items()}
    return message.make(**found)


def _behind(tag: int, data: bytes, at: int, end: int) -> int:
    """Return the place behind a field that nobody knows."""
    if not 0 < tag >> 3 < 2**29:
        raise _unreadable(f"a field has the number {tag >> 3}")
    way = tag & 7
    if way == _VARINT:
        return read_number(data, at, end)[1]
    if way == _SIZED:
        size, at = read_number(data, at, end)
    elif way in (_EIGHT, _FOUR):
        size = 8 if way == _EIGHT else 4
    else:
        raise _unreadable(f"a field is written in the way {way}")
    if size > end - at:
        raise _unreadable("it ends too early")
    return at + size


def _counted(kind: Kind, number: int) -> int | bool:
    if kind == "bool":
        return number != 0
    if kind == "int":  # of 32 bits, whatever it was written with
        return (number + 2**31) % 2**32 - 2**31
    return number


def _unreadable(problem: str) -> MalformedMessage:
    return MalformedMessage(f"not readable as Protobuf: {problem}")


# --- writing ------------------------------------------------------------------------------------


def write(message: Message, said: Mapping[str, Any], dump: Callable[[Any], bytes]) -> bytes:
    """Return the bytes of a message; `dump` writes JSON.

    Raises:
        TypeError: a value is of another kind than its field; the text says which.
    """
    parts: list[bytes] = []
    for name, value in said.items():
        tag, kind = message.by_name[name]
        if kind == "data":
            data = bytes(value) if isinstance(value, msgspec.Raw) else dump(value)
            parts += (tag, with_size(data))
        elif value is None:
            continue
        elif isinstance(kind, Message):
            parts += (tag, with_size(write(kind, value, dump)))
        elif kind == "text":
            parts += (tag, with_size(_utf8(name, value)))
        elif isinstance(kind, Many):
            for each in value:
                parts += (tag, with_size(write(kind.of, each, dump)))
        elif isinstance(kind, Table):
            for key, each in value.items():
                entry = write(kind.entry, {"key": key, "value": each}, dump)
                parts += (tag, with_size(entry))
        else:
            parts += (tag, write_number(value))
    return b"".join(parts)


def with_size(data: bytes) -> bytes:
    """Return `data` with its size before it."""
    return write_number(len(data)) + data


def write_number(number: int) -> bytes:
    """Return the bytes of a number; those below zero are as numbers of 64 bits are."""
    if 0 <= number < 128:
        return _SHORT[number]
    number &= 0xFFFFFFFFFFFFFFFF
    found = bytearray()
    while number > 127:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def _utf8(name: str, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise TypeError(f"{name}: expected text, got half of a character in {text!r}") from None
