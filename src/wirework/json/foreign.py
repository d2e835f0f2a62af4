"""Types that msgspec does not know: pydantic's, and paths.

pydantic is imported when a type of its own is met, never before.
"""

from __future__ import annotations

import functools
import operator
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import PurePath
from typing import Annotated, Any, Union

import msgspec

from ..errors import MalformedMessage, Problem

__all__ = ["dump", "find_foreign_problems", "is_foreign", "read", "read_loosely", "readable"]

MODEL = "__model__"

_encode = msgspec.json.encode


class _AnyInstance(type):
    """Lets msgspec take what pydantic made for an instance of the class that stands for it."""

    def __instancecheck__(cls, instance: object) -> bool:
        return True


class _Delegate(metaclass=_AnyInstance):
    """Stands in a type expression for a type that pydantic decodes."""

    target: Any


def readable(type: Any) -> Any:
    """Return `type` such that msgspec can read it: what only pydantic knows is delegated.

    Call it on annotations before they become fields of a generated Struct; `decoder` and
    `converter` do so themselves. Types without pydantic in them come back as they are.

    Raises:
        TypeError: pydantic does not know it either.
    """
    if "pydantic" not in sys.modules:
        return type
    if _is_alias_statement(type):
        return readable(type.__value__)
    if _has_pydantic_metadata(type) or _is_pydantic_dataclass(type):
        return _delegate(type)
    arguments = typing.get_args(type)
    if typing.get_origin(type) in (Union, types.UnionType):
        return _readable_union(type, arguments)
    return _readable_alias(type, arguments)


def is_foreign(cls: Any) -> bool:
    """Tell whether `cls` is decoded here and not by msgspec."""
    return isinstance(cls, type) and (
        issubclass(cls, PurePath | _Delegate) or hasattr(cls, "__get_pydantic_core_schema__")
    )


def read(type: Any, value: Any) -> Any:
    """Return decoded JSON as a `type`, by pydantic's rules for JSON: a `dec_hook`."""
    if issubclass(type, PurePath):
        return _read_path(type, value)
    return validate_json(type, value)


def read_loosely(type: Any, value: Any) -> Any:
    """Return form fields as a `type`, by pydantic's rules for Python values: a `dec_hook`."""
    if issubclass(type, PurePath):
        return _read_path(type, value)
    return pydantic_adapter(type).validate_python(value)


def validate_json(type: Any, value: Any) -> Any:
    """Validate decoded JSON in pydantic's JSON mode, so that strict models take it as JSON."""
    try:
        return pydantic_adapter(type).validate_json(_encode(value))
    except ValueError as error:
        if _entries(error)[0]["type"] == "json_invalid":
            raise MalformedMessage("nested too deeply") from error
        raise


def dump(value: Any) -> Any:
    """Return a value of pydantic's as builtins: by its aliases and serializers."""
    return pydantic_adapter(value.__class__).dump_python(value, mode="json", by_alias=True)


def find_foreign_problems(
    type: Any, value: Any, loc: list[str | int], strict: bool
) -> list[Problem]:
    """Return why `value`, which sits at `loc`, is no `type`: pydantic's own list, or one entry."""
    try:
        (read if strict else read_loosely)(type, value)
    except ValueError as error:
        if issubclass(type, PurePath):
            return [Problem(loc=loc, type="path_type", msg=str(error))]
        return [_as_problem(entry, loc, _is_model(type)) for entry in _entries(error)]
    return []


@cache
def pydantic_adapter(type: Any) -> Any:
    """Return pydantic's TypeAdapter of a class.

    Raises:
        TypeError: pydantic is missing, or does not know the type.
    """
    target = type.target if issubclass(type, _Delegate) else type
    try:
        from pydantic import PydanticUserError, TypeAdapter
    except ImportError as error:
        raise TypeError(f"{target!r} needs pydantic: install wirework[pydantic]") from error
    try:
        return TypeAdapter(target)
    except PydanticUserError as error:
        raise TypeError(f"pydantic cannot decode {target!r}: {error.message}") from error


def _read_path(type: Any, value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("Input is not a valid path")
    return type(value)


def _as_problem(entry: Mapping[str, Any], loc: Sequence[str | int], is_model: bool) -> Problem:
    where = [*loc, *entry["loc"]]
    of_whole_model = not entry["loc"] and is_model
    if of_whole_model and (not loc or entry["type"] not in ("model_type", "dataclass_type")):
        where.append(MODEL)
    return Problem(loc=where, type=entry["type"], msg=entry["msg"])


def _entries(error: Any) -> list[dict[str, Any]]:
    found = getattr(error, "errors", None)
    if found is None:
        return [{"loc": (), "type": "value_error", "msg": f"Value error, {error}"}]
    entries: list[dict[str, Any]] = found(
        include_url=False, include_input=False, include_context=False
    )
    return entries


@cache
def _delegate(target: Any) -> type[_Delegate]:
    cls = _AnyInstance("Delegate", (_Delegate,), {"target": target})
    pydantic_adapter(cls)
    return typing.cast("type[_Delegate]", cls)


def _is_model(cls: Any) -> bool:
    target = cls.target if issubclass(cls, _Delegate) else cls
    return hasattr(target, "__pydantic_validator__")


def _is_pydantic_dataclass(type: Any) -> bool:
    return bool(getattr(type, "__is_pydantic_dataclass__", False))


def _is_alias_statement(type: Any) -> bool:
    return bool(type.__class__.__name__ == "TypeAliasType")


def _has_pydantic_metadata(type: Any) -> bool:
    return typing.get_origin(type) is Annotated and any(
        _is_from_pydantic(item) for item in type.__metadata__
    )


def _is_from_pydantic(item: object) -> bool:
    package = type(item).__module__.partition(".")[0]
    return package in ("pydantic", "annotated_types") or hasattr(
        item, "__get_pydantic_core_schema__"
    )


def _needs_pydantic(type: Any) -> bool:
    if readable(type) is not type:
        return True
    return is_foreign(type) and not issubclass(type, PurePath)


def _readable_union(type: Any, arguments: tuple[Any, ...]) -> Any:
    several = [item for item in arguments if item is not types.NoneType]
    if len(several) > 1 and any(_needs_pydantic(item) for item in several):
        return _delegate(type)
    changed = tuple(readable(item) for item in arguments)
    return type if _same(changed, arguments) else functools.reduce(operator.or_, changed)


def _readable_alias(type: Any, arguments: tuple[Any, ...]) -> Any:
    origin = typing.get_origin(type)
    if not arguments or origin in (typing.Literal, Annotated):
        return type
    changed = tuple(item if item is ... else readable(item) for item in arguments)
    return type if _same(changed, arguments) else origin[changed]


def _same(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return all(a is b for a, b in zip(one, other, strict=True))
