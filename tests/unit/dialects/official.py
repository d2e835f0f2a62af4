"""Centrifugo's messages as the official Protobuf library reads and writes them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from centrifuge.codecs import _varint_decode, _varint_encode
from centrifuge.protocol import client_pb2
from google.protobuf.unknown_fields import UnknownFieldSet

__all__ = ["client_pb2", "command", "frame_of", "frame_of_bytes", "in_words", "replies"]

_DATA = ("data", "conn_info", "chan_info")
"""Fields with JSON in them."""


def command(said: dict[str, Any]) -> bytes:
    """Return a command, said as in JSON, with its size before it."""
    return frame_of(_filled(client_pb2.Command(), said))


def frame_of(message: Any) -> bytes:
    """Return a message with its size before it."""
    return frame_of_bytes(message.SerializeToString())


def frame_of_bytes(data: bytes) -> bytes:
    """Return the bytes of a message with their size before them."""
    return bytes(_varint_encode(len(data))) + data


def replies(frame: bytes) -> list[Any]:
    """Return the replies in a frame, as they are said in JSON; zeros and empty texts are absent."""
    return [in_words(each) for each in _messages(frame)]


def _messages(frame: bytes) -> Iterator[Any]:
    place = 0
    while place < len(frame):
        size, place = _varint_decode(frame, place)
        message = client_pb2.Reply()
        assert message.ParseFromString(frame[place : place + size]) == size
        assert len(UnknownFieldSet(message)) == 0
        place += size
        yield message


def in_words(message: Any) -> Any:
    """Return a message as it is said in JSON."""
    return {field.name: _value(field, value) for field, value in message.ListFields()}


def _value(field: Any, value: Any) -> Any:
    if field.name in _DATA and field.type == field.TYPE_BYTES:
        return json.loads(value)
    if field.message_type is None:
        return value
    if field.message_type.GetOptions().map_entry:
        return {
            key: each if isinstance(each, str) else in_words(each) for key, each in value.items()
        }
    if field.is_repeated:
        return [in_words(each) for each in value]
    return in_words(value)


def _filled(message: Any, said: dict[str, Any]) -> Any:
    """Put what is said in JSON into a message; words that it does not have are left out."""
    for field in message.DESCRIPTOR.fields:
        if said.get(field.name) is None and not (field.name == "data" and field.name in said):
            continue
        value = said[field.name]
        if field.type == field.TYPE_BYTES:
            setattr(message, field.name, json.dumps(value).encode())
        elif field.message_type is None:
            setattr(message, field.name, value)
        elif field.message_type.GetOptions().map_entry:
            for key, each in value.items():
                _put(getattr(message, field.name), key, each)
        else:
            inner = getattr(message, field.name)
            inner.SetInParent()
            _filled(inner, value)
    return message


def _put(table: Any, key: str, value: Any) -> None:
    if isinstance(value, str):
        table[key] = value
    else:
        _filled(table[key], value)
