"""From the messages of a stream to a page of history: pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from ..base import Keep, Message, Page, Position, Publication
from ..parcels import Joined, Left, UnreadableParcel, packed, unpacked
from .streams import Record

__all__ = ["LOST", "PREVIOUS", "Entry", "entry_of", "mark", "page_of", "retained", "sequence_of"]

LOST: Final = b"Wirework-Lost: "
"""Header with the highest offset that was dropped without being replaced."""
PREVIOUS: Final = b"Nats-Expected-Last-Subject-Sequence: "
"""Header with the number of the message before it in the channel."""
_PREVIOUS: Final = re.compile(rb"\r\nNats-Expected-Last-Subject-Sequence: (\d{1,18})\r\n")
_LOST: Final = re.compile(rb"\r\nWirework-Lost: (\d{1,18})\r\n")
_SEQUENCE: Final = re.compile(rb"\r\nNats-Sequence: (\d{1,18})\r\n")


class Entry(NamedTuple):
    """A stored publication, or a mark: a position at which nothing was published."""

    publication: Publication
    sequence: int
    at: float
    lost: int
    previous: int
    """Number of the message before it."""

    @property
    def is_mark(self) -> bool:
        """Whether it only says where the channel stands; what was before is forgotten."""
        return not self.publication.message.data


def mark(channel: str, position: Position) -> bytes:
    """Return the parcel that says where a channel stands; no message is empty."""
    return packed(Publication(channel, Message(b""), position.epoch, position.offset))


def entry_of(channel: str, record: Record) -> Entry | None:
    """Return what a record says; None: nothing that this version understands."""
    try:
        item = unpacked(channel, record.data)
    except UnreadableParcel:
        return None
    if isinstance(item, Joined | Left):
        return None
    lost, previous = _number(_LOST, record.headers), _number(_PREVIOUS, record.headers)
    return Entry(item, record.sequence, record.at, lost, previous)


def sequence_of(headers: bytes) -> int:
    """Return the number of a republished message in its stream; 0: it is none."""
    return _number(_SEQUENCE, headers)


def _number(header: re.Pattern[bytes], headers: bytes) -> int:
    found = header.search(headers)
    return int(found[1]) if found else 0


def retained(entries: Sequence[Entry], keep: Keep, now: float) -> tuple[list[Entry], int]:
    """Return what is still told of all that is stored, and the highest offset that is lost."""
    found: list[Entry] = []
    lost = 0
    for entry in entries:
        lost = max(lost, entry.lost)
        if entry.is_mark:
            found.clear()
            lost = entry.publication.offset
        elif entry.at > now - keep.ttl:
            found.append(entry)
        else:
            lost = entry.publication.offset
    if keep.latest:
        newest = {entry.publication.message.key: entry for entry in found}
        found = sorted(newest.values(), key=lambda entry: entry.sequence)
    if len(found) > keep.size:
        lost = max(lost, found[-keep.size - 1].publication.offset)
        found = found[len(found) - keep.size :]
    elif not keep.latest and found:
        lost = max(lost, found[0].publication.offset - 1)
    return found, lost


def page_of(
    entries: Sequence[Entry],
    top: Position,
    keep: Keep,
    now: float,
    *,
    since: Position | None,
    limit: int,
    reverse: bool,
) -> Page:
    """Return the page that `Broker.read` promises."""
    if since is not None and since.epoch != top.epoch:
        return Page((), top, is_whole=False)
    mine = [entry for entry in entries if entry.publication.epoch == top.epoch]
    kept, lost = retained(mine, keep, now)
    if not kept:
        lost = top.offset
    publications = [entry.publication for entry in kept]
    if reverse:
        before = top.offset + 1 if since is None else since.offset
        found = [each for each in reversed(publications) if each.offset < before]
        return Page(found[:limit], top, is_whole=False)
    start = 0 if since is None else since.offset
    found = [each for each in publications if each.offset > start]
    reaches = since is None or lost <= start <= top.offset
    return Page(found[:limit], top, reaches and len(found) <= limit)
