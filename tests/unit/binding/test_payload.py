from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wirework import MalformedMessage, RegistrationError, ValidationError
from wirework.binding.forms import is_model
from wirework.binding.payload import PayloadPlan
from wirework.json import MsgspecAdapter, OrjsonAdapter, StdlibAdapter
from wirework.types import Body

JSON = MsgspecAdapter()


class Move(msgspec.Struct):
    x: int


class Keys(TypedDict):
    x: int


def plan(function: Callable[..., Any], body: Body = "json", **options: Any) -> PayloadPlan:
    parameters = list(inspect.signature(function, eval_str=True).parameters.values())
    return PayloadPlan(JSON, body, parameters, where="test", **options)


def fields(payload: Any) -> dict[str, Any]:
    return msgspec.structs.asdict(payload)


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (Move, True),
        (Keys, True),
        (Annotated[Move, "note"], True),
        (Move | Keys, True),
        (Move | None, True),
        (Move | int, False),
        (int, False),
        (dict, False),
        (dict[str, int], False),
        (list[Move], False),
        (Literal["a"], False),
        (Any, False),
    ],
)
def test_a_model_is_a_type_that_describes_a_whole_payload(annotation: Any, expected: bool) -> None:
    assert is_model(annotation) is expected


def test_one_model_is_the_whole_and_several_parameters_are_fields() -> None:
    def whole(move: Move) -> None: ...
    def some(move: Move, n: int) -> None: ...

    assert plan(whole).is_whole
    assert plan(whole).read(b'{"x": 1}') == (Move(1), None)
    assert not plan(some).is_whole
    payload, data = plan(some).read(b'{"move": {"x": 1}, "n": 2}')
    assert fields(payload) == {"move": Move(1), "n": 2}
    assert data is None


def test_a_payload_without_parameters_is_not_used() -> None:
    def nothing() -> None: ...

    assert not plan(nothing).is_used
    assert plan(nothing).read(b"not JSON") == (None, None)
    assert plan(nothing, wants_data=True).is_used
    assert plan(nothing, wants_data=True).read(b"[1]") == (None, [1])


def test_data_is_decoded_once_beside_the_fields() -> None:
    def some(n: int) -> None: ...

    payload, data = plan(some, wants_data=True).read(b'{"n": 2, "more": 3}')
    assert payload.n == 2
    assert data == {"n": 2, "more": 3}


@pytest.mark.parametrize("adapter", [MsgspecAdapter(), OrjsonAdapter(), StdlibAdapter()])
def test_every_adapter_lists_every_problem(adapter: Any) -> None:
    def some(n: int, text: str, tags: list[int]) -> None: ...

    parameters = list(inspect.signature(some, eval_str=True).parameters.values())
    reading = PayloadPlan(adapter, "json", parameters, where="test")
    with pytest.raises(ValidationError) as caught:
        reading.read(b'{"n": "x", "tags": [1, "y"]}')
    assert [problem["loc"] for problem in caught.value.problems] == [["n"], ["text"], ["tags", 1]]
    with pytest.raises(MalformedMessage):
        reading.read(b"{")


@pytest.mark.parametrize("text", [b"[]", b"5", b"null", b'"text"'])
def test_what_is_no_object_does_not_fit_fields(text: bytes) -> None:
    def some(n: int) -> None: ...

    with pytest.raises(ValidationError):
        plan(some).read(text)


def test_mutable_defaults_are_not_shared_between_messages() -> None:
    def some(n: int, tags: list[Any] = [], where: dict[str, Any] = {"a": []}) -> None: ...  # noqa: B006

    reading = plan(some)
    payload, _ = reading.read(b'{"n": 1}')
    payload.tags.append(1)
    payload.where["a"].append(2)
    assert fields(reading.read(b'{"n": 1}')[0]) == {"n": 1, "tags": [], "where": {"a": []}}


@pytest.mark.parametrize(
    ("annotation", "mode"),
    [(str, "text"), (bytes, "bytes"), (str | bytes, "frame"), (int, "json"), (Move, "json")],
)
def test_the_signature_says_how_frames_are_read(annotation: Any, mode: str) -> None:
    def one(message: Any) -> None: ...

    one.__annotations__["message"] = annotation
    reading = plan(one, "frame")
    assert reading.mode == mode
    assert reading.is_frame is (mode != "json")
    if reading.is_frame:
        assert reading.read("as it is") == ("as it is", "as it is")


def test_a_mode_that_is_given_counts_more_than_the_signature() -> None:
    def one(message: str) -> None: ...

    assert plan(one, "frame", mode="frame").read(b"x") == (b"x", b"x")
    assert plan(one, "frame", mode="text", wants_data=True).read("x") == ("x", "x")
    assert plan(one, "frame", mode="json").read(b'{"message": "x"}')[0].message == "x"
    with pytest.raises(RegistrationError, match="mode 'bytes'"):
        plan(one, "frame", mode="bytes")


def test_a_type_that_nothing_can_fill_names_its_parameter() -> None:
    def some(n: int, thing: Callable[[], None]) -> None: ...

    for body in ("json", "form"):
        with pytest.raises(RegistrationError, match="parameter 'thing' cannot be read"):
            plan(some, body)
    with pytest.raises(RegistrationError, match="parameter 'thing' cannot be read"):
        plan(some, wants_data=True)


def everything(n: int, text: str, ratio: float = 0.5, tags: list[int] | None = None) -> None: ...


@given(st.binary(max_size=60) | st.text(max_size=60))
def test_no_bytes_crash_the_reading_of_a_payload(body: bytes | str) -> None:
    try:
        payload, _ = READING.read(body)
    except (ValidationError, MalformedMessage):
        return
    assert isinstance(payload.n, int)


@given(
    st.dictionaries(
        st.sampled_from(["n", "text", "ratio", "tags", "more"]),
        st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.integers()),
    )
)
def test_any_object_is_read_or_every_problem_is_told(body: dict[str, Any]) -> None:
    try:
        encoded = JSON.encode(body)
    except TypeError:
        return
    known = {"n", "text", "ratio", "tags"}
    try:
        payload, _ = READING.read(encoded)
    except MalformedMessage:
        return
    except ValidationError as error:
        named = {problem["loc"][0] for problem in error.problems}
        assert named
        assert named <= known
    else:
        given = {name: value for name, value in body.items() if name in known}
        assert fields(payload).items() >= given.items()


READING = plan(everything)
