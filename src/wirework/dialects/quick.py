"""The quick way of calls with names: one is read in one pass, its name and data together."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Annotated, Any, Final, TypeAlias, Union

import msgspec

from ..commands import Id
from ..json import MsgspecAdapter, readable
from .base import Quick
from .envelope import MAX_ID, MAX_ID_LENGTH

__all__ = ["MAX_KEPT", "GivenId", "call_type", "quick_way"]

GivenId: TypeAlias = (
    Annotated[int, msgspec.Meta(ge=-MAX_ID, le=MAX_ID)]
    | Annotated[str, msgspec.Meta(max_length=MAX_ID_LENGTH)]
    | None
)
"""What a client may give as the id of a call."""

MAX_KEPT: Final = 1024
"""Types that are kept: endpoints that are made for a single connection have the same ones."""


class _Nameless(msgspec.Struct, tag_field="type", tag=""):
    """A message with an empty name, which is no call."""


def quick_way(json: MsgspecAdapter) -> Quick:
    """Return the quick way of messages that are not flat."""
    return Quick(call_type, _reader, _answers, json.bare_encode)


def call_type(name: str, kind: Any, *, key: str = "type") -> type:
    """Return the type of calls named `name`, which is under `key`, whose data is a `kind`."""
    try:
        hash(kind)
    except TypeError:
        return _make_call(name, kind, key)
    return _known_call(name, kind, key)


def _make_call(name: str, kind: Any, key: str) -> type:
    body: Any = msgspec.Raw
    default: Any = msgspec.field(name="data", default=msgspec.Raw(b"{}"))
    if kind is not None:
        body = readable(kind)
        decode = _ADAPTER.bare_decoder(kind)
        default = msgspec.field(name="data", default_factory=lambda: decode(b"{}"))
    fields = [("body", body, default), ("id", GivenId, None)]
    return msgspec.defstruct("Call", fields, tag_field=key, tag=name, gc=False)


@lru_cache(maxsize=MAX_KEPT)
def _reader(calls: tuple[type, ...]) -> Callable[[str], Any]:
    """Return what reads one of these calls, and tells by its type which one it is."""
    # Of one type alone msgspec would not demand that the name is there.
    return _ADAPTER.bare_decoder(Union[(_Nameless, *calls)])


@lru_cache(maxsize=MAX_KEPT)
def _answers(name: str) -> tuple[Callable[[Id, Any], Any], Callable[[Any], Any]]:
    """Return what answers to calls named `name` are made with: with an id, and without."""
    make = partial(msgspec.defstruct, "Answer", tag_field="type", tag=name, gc=False)
    return make([("id", Any), ("data", Any)]), make([("data", Any)])


_ADAPTER: Final = MsgspecAdapter()
_known_call = lru_cache(maxsize=MAX_KEPT)(_make_call)
