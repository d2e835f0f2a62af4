from __future__ import annotations

import math
import time
from enum import IntEnum, StrEnum
from typing import Any
from urllib.parse import unquote
from uuid import UUID

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from wirework.errors import RegistrationError, WireworkError
from wirework.routing.paths import Match, NoSuchRoute, ParameterError, PathTemplate, RouteTable

SOME_UUID = UUID("12345678-1234-5678-1234-567812345678")


class Floor(IntEnum):
    FIRST = 1


class Colour(StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    ("template", "path", "params"),
    [
        ("/", "/", {}),
        ("/a.b", "/a.b", {}),
        ("/{name}", "/ann", {"name": "ann"}),
        ("/{name:str}", "/a b\n%2F", {"name": "a b\n%2F"}),
        ("/rooms/{room_id:int}", "/rooms/42", {"room_id": 42}),
        ("/rooms/{room_id:int}", "/rooms/-5", {"room_id": -5}),
        ("/{year:int}/{month:int}", "/2024/05", {"year": 2024, "month": 5}),
        ("/{x:float}", "/1.5", {"x": 1.5}),
        ("/{x:float}", "/-3", {"x": -3.0}),
        ("/{key:uuid}", f"/{SOME_UUID}", {"key": SOME_UUID}),
        ("/{key:uuid}", f"/{str(SOME_UUID).upper()}", {"key": SOME_UUID}),
        ("/files/{rest:path}", "/files/", {"rest": ""}),
        ("/files/{rest:path}", "/files/a/b//c", {"rest": "a/b//c"}),
        ("/files/{rest:path}", "/files//etc", {"rest": "/etc"}),
        ("/{rest:path}/raw/{n:int}", "/a/raw/1/raw/2", {"rest": "a/raw/1", "n": 2}),
        ("/{name}.json", "/a.json.json", {"name": "a.json"}),
        ("/v{major:int}.{minor:int}", "/v3.11", {"major": 3, "minor": 11}),
        ("/{lat:float},{lon:float}", "/1.5,-2", {"lat": 1.5, "lon": -2.0}),
        ("/{name}.{ext}", "/a.tar.gz", {"name": "a", "ext": "tar.gz"}),
        ("/{a}-{b}/{c}", "/1-2-3/4", {"a": "1", "b": "2-3", "c": "4"}),
        ("/{a}]^{b}", "/x]^y", {"a": "x", "b": "y"}),
        ("/{a}é{b}", "/xéy", {"a": "x", "b": "y"}),
    ],
)
def test_a_path_that_fits_gives_converted_values(
    template: str, path: str, params: dict[str, object]
) -> None:
    found = PathTemplate(template).match(path)
    assert found == params
    assert found is not None
    assert [type(value) for value in found.values()] == [type(v) for v in params.values()]


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("/", ""),
        ("/a", "/a/"),
        ("/a", "/a\n"),
        ("/a.b", "/axb"),
        ("/{name}", "/"),
        ("/{name}", "/a/b"),
        ("/{name}", "/.."),
        ("/{name}", "/."),
        ("/.{name}", "/.."),
        ("/files/{rest:path}", "/files"),
        ("/files/{rest:path}", "/files/../secret"),
        ("/files/{rest:path}", "/files/a/./b"),
        ("/{rest:path}/raw", "//raw"),
        ("/{n:int}", "/"),
        ("/{n:int}", "/+1"),
        ("/{n:int}", "/1.0"),
        ("/{n:int}", "/1_000"),
        ("/{n:int}", "/ 1"),
        ("/{n:int}", "/1\n"),
        ("/{n:int}", "/\u0663"),
        ("/{n:int}", "/--1"),
        ("/{n:int}", "/" + "9" * 641),
        ("/{n:int}", "/" + "9" * 100_000),
        ("/{x:float}", "/nan"),
        ("/{x:float}", "/inf"),
        ("/{x:float}", "/1e5"),
        ("/{x:float}", "/.5"),
        ("/{x:float}", "/5."),
        ("/{x:float}", "/" + "9" * 400),
        ("/{x:float}", "/0." + "0" * 100_000),
        ("/{key:uuid}", "/" + SOME_UUID.hex),
        ("/{key:uuid}", "/{" + str(SOME_UUID) + "}"),
        ("/{a}.{b}", "/..b"),
        ("/{name}.json", "/.json"),
    ],
)
def test_a_path_that_does_not_fit_is_no_match(template: str, path: str) -> None:
    assert PathTemplate(template).match(path) is None


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("", "begins with one '/'"),
        ("rooms", "begins with one '/'"),
        ("//rooms", "begins with one '/'"),
        ("/{room_id:itn}", "did you mean 'int'? known are str, int, float, uuid, path"),
        ("/{room_id:zzz}", "unknown converter 'zzz'; known are str"),
        ("/{room_id:}", "unknown converter ''"),
        ("/{a}/{a:int}", "the parameter 'a' occurs twice"),
        ("/{a", "unbalanced braces"),
        ("/a}", "unbalanced braces"),
        ("/{{a}}", "unbalanced braces"),
        ("/{}", "'' is not an identifier"),
        ("/{1a}", "'1a' is not an identifier"),
        ("/{a b}", "'a b' is not an identifier"),
        ("/{a/b}", "'a/b' is not an identifier"),
        ("/a?b={c}", "no query"),
        ("/a#b", "no fragment"),
        ("/a/../b", "never arrive"),
        ("/./{b}", "never arrive"),
        ("/{a}{b}", "{a:str} and {b:str} have no text between them"),
        ("/{a:path}/{b:path}", "more than one path parameter"),
        ("/{a:path}.{b}", "{a:path} and {b:str} share a segment"),
        ("/{a}.{b:path}", "{a:str} and {b:path} share a segment"),
        ("/{a:int}0{b}", "{a:int} is followed by the digit '0'"),
    ],
)
def test_a_malformed_template_fails_at_once_and_says_where(template: str, said: str) -> None:
    with pytest.raises(RegistrationError) as caught:
        PathTemplate(template)
    assert said in str(caught.value)
    assert repr(template) in str(caught.value)


