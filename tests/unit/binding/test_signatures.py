from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import pytest

from wirework import Depends, RegistrationError
from wirework.binding.signatures import LocalNames, local_names, parameters_of


class Widget:
    def __init__(self, size: int) -> None:
        self.size = size

    def method(self, size: int) -> None: ...


class Factory:
    def __call__(self, size: int) -> None: ...


def function(size: int) -> None: ...


@pytest.mark.parametrize(
    "target",
    [function, Widget, Widget(1).method, Factory(), functools.partial(function)],
    ids=["function", "class", "method", "object", "partial"],
)
def test_every_callable_shows_its_parameters_with_real_types(target: Callable[..., Any]) -> None:
    (parameter,) = parameters_of(target, "here", LocalNames())
    assert parameter.name == "size"
    assert parameter.annotation is int


def test_what_a_partial_has_filled_is_not_asked_for() -> None:
    def send(room: str, text: str) -> None: ...

    found = parameters_of(functools.partial(send, "r"), "here", LocalNames())
    assert [parameter.name for parameter in found] == ["text"]


@pytest.mark.parametrize("target", [lambda *things: None, lambda **things: None])
def test_open_ended_parameters_cannot_be_filled(target: Callable[..., Any]) -> None:
    with pytest.raises(RegistrationError, match=r"here: parameter \*+things cannot be filled"):
        parameters_of(target, "here", LocalNames())


def test_what_has_no_signature_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(RegistrationError, match="cannot be read; wrap it in a def"):
        parameters_of(dict, "here", LocalNames())


def test_an_annotation_that_is_not_known_is_named() -> None:
    def handler(move: Missing) -> None: ...  # type: ignore[name-defined] # noqa: F821

    with pytest.raises(RegistrationError, match="the name 'Missing', which is not known there"):
        parameters_of(handler, "here", LocalNames())


def test_an_annotation_that_is_no_type_is_an_error() -> None:
    def handler(move: 5) -> None: ...  # type: ignore[valid-type]

    handler.__annotations__["move"] = "5 + 'a'"
    with pytest.raises(RegistrationError, match="an annotation cannot be read"):
        parameters_of(handler, "here", LocalNames())


def test_annotations_may_use_names_that_are_local_to_where_they_are_registered() -> None:
    class Local: ...

    def handler(move: Local) -> None: ...

    def register() -> LocalNames:
        return local_names(handler)

    (parameter,) = parameters_of(handler, "here", register())
    assert parameter.annotation is Local


def test_a_module_has_no_local_names() -> None:
    source = "def register():\n    return local_names()\nnames = register()"
    scope: dict[str, Any] = {"local_names": local_names}
    exec(compile(source, "module", "exec"), scope)
    assert scope["names"] == {}


class Order: ...


def take(order: Order) -> None: ...


def test_a_local_of_the_caller_does_not_stand_in_for_a_global_of_the_function() -> None:
    def register() -> LocalNames:
        return local_names(take)

    def at_home(Order: Any) -> inspect.Parameter:
        (parameter,) = parameters_of(take, "here", register())
        return parameter

    assert at_home(5).annotation is Order


def test_a_local_wins_where_the_function_is_defined_beside_it() -> None:
    class Order: ...

    def handler(order: Order) -> None: ...

    def register() -> LocalNames:
        return local_names(handler)

    (parameter,) = parameters_of(handler, "here", register())
    assert parameter.annotation is Order


def test_of_a_frame_only_what_the_annotations_use_is_kept() -> None:
    class Move: ...

    class Db: ...

    def get_db(of: Move) -> Db: ...  # type: ignore[empty-body]

    Lent = Annotated[Db, Depends(get_db)]
    secret = "a big one"

    def handler(db: Lent, other: "list[str] | None" = None) -> None:  # noqa: UP037
        str(secret)

    def register() -> LocalNames:
        return local_names(handler, None)

    assert set(register()) == {"Lent", "Move", "Db"}
