"""A limit to how deep JSON may be nested, in front of an adapter."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeVar, overload

from ..errors import MalformedMessage
from .base import JsonAdapter

__all__ = ["Shallow", "is_deeper", "plain"]

T = TypeVar("T")

# The closing quote may be missing: a string without an end is looked through once, and not from
# each quote in it.
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_STRING_BYTES: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_BRACKET: Final = re.compile(r"[\[{\]}]")
_BRACKET_BYTES: Final = re.compile(rb"[\[{\]}]")
_OPENING: Final = frozenset(["[", "{", b"[", b"{"])


class Shallow:
    """An adapter that does what another does, but takes no JSON that is nested more deeply.

    Args:
        json: the other one.
        depth: arrays and objects inside each other that are taken; `[]` has 1.
    """

    json: JsonAdapter
    """The other one."""

    def __init__(self, json: JsonAdapter, depth: int) -> None:
        self.name = json.name
        self.encode = json.encode
        self.convert = json.convert
        self.converter = json.converter
        self.json = json
        self._depth = depth

    @overload
    def decode(self, data: bytes | str) -> Any: ...

    @overload
    def decode(self, data: bytes | str, type: type[T]) -> T: ...

    @overload
    def decode(self, data: bytes | str, type: Any) -> Any: ...

    def decode(self, data: bytes | str, type: Any = Any) -> Any:
        """Return what `data` says, as a `type`; see `JsonAdapter.decode`."""
        self._check(data)
        return self.json.decode(data, type)

    def decoder(self, type: Any) -> Callable[[bytes | str], Any]:
        """Return `decode` for one type, compiled; see `JsonAdapter.decoder`."""
        decode, check = self.json.decoder(type), self._check

        def decode_shallow(data: bytes | str) -> Any:
            check(data)
            return decode(data)

        return decode_shallow

    def _check(self, data: bytes | str) -> None:
        if len(data) > self._depth and is_deeper(data, self._depth):
            raise MalformedMessage("not readable as JSON: nested too deeply")


def plain(json: JsonAdapter) -> JsonAdapter:
    """Return the adapter without a limit, for what the server itself said."""
    return json.json if isinstance(json, Shallow) else json


def is_deeper(data: bytes | str, depth: int) -> bool:
    """Whether JSON has more arrays and objects inside each other; takes linear time."""
    if isinstance(data, str):
        if data.count("[") + data.count("{") <= depth:
            return False
        brackets = _BRACKET.findall(_STRING.sub("", data))
    else:
        if data.count(b"[") + data.count(b"{") <= depth:
            return False
        brackets = _BRACKET_BYTES.findall(_STRING_BYTES.sub(b"", data))
    level = 0
    for bracket in brackets:
        if bracket in _OPENING:
            level += 1
            if level > depth:
                return True
        else:
            level -= 1
    return False