@pytest.mark.parametrize(
    ("template", "params", "path"),
    [
        ("/", {}, "/"),
        ("/café", {}, "/caf%C3%A9"),
        ("/rooms/{room_id:int}", {"room_id": 7}, "/rooms/7"),
        ("/rooms/{room_id:int}", {"room_id": Floor.FIRST}, "/rooms/1"),
        ("/{colour}", {"colour": Colour.RED}, "/red"),
        ("/{name}", {"name": "a b?#%é"}, "/a%20b%3F%23%25%C3%A9"),
        ("/{name}", {"name": "-._~!$&'()*+,;=:@"}, "/-._~!$&'()*+,;=:@"),
        ("/{x:float}", {"x": 2}, "/2.0"),
        ("/{x:float}", {"x": 1e22}, "/10000000000000000000000"),
        ("/{x:float}", {"x": 1e-7}, "/0.0000001"),
        ("/{key:uuid}", {"key": SOME_UUID}, f"/{SOME_UUID}"),
        ("/files/{rest:path}", {"rest": "a b/c"}, "/files/a%20b/c"),
        ("/files/{rest:path}", {"rest": ""}, "/files/"),
        ("/{self}/{name}", {"self": "a", "name": "b"}, "/a/b"),
    ],
)
def test_a_template_is_reversed_into_an_encoded_path(
    template: str, params: dict[str, Any], path: str
) -> None:
    assert PathTemplate(template).reverse(**params) == path


