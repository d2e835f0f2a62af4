"""A type, examined once: may it be decoded, how, and what is wrong when it does not fit."""

from __future__ import annotations

import sys
import typing
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any

import msgspec
from msgspec import inspect

from ..errors import MalformedMessage, ValidationError
from .defaults import fill_defaults, needs_defaults
from .foreign import is_foreign, pydantic_adapter, read, read_loosely, readable
from .form import loosen
from .problems import find_problems, problem_of

__all__ = ["FAILURES", "Plan", "plan_of"]

FAILURES = (
    msgspec.MsgspecError,
    ValueError,
    TypeError,
    OverflowError,
    RecursionError,
    AssertionError,
)
"""What decoding may raise; `Plan.explain` turns it into the two errors of the protocol."""

_TOO_DEEP = "nested too deeply"


class Plan:
    """How one type is decoded.

    Raises:
        TypeError: nothing can be decoded into the type.
    """

    def __init__(self, type: Any) -> None:
        self.type = readable(type)
        self.info = inspect.type_info(self.type)
        seen = list(_descend(self.info))
        for info in seen:
            _check(info, type)
        self.needs_text = any(
            isinstance(info, inspect.RawType | inspect.DecimalType) for info in seen
        )
        """Only msgspec's own decoder can do it: the text of a number or value matters."""
        self.keeps_integers = any(_tells_numbers_apart(info) for info in seen)
        """It matters whether a long number was an integer or a float."""
        self._lacks_defaults = any(needs_defaults(info) for info in seen)
        self._is_plain = not any(_needs_options(info) for info in seen)

    def decoder(self) -> Callable[[bytes | str], Any]:
        """Return msgspec's decoder of the type, with the protocol's errors."""
        decode = self.bare_decoder()
        explain = self.explain

        def decode_typed(data: bytes | str) -> Any:
            try:
                return decode(data)
            except FAILURES as error:
                raise explain(data, error) from error

        return decode_typed

    def bare_decoder(self) -> Callable[[bytes | str], Any]:
        """Return msgspec's decoder of the type, with msgspec's errors."""
        decode = msgspec.json.Decoder(self.type, dec_hook=read).decode
        if self._lacks_defaults:
            return lambda data: fill_defaults(decode(data))
        return decode

    def converter(self, *, strict: bool) -> Callable[[object], Any]:
        """Return a function from decoded builtins to the type, with the protocol's errors."""
        convert = self.bare_converter(strict=strict)

        def convert_typed(value: object) -> Any:
            prepared = value if strict else loosen(value, self.info)
            try:
                return convert(prepared)
            except FAILURES as error:
                raise self.explain_value(prepared, error, strict=strict) from error

        return convert_typed

    def bare_converter(self, *, strict: bool) -> Callable[[object], Any]:
        """Return the same with msgspec's errors."""
        convert = self._bare_converter(strict=strict)
        if self._lacks_defaults:
            return lambda value: fill_defaults(convert(value))
        return convert

    def _bare_converter(self, *, strict: bool) -> Callable[[object], Any]:
        type, convert = self.type, msgspec.convert
        if strict and self._is_plain:
            # Without keywords the call takes a third of the time.
            return lambda value: convert(value, type)
        hook = read if strict else read_loosely
        return partial(convert, type=type, strict=strict, dec_hook=hook, str_keys=True)

    def explain(self, data: bytes | str, error: Exception) -> Exception:
        """Return the error to raise when decoding `data` raised `error`."""
        try:
            value = msgspec.json.decode(data)
        except RecursionError:
            return MalformedMessage(f"not readable as JSON: {_TOO_DEEP}")
        except UnicodeError:
            return MalformedMessage("not readable as JSON: not UTF-8")
        except msgspec.DecodeError as reason:
            words = str(reason).removeprefix("JSON is malformed: ")
            return MalformedMessage(f"not readable as JSON: {words[:1].lower()}{words[1:]}")
        except TypeError:
            return error
        return self.explain_value(value, error, strict=True)

    def explain_value(self, value: object, error: Exception, *, strict: bool) -> Exception:
        """Return the error to raise when converting `value` raised `error`."""
        try:
            problems = find_problems(value, self.info, strict=strict)
        except RecursionError as found:
            problems, error = [], found
        if problems:
            return ValidationError(problems)
        if isinstance(error, RecursionError):
            return MalformedMessage(f"not readable as JSON: {_TOO_DEEP}")
        # A TypeError that is not about the payload is a mistake in the program.
        return error if isinstance(error, TypeError) else ValidationError([problem_of(error)])


