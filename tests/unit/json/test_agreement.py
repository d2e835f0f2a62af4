from __future__ import annotations

import datetime as dt
import enum
import json
import math
import uuid
from decimal import Decimal
from typing import Any, Literal, NamedTuple

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from wirework.errors import MalformedMessage, ValidationError
from wirework.json import adapter_of

ADAPTERS = [adapter_of(name) for name in ("msgspec", "orjson", "stdlib")]


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Point(msgspec.Struct):
    x: int
    y: float = 0.0


class Line(msgspec.Struct, tag=True):
    start: Point
    end: Point | None = None


class Dot(msgspec.Struct, tag=True, forbid_unknown_fields=True):
    at: tuple[int, int]


class Version(NamedTuple):
    major: int
    minor: int = 0


class Profile(BaseModel):
    name: str
    born: dt.date | None = None


class Everything(msgspec.Struct):
    id: uuid.UUID
    at: dt.datetime
    day: dt.date
    clock: dt.time
    span: dt.timedelta
    price: Decimal
    colour: Colour
    shape: Line | Dot
    version: Version
    words: frozenset[str]
    raw: bytes
    table: dict[int, list[float]]
    by_day: dict[dt.date, bool]
    mode: Literal["a", 1, None]
    profile: Profile
    big: int
    rest: Any = None


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
floats = st.floats(allow_nan=False, allow_infinity=False)
integers = st.integers(-(2**80), 2**80)
scalars = st.none() | st.booleans() | integers | floats | text
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)
points = st.builds(Point, x=integers, y=floats)
# msgspec writes offsets of whole minutes, as RFC 3339 has them.
zones = st.none() | st.integers(-1439, 1439).map(lambda n: dt.timezone(dt.timedelta(minutes=n)))
moments = st.tuples(
    st.datetimes(min_value=dt.datetime(2, 1, 1), max_value=dt.datetime(9998, 1, 1)), zones
).map(lambda pair: pair[0].replace(tzinfo=pair[1]))
everything = st.builds(
    Everything,
    id=st.uuids(),
    at=moments,
    day=st.dates(),
    clock=st.times(),
    span=st.timedeltas(dt.timedelta(days=-(10**6)), dt.timedelta(days=10**6)),
    price=st.decimals(allow_nan=False, allow_infinity=False),
    colour=st.sampled_from(Colour),
    shape=st.builds(Line, start=points, end=st.none() | points)
    | st.builds(Dot, at=st.tuples(integers, integers)),
    version=st.builds(Version, major=integers, minor=integers),
    words=st.frozensets(text, max_size=4),
    raw=st.binary(max_size=20),
    table=st.dictionaries(integers, st.lists(floats, max_size=3), max_size=3),
    by_day=st.dictionaries(st.dates(), st.booleans(), max_size=3),
    mode=st.sampled_from(["a", 1, None]),
    profile=st.builds(Profile, name=text, born=st.none() | st.dates()),
    big=integers,
    rest=values,
)
TYPES: list[Any] = [
    Any,
    int,
    float,
    Decimal,
    int | float | None,
    str,
    list[int],
    set[Any],
    dict[str, float],
    dict[int, Any],
    tuple[int, str],
    dt.datetime,
    bytes,
    Point,
    Line | Dot,
    Version,
    Profile,
    list[Profile | None],
    Everything,
]
DECODERS = [[adapter.decoder(type_) for adapter in ADAPTERS] for type_ in TYPES]

WORDS = r"""
[ ] { } : , " "x" "y" "type" "Dot" "Line" "at" "name" 0 -0 1 -1 1.5 1e5 1e400 -1e400 1E+2 01 1.
NaN Infinity true false null 18446744073709551616 -9223372036854775809 9007199254740993
"\ud800" "\ud83d\ude00" "\u0000" "2026-01-02" \
"""
fragments = st.sampled_from([*WORDS.split(), " ", "\ufeff", "\ud800"])
soup = st.lists(fragments, max_size=12).map("".join)
mutated = st.tuples(values, st.integers(0, 200), st.binary(max_size=2)).map(
    lambda parts: _replace(json.dumps(parts[0]).encode(), parts[1], parts[2])
)
frames = st.binary(max_size=40) | st.text(max_size=40) | soup | mutated


def _replace(data: bytes, at: int, by: bytes) -> bytes:
    return data[:at] + by + data[at + 1 :]


def outcome(decode: Any, data: object) -> object:
    """What came out, so that equal means the same in kind too."""
    try:
        return _exact(decode(data))
    except MalformedMessage as error:
        return ("malformed", error.message)
    except ValidationError as error:
        return ("invalid", error.problems or "none listed")


def _exact(value: Any) -> object:
    if isinstance(value, dict):
        return {key: _exact(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_exact(item) for item in value]
    if isinstance(value, float):
        return ("float", value.hex())
    return (type(value), value)


@given(everything)
def test_what_is_encoded_is_decoded_again(value: Everything) -> None:
    for adapter in ADAPTERS:
        data = adapter.encode(value)
        for other in ADAPTERS:
            assert other.decode(data, Everything) == value


@given(values)
def test_builtins_are_encoded_alike_and_read_again(value: Any) -> None:
    for adapter in ADAPTERS:
        data = adapter.encode(value)
        assert json.loads(data) == value
        assert [outcome(other.decoder(Any), data) for other in ADAPTERS] == [_exact(value)] * 3


@given(st.floats())
def test_floats_survive_and_those_that_json_lacks_become_null(value: float) -> None:
    for adapter in ADAPTERS:
        found = adapter.decode(adapter.encode([value]))[0]
        assert found == value if math.isfinite(value) else found is None


@given(frames)
def test_any_frame_is_decoded_or_refused_alike(data: bytes | str) -> None:
    for decoders in DECODERS:
        outcomes = [outcome(decode, data) for decode in decoders]
        assert outcomes[1:] == outcomes[:-1]
        assert outcomes[0] != ("invalid", "none listed")


@given(values)
def test_any_json_fits_or_has_problems(value: Any) -> None:
    data = json.dumps(value)
    for decoders in DECODERS:
        outcomes = [outcome(decode, data) for decode in decoders]
        assert outcomes[1:] == outcomes[:-1]
        assert outcomes[0] != ("invalid", "none listed")


@given(everything, st.data())
def test_a_payload_with_one_wrong_field_names_that_field(
    value: Everything, data: st.DataObject
) -> None:
    payload = json.loads(ADAPTERS[0].encode(value))
    name = data.draw(st.sampled_from([key for key in payload if key not in ("rest", "price")]))
    payload[name] = {"what": "else"} if not isinstance(payload[name], dict) else 5
    for adapter in ADAPTERS:
        found = outcome(adapter.decoder(Everything), json.dumps(payload))
        assert isinstance(found, tuple)
        assert found[0] == "invalid"
        assert {problem["loc"][0] for problem in found[1]} == {name}


@given(st.dictionaries(text, text | st.lists(text, max_size=2), max_size=5))
def test_any_form_fits_or_has_problems(fields: dict[str, Any]) -> None:
    for type_ in (Everything, Point, Profile, dict[str, bool], dict[str, list[int]]):
        converters = [adapter.converter(type_, strict=False) for adapter in ADAPTERS]
        outcomes = [outcome(convert, fields) for convert in converters]
        assert outcomes[1:] == outcomes[:-1]
        assert outcomes[0] != ("invalid", "none listed")