@pytest.mark.parametrize(
    ("template", "params", "said"),
    [
        ("/{a}/{b}", {}, "missing a, b"),
        ("/{a}", {"a": "x", "c": 1}, "expected a; unknown: c"),
        ("/", {"c": 1}, "expected no parameters; unknown: c"),
        ("/{a:int}", {"a": "5"}, "a: expected int, got str '5'"),
        ("/{a:int}", {"a": True}, "a: expected int, got bool True"),
        ("/{a:int}", {"a": 10**640}, "a: expected int, got int 1000"),
        ("/{a:int}", {"a": 10**5000}, "a: expected int, got int (too many digits to show)"),
        ("/{a}", {"a": 5}, "a: expected str, got int 5"),
        ("/{a}", {"a": ""}, "a: expected str, got str ''"),
        ("/{a}", {"a": "b/c"}, "a: expected str, got str 'b/c'"),
        ("/{a}", {"a": ".."}, "a: expected str, got str '..'"),
        ("/{a}", {"a": "\ud800"}, "a: expected str, got str '\\ud800'"),
        ("/{a:path}", {"a": "b/../c"}, "a: expected path, got str 'b/../c'"),
        ("/{a:float}", {"a": math.nan}, "a: expected float, got float nan"),
        ("/{a:float}", {"a": math.inf}, "a: expected float, got float inf"),
        ("/{a:float}", {"a": "1"}, "a: expected float, got str '1'"),
        ("/{a:float}", {"a": 10**400}, "a: expected float, got int 1000"),
        ("/{a:uuid}", {"a": str(SOME_UUID)}, "a: expected uuid, got str"),
        ("/{a}.{b}", {"a": "x.y", "b": "z"}, "would not be read back"),
        ("/x{a:path}/b", {"a": ""}, "would not be read back"),
        ("/{a:path}", {"a": "/evil.example"}, "would not be read back"),
        ("/.{a:path}", {"a": ""}, "would not be read back"),
    ],
)
def test_parameters_that_do_not_fit_are_named(
    template: str, params: dict[str, Any], said: str
) -> None:
    with pytest.raises(ParameterError) as caught:
        PathTemplate(template).reverse(**params)
    assert said in str(caught.value)
    assert repr(template) in str(caught.value)


def test_a_template_tells_its_parameters_in_order() -> None:
    template = PathTemplate("/{b:int}/{a}/{c:float}/{d:uuid}/{e:path}")
    assert list(template.parameters.items()) == [
        ("b", int),
        ("a", str),
        ("c", float),
        ("d", UUID),
        ("e", str),
    ]
    assert not template.is_literal
    assert PathTemplate("/x").is_literal


def test_templates_are_compared_and_shown_by_their_text() -> None:
    template = PathTemplate("/rooms/{room_id:int}")
    assert template == PathTemplate("/rooms/{room_id:int}")
    assert hash(template) == hash(PathTemplate("/rooms/{room_id:int}"))
    assert template != "/rooms/{room_id:int}"
    assert str(template) == "/rooms/{room_id:int}"
    assert repr(template) == "PathTemplate('/rooms/{room_id:int}')"


def test_a_literal_route_wins_and_otherwise_the_first() -> None:
    table: RouteTable[str] = RouteTable()
    table.add("/rooms/{number:int}", "by number")
    table.add("/rooms/{name}", "by name")
    table.add("/rooms/{number:float}", "shadowed")
    table.add(PathTemplate("/rooms/new"), "new")
    number = table.find("/rooms/5")
    assert number == Match("by number", {"number": 5}, PathTemplate("/rooms/{number:int}"))
    assert table.find("/rooms/new") == Match("new", {}, PathTemplate("/rooms/new"))
    named = table.find("/rooms/1.5")
    assert named is not None
    assert named.target == "by name"
    assert table.find("/rooms") is None
    assert [route.target for route in table] == ["by number", "by name", "shadowed", "new"]
    assert len(table) == 4


def test_the_parameters_of_a_match_are_its_own() -> None:
    table: RouteTable[str] = RouteTable()
    table.add("/", "home")
    first = table.find("/")
    assert first is not None
    first.params["x"] = 1
    assert table.find("/") == Match("home", {}, PathTemplate("/"))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("/a", "/a"),
        ("/{a:int}", "/{b:int}"),
        ("/{a}/{b:int}", "/{b:str}/{a:int}"),
    ],
)
def test_two_templates_that_match_the_same_paths_are_refused(first: str, second: str) -> None:
    table: RouteTable[int] = RouteTable()
    table.add(first, 1)
    with pytest.raises(RegistrationError) as caught:
        table.add(second, 2, name="kept_free")
    assert repr(first) in str(caught.value)
    assert repr(second) in str(caught.value)
    table.add("/other", 3, name="kept_free")
    assert len(table) == 2


def test_two_routes_of_one_name_are_refused() -> None:
    table: RouteTable[int] = RouteTable()
    table.add("/a", 1, name="room")
    with pytest.raises(RegistrationError) as caught:
        table.add("/b", 2, name="room")
    assert "the name 'room' belongs to '/a'" in str(caught.value)
    assert table.find("/b") is None


