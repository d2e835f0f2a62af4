"""The `Forwarded` header (RFC 7239): what each proxy says about whoever spoke to it. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

__all__ = ["Hop", "read_forwarded"]

_MAX_READ: Final = 8192
_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED: Final = r'"((?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[\t\x20-\x7e])*)"'
_PAIR: Final = re.compile(rf"[ \t]*({_TOKEN})=(?:({_TOKEN})|{_QUOTED})[ \t]*")
_BLANK: Final = re.compile(r"[ \t]*")
_ESCAPED: Final = re.compile(r"\\(.)")


class Hop(NamedTuple):
    """What one proxy says; "" where it says nothing."""

    node: str = ""
    """`for`: the peer's address, perhaps with its port, or a name that hides it."""
    proto: str = ""
    host: str = ""


def read_forwarded(lines: Sequence[str]) -> list[Hop]:
    """Return the elements of all lines of the header, in order. Never raises.

    A line that cannot be read is one element that says nothing, and so is an element that says
    something twice: what stands there may be somebody else's. Lines before the last 8 KiB are not
    read.
    """
    hops: list[Hop] = []
    room = _MAX_READ
    for line in reversed(lines):
        room -= len(line)
        if room < 0:
            break
        hops = [*_read_line(line), *hops]
    return hops


def _read_line(line: str) -> list[Hop]:
    hops: list[Hop] = []
    pairs: list[re.Match[str]] = []
    at = 0
    while at < len(line):
        match = _PAIR.match(line, at) or _BLANK.match(line, at)
        assert match is not None
        if match.re is _PAIR:
            pairs.append(match)
        at = match.end() + 1
        separator = line[match.end() : at]
        if separator not in ("", ",", ";"):
            return [Hop()]
        if separator != ";" and pairs:
            hops.append(_read_hop(pairs))
            pairs = []
    return [*hops, _read_hop(pairs)] if pairs else hops


def _read_hop(pairs: list[re.Match[str]]) -> Hop:
    said = {pair[1].lower(): _value(pair) for pair in pairs}
    if len(said) < len(pairs):
        return Hop()
    return Hop(said.get("for", ""), said.get("proto", ""), said.get("host", ""))


def _value(pair: re.Match[str]) -> str:
    return pair[2] if pair[2] is not None else _ESCAPED.sub(r"\1", pair[3])