def plan_of(type: Any) -> Plan:
    """Return the plan of a type, made once where the type can be hashed."""
    try:
        hash(type)
    except TypeError:
        return Plan(type)
    return _plan_of(type)


_plan_of = lru_cache(maxsize=1024)(Plan)


def _descend(info: inspect.Type) -> Iterator[inspect.Type]:
    seen: dict[int, inspect.Type] = {}
    waiting: list[Any] = [info]
    while waiting:
        item = waiting.pop()
        if id(item) not in seen:
            seen[id(item)] = item
            waiting.extend(_parts(item))
            yield item


def _parts(info: Any) -> Iterator[inspect.Type]:
    for name in ("type", "item_type", "key_type", "value_type"):
        part = getattr(info, name, None)
        if isinstance(part, inspect.Type):
            yield part
    for name in ("types", "item_types"):
        yield from getattr(info, name, ())
    for field in getattr(info, "fields", ()):
        yield field.type


def _tells_numbers_apart(info: inspect.Type) -> bool:
    if isinstance(info, inspect.UnionType):
        kinds = {type(_bare(member)) for member in info.types}
        return {inspect.IntType, inspect.FloatType} <= kinds
    return isinstance(info, inspect.AnyType | inspect.CustomType)


def _needs_options(info: inspect.Type) -> bool:
    if isinstance(info, inspect.DictType):
        return not isinstance(_bare(info.key_type), inspect.StrType | inspect.AnyType)
    return isinstance(info, inspect.CustomType)


def _bare(info: inspect.Type) -> inspect.Type:
    return info.type if isinstance(info, inspect.Metadata) else info


def _check(info: Any, source: Any) -> None:
    if isinstance(info, inspect.CustomType) and info.cls is not object:
        if not is_foreign(info.cls):
            inside = "" if info.cls is source else f" (in {source!r})"
            raise TypeError(f"cannot decode JSON into {info.cls!r}{inside}")
        if hasattr(info.cls, "target") or hasattr(info.cls, "__get_pydantic_core_schema__"):
            pydantic_adapter(info.cls)
    elif isinstance(info, inspect.SetType | inspect.FrozenSetType):
        if _is_never_hashable(_bare(info.item_type)):
            raise TypeError(f"cannot decode JSON into {source!r}: items of sets must be hashable")
    elif "pydantic" in sys.modules and hasattr(info, "fields"):
        _refuse_ignored(info.cls)


def _is_never_hashable(info: Any) -> bool:
    if isinstance(info, inspect.StructType):
        config = info.cls.__struct_config__
        return config.eq and not config.frozen
    if isinstance(info, inspect.DataclassType):
        return info.cls.__hash__ is None
    return isinstance(
        info, inspect.ListType | inspect.SetType | inspect.DictType | inspect.TypedDictType
    )


def _refuse_ignored(cls: Any) -> None:
    hints = typing.get_type_hints(getattr(cls, "__origin__", cls), include_extras=True)
    for name, hint in hints.items():
        if readable(hint) is not hint:
            raise TypeError(
                f"{cls!r}: its field {name!r} has a type that only pydantic checks, {hint!r}; "
                "make the class a pydantic model, or use msgspec.Meta and tagged Structs"
            )
