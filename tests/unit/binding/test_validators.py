"""`Validate`: checks of decoded values, which may be async and take dependencies."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    Required,
    TypedDict,
    TypeVar,
)

import msgspec
import pydantic
import pytest

from tests.unit.applications import talking
from wirework import (
    App,
    Depends,
    Path,
    Payload,
    Query,
    RegistrationError,
    Reject,
    Validate,
    ValidationError,
)
from wirework.dialects import Htmx, Raw

TAKEN = {"ada", "root"}


class Names:
    def __init__(self) -> None:
        self.asked: list[str] = []


async def get_names() -> AsyncIterator[Names]:
    yield Names()


async def is_free(name: str, names: Annotated[Names, Depends(get_names)]) -> None:
    names.asked.append(name)
    if name in TAKEN:
        raise ValueError(f"{name} is taken")


def is_short(text: str) -> None:
    if len(text) > 5:
        raise ValueError("at most 5 characters")


Name = Annotated[str, Validate(is_free), Validate(is_short)]


class Person(msgspec.Struct, rename="camel"):
    user_name: Name
    friends: list[Name] = []
    boss: Person | None = None
    by_role: dict[str, Name] = {}


async def problems_of(app: App, message: Any) -> Any:
    async with talking(app) as ws:
        await ws.send_json(message)
        answer = await ws.receive_json()
    if isinstance(answer, dict) and "error" in answer:
        assert answer["error"]["code"] == "validation"
        return [(each["loc"], each["msg"]) for each in answer["error"]["details"]]
    return answer


async def test_every_check_of_a_message_runs_and_all_problems_are_told() -> None:
    app = App()

    @app.ws("/")
    async def on_message(first: Name, second: Name, third: int) -> str:
        return first + second

    assert await problems_of(app, {"first": "root", "second": "longer", "third": 1}) == [
        (["first"], "root is taken"),
        (["second"], "at most 5 characters"),
    ]
    assert await problems_of(app, {"first": "a", "second": "b", "third": 1}) == "ab"


async def test_checks_run_only_on_what_was_decoded() -> None:
    app = App()

    @app.ws("/")
    async def on_message(first: Name, third: int) -> str:
        return first

    assert [loc for loc, _ in await problems_of(app, {"first": "root", "third": "x"})] == [
        ["third"]
    ]


async def test_fields_of_models_are_checked_however_deep() -> None:
    app = App()

    @app.ws("/")
    async def on_message(person: Person) -> str:
        return person.user_name

    message = {
        "userName": "bob",
        "friends": ["eve", "ada"],
        "boss": {"userName": "root", "friends": ["everyone"]},
        "byRole": {"cook": "ada"},
    }
    assert sorted(await problems_of(app, message)) == [
        (["boss", "friends", 0], "at most 5 characters"),
        (["boss", "userName"], "root is taken"),
        (["byRole", "cook"], "ada is taken"),
        (["friends", 1], "ada is taken"),
    ]
    assert await problems_of(app, {"userName": "bob"}) == "bob"


class Dicted(TypedDict):
    name: Name


@dataclass
class Datum:
    name: Name


class Model(pydantic.BaseModel):
    name: Name


@pytest.mark.parametrize("kind", [Dicted, Datum, Model], ids=lambda kind: kind.__name__)
async def test_fields_of_every_kind_of_model_are_checked(kind: Any) -> None:
    app = App()

    async def on_message(data: Any) -> str:
        return "fine"

    on_message.__annotations__["data"] = kind
    app.ws("/")(on_message)
    assert await problems_of(app, {"name": "ada"}) == [(["name"], "ada is taken")]
    assert await problems_of(app, {"name": "bob"}) == "fine"


class Cat(msgspec.Struct, tag=True):
    name: Name


class Dog(msgspec.Struct, tag=True):
    name: str


async def test_of_a_union_only_the_member_that_came_is_checked() -> None:
    app = App()

    @app.ws("/")
    async def on_message(pet: Cat | Dog) -> str:
        return pet.name

    assert await problems_of(app, {"type": "Cat", "name": "ada"}) == [(["name"], "ada is taken")]
    assert await problems_of(app, {"type": "Dog", "name": "ada"}) == "ada"


async def test_the_whole_payload_can_be_checked_and_problems_name_their_fields() -> None:
    app = App()

    def fits(data: dict[str, int]) -> None:
        if data["low"] > data["high"]:
            raise ValidationError([{"loc": ["low"], "type": "order", "msg": "above high"}])

    @app.ws("/")
    async def on_message(data: Annotated[dict[str, int], Payload(), Validate(fits)]) -> str:
        return "fine"

    assert await problems_of(app, {"low": 2, "high": 1}) == [(["low"], "above high")]
    assert await problems_of(app, {"low": 1, "high": 1}) == "fine"


async def test_a_rejection_by_a_validator_is_answered_as_such() -> None:
    app = App()

    async def is_open(name: str) -> None:
        raise Reject("closed", "come tomorrow")

    @app.ws("/")
    async def on_message(name: Annotated[str, Validate(is_open)]) -> str:
        return name

    async with talking(app) as ws:
        await ws.send_json({"name": "x"})
        assert (await ws.receive_json())["error"]["code"] == "closed"


async def test_fields_of_forms_are_checked() -> None:
    app = App()

    @app.ws("/", dialect=Htmx())
    async def on_message(name: Name) -> str:
        return name

    async with talking(app) as ws:
        await ws.send_json({"name": "ada", "HEADERS": {}})
        assert "ada is taken" in await ws.receive_text()


# --- where checks stand ---------------------------------------------------------------------------

Short = Annotated[str, Validate(is_short)]
Named = NewType("Named", Short)


class Loose(TypedDict):
    maybe: NotRequired[Short]


class Partly(TypedDict, total=False):
    sure: Required[Short]


class Pair(NamedTuple):
    number: int
    name: Short


class Nick(msgspec.Struct):
    nick: Short | None = None


TOO_LONG = "at most 5 characters"
PLACES: dict[str, tuple[Any, Any, Any, list[Any]]] = {
    "not required": (Loose, {"maybe": "longer"}, {"maybe": "a"}, ["maybe"]),
    "required": (Partly, {"sure": "longer"}, {"sure": "a"}, ["sure"]),
    "optional field": (Nick, {"nick": "longer"}, {"nick": None}, ["nick"]),
    "optional field, absent": (Nick, {"nick": "longer"}, {}, ["nick"]),
    "optional": (Short | None, "longer", None, ["__model__"]),
    "second of a tuple": (tuple[int, Short], [1, "longer"], [1, "a"], [1]),
    "first of a tuple": (tuple[Short, int], ["longer", 1], ["a", 1234567], [0]),
    "all of a tuple": (tuple[Short, ...], ["a", "longer"], ["a", "b"], [1]),
    "named tuple": (Pair, [1, "longer"], [1234567, "a"], [1]),
    "set": (set[Short], ["longer"], ["a"], [0]),
    "sequence": (Sequence[Short], ["a", "longer"], ["a"], [1]),
    "mapping": (Mapping[str, Short], {"a": "longer"}, {"longer": "a"}, ["a"]),
    "key": (dict[Short, int], {"longer": 1}, {"a": 1}, ["longer"]),
    "union": (Short | int, "longer", 1234567, ["__model__"]),
    "union with a list": (list[Short] | str, ["longer"], "longer", [0]),
    "union with words": (list[Short] | Literal["longer"], ["longer"], "longer", [0]),
    "new type": (list[Named], ["longer"], ["a"], [0]),
}


@pytest.mark.parametrize("place", PLACES)
async def test_a_check_runs_wherever_it_stands(place: str) -> None:
    kind, bad, good, loc = PLACES[place]
    app = App()

    async def on_message(value: Any) -> str:
        return "fine"

    on_message.__annotations__["value"] = Annotated[kind, Payload()]
    app.ws("/", dialect=Raw("json"))(on_message)
    assert await problems_of(app, bad) == [(loc, TOO_LONG)]
    assert await problems_of(app, good) == "fine"


async def test_a_check_of_an_optional_value_sees_that_it_is_none() -> None:
    app = App()

    def is_given(name: str | None) -> None:
        if name is None:
            raise ValueError("say one")

    async def on_message(name: Any = None) -> str:
        return "fine"

    on_message.__annotations__["name"] = Annotated[Short | None, Validate(is_given)]
    app.ws("/")(on_message)
    assert await problems_of(app, {}) == [(["name"], "say one")]
    assert await problems_of(app, {"name": "longer"}) == [(["name"], TOO_LONG)]
    assert await problems_of(app, {"name": "a"}) == "fine"


T = TypeVar("T")


class Page(msgspec.Struct, Generic[T]):
    items: list[T]


class Lazy(pydantic.BaseModel):
    names: Iterable[Short]


@pytest.mark.parametrize("kind", [Page[Short], Lazy], ids=["generic", "iterable"])
def test_a_check_that_could_not_run_is_refused_at_registration(kind: Any) -> None:
    async def on_message(value: Any) -> None: ...

    on_message.__annotations__["value"] = kind
    with pytest.raises(RegistrationError, match=r"parameter 'value': a Validate within .* cannot"):
        App().ws("/", dialect=Raw("json"))(on_message)


async def get_name() -> str:
    return "ada"


@pytest.mark.parametrize("marker", [Query(), Path(), Depends(get_name)], ids=repr)
def test_a_check_of_what_no_message_carries_is_refused_at_registration(marker: Any) -> None:
    async def on_message(name: Any) -> None: ...

    on_message.__annotations__["name"] = Annotated[str, marker, Validate(is_short)]
    with pytest.raises(RegistrationError, match="parameter 'name' has a Validate, which runs on"):
        App().ws("/{name}")(on_message)


def test_a_check_in_a_dependency_is_refused_at_registration() -> None:
    async def get_page(name: str = "a") -> None: ...

    async def on_message(page: Any) -> None: ...

    get_page.__annotations__["name"] = Short
    on_message.__annotations__["page"] = Annotated[str, Depends(get_page)]
    with pytest.raises(RegistrationError, match="get_page: parameter 'name' has a Validate"):
        App().ws("/")(on_message)


# --- misuse ---------------------------------------------------------------------------------------


def nothing() -> None: ...


async def many(value: str) -> AsyncIterator[str]:
    yield value


@pytest.mark.parametrize("function", [nothing, many], ids=["nothing", "many"])
def test_a_function_that_cannot_check_is_refused_at_registration(function: Any) -> None:
    app = App()

    async def on_message(name: str) -> None: ...

    on_message.__annotations__["name"] = Annotated[str, Validate(function)]
    with pytest.raises(RegistrationError, match="takes the value and returns"):
        app.ws("/")(on_message)


def test_a_validator_that_is_no_function_is_refused() -> None:
    with pytest.raises(TypeError, match="expected a function, got 'x'"):
        Validate("x")  # type: ignore[arg-type]