def test_a_name_leads_back_to_its_path() -> None:
    table: RouteTable[int] = RouteTable()
    table.add("/rooms/{name}", 1, name="room")
    assert table.reverse("room", name="a b") == "/rooms/a%20b"


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    table: RouteTable[int] = RouteTable()
    table.add("/a", 1, name="room")
    with pytest.raises(NoSuchRoute, match="no route is named 'rooom'; did you mean 'room'") as near:
        table.reverse("rooom")
    assert isinstance(near.value, WireworkError)
    assert near.value.nearest == "room"
    with pytest.raises(LookupError, match=r"no route is named 'zzz'$"):
        table.reverse("zzz")


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
VALUES: dict[str, st.SearchStrategy[object]] = {
    "str": texts.filter(lambda text: "/" not in text and text not in (".", "..")),
    "int": st.integers(-(10**639) + 1, 10**640 - 1),
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "uuid": st.uuids(),
    "path": texts.filter(lambda text: not {".", ".."} & set(text.split("/"))),
}


@st.composite
def templates_with_values(draw: st.DrawFn) -> tuple[str, dict[str, object]]:
    kinds = draw(st.lists(st.sampled_from(sorted(VALUES)), max_size=4))
    assume(kinds.count("path") <= 1)
    literals = draw(
        st.lists(st.sampled_from(["/", "/a/", "/x-"]), min_size=len(kinds), max_size=len(kinds))
    )
    fields = [f"{literals[i]}{{p{i}:{kind}}}" for i, kind in enumerate(kinds)]
    end = draw(st.sampled_from(["/end", "/", ".json"]))
    values = {f"p{i}": draw(VALUES[kind]) for i, kind in enumerate(kinds)}
    return "/api" + "".join(fields) + end, values


@given(templates_with_values())
def test_what_is_reversed_is_matched_with_the_same_values(
    case: tuple[str, dict[str, object]],
) -> None:
    template, values = case
    encoded = PathTemplate(template).reverse(**values)
    assert encoded.isascii()
    assert PathTemplate(template).match(unquote(encoded)) == values


@given(
    st.floats(allow_nan=False, allow_infinity=False) | st.integers(),
    st.integers(),
    st.text(alphabet="ab.-/", min_size=1),
)
def test_parameters_that_share_a_segment_come_back_or_are_refused(
    x: float, n: int, word: str
) -> None:
    template = PathTemplate("/{x:float}.{n:int}-{word}")
    values = {"x": x, "n": n, "word": word}
    try:
        path = template.reverse(**values)
    except ParameterError:
        return
    assert template.match(unquote(path)) == values


@given(st.text(alphabet="/{}:abint.?-", max_size=20) | st.text(max_size=20), st.text(max_size=20))
def test_no_template_and_no_path_crashes(template: str, path: str) -> None:
    try:
        made = PathTemplate(template if template.startswith("/") else "/" + template)
    except RegistrationError:
        return
    assert made.match(path) is None or isinstance(made.match(path), dict)
    table: RouteTable[int] = RouteTable()
    table.add(made, 1)
    table.find(path)


@pytest.mark.parametrize(
    ("template", "unit", "end"),
    [
        ("/{a}.{b}.{c}.{d}", "a", "/"),
        ("/{a}.{b}.{c}.json", ".a", "/"),
        ("/{a}-{b}/{c}aaa", "a", "/"),
        ("/{rest:path}/a/{b}/{c}/end", "/a", "!"),
        ("/{rest:path}a/a{b}-{c}/{d:int}", "a/a", "!"),
        ("/{rest:path}.json", ".jso", "!"),
        ("/{x:float}1/{y:float}", "1", "!"),
        ("/{x:float}.1.{n:int}", "1.1", "!"),
        ("/{n:int}", "9", ""),
        ("/{x:float}", "9", ""),
    ],
)
def test_a_hostile_path_takes_linear_time(template: str, unit: str, end: str) -> None:
    made = PathTemplate(template)
    path = "/" + unit * (500_000 // len(unit)) + end
    began = time.process_time()
    assert made.match(path) is None
    assert time.process_time() - began < 1.0


@settings(max_examples=50)
@given(st.lists(texts, max_size=6))
def test_any_path_at_all_is_found_by_a_path_parameter_at_the_root(segments: list[str]) -> None:
    table: RouteTable[str] = RouteTable()
    table.add("/{rest:path}", "all")
    path = "/".join(segments)
    found = table.find("/" + path)
    assert (found is None) == bool({".", ".."} & set(path.split("/")))
