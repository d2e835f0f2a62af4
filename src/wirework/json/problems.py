"""Every problem of a payload: a walk over decoded JSON beside msgspec's picture of the type.

msgspec stops at the first error, so this runs only after it has refused a payload. Names and
words are pydantic's where it has them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, ClassVar

import msgspec
from msgspec import inspect

from ..errors import Problem
from .foreign import MODEL, find_foreign_problems, is_foreign, read, read_loosely
from .leaves import check_leaf, check_size, is_leaf

__all__ = ["find_problems", "problem_of"]

Loc = list[str | int]

_ARRAYS: dict[type, tuple[str, str]] = {
    inspect.ListType: ("list_type", "List"),
    inspect.VarTupleType: ("tuple_type", "Tuple"),
    inspect.SetType: ("set_type", "Set"),
    inspect.FrozenSetType: ("frozen_set_type", "Frozenset"),
}

_MODELS: dict[type, str] = {
    inspect.StructType: "model_type",
    inspect.DataclassType: "dataclass_type",
    inspect.TypedDictType: "dict_type",
    inspect.NamedTupleType: "named_tuple_type",
}


_MOST = 100


def find_problems(value: Any, info: inspect.Type, *, strict: bool = True) -> list[Problem]:
    """Return everything that is wrong with decoded JSON as the type that `info` describes.

    At most the first 100: an answer must not grow far beyond the message. Empty when nothing is
    found that JSON Schema could say: then ask `problem_of`.
    """
    return list(islice(_Walk(strict).walk(value, info, []), _MOST))


def problem_of(error: Exception) -> Problem:
    """Return msgspec's own complaint as a problem."""
    text, _, path = str(error).partition(" - at `")
    # msgspec writes [...] for a key of a dict, which it does not tell.
    steps = re.findall(r"\.([^.\[`]+)|\[(\d+)\]", path.replace("[...]", ""))
    loc: Loc = [name or int(index) for name, index in steps]
    return Problem(loc=loc, type="value_error", msg=text or "Invalid value")


class _Walk:
    def __init__(self, strict: bool) -> None:
        self.strict = strict

    def walk(self, value: Any, info: Any, loc: Loc) -> Iterator[Problem]:
        if isinstance(info, inspect.Metadata):
            info = info.type
        if is_leaf(info):
            yield from _at(loc, check_leaf(value, info, strict=self.strict))
        elif type(info) in _MODELS:
            yield from self._model(value, info, loc)
        else:
            visit = self._visitors.get(type(info))
            if visit is not None:
                yield from visit(self, value, info, loc)

    def _array(self, value: Any, info: Any, loc: Loc) -> Iterator[Problem]:
        name, what = _ARRAYS[type(info)]
        if not isinstance(value, list | tuple | set | frozenset):
            yield Problem(loc=loc, type=name, msg="Input should be a valid array")
            return
        is_set = isinstance(info, inspect.SetType | inspect.FrozenSetType)
        is_any_set = is_set and isinstance(info.item_type, inspect.AnyType)
        for index, item in enumerate(value):
            yield from self.walk(item, info.item_type, [*loc, index])
            if is_any_set and isinstance(item, list | dict):
                yield from _at([*loc, index], [_UNHASHABLE])
        yield from _at(loc, check_size(list(value), info, what, "item"))

    def _tuple(self, value: Any, info: Any, loc: Loc) -> Iterator[Problem]:
        if not isinstance(value, list | tuple):
            yield Problem(loc=loc, type="tuple_type", msg="Input should be a valid array")
            return
        size = len(info.item_types)
        for index, (item, item_type) in enumerate(zip(value, info.item_types, strict=False)):
            yield from self.walk(item, item_type, [*loc, index])
        for index in range(len(value), size):
            yield from _at([*loc, index], [_MISSING])
        if len(value) > size:
            message = f"Tuple should have at most {size} items after validation, not {len(value)}"
            yield Problem(loc=loc, type="too_long", msg=message)

    def _dict(self, value: Any, info: Any, loc: Loc) -> Iterator[Problem]:
        if not isinstance(value, dict):
            yield Problem(loc=loc, type="dict_type", msg="Input should be an object")
            return
        for key, item in value.items():
            if not isinstance(info.key_type, inspect.AnyType):
                # A key is always text in JSON, whatever it stands for.
                yield from _Walk(strict=False).walk(key, info.key_type, [*loc, key, "[key]"])
            yield from self.walk(item, info.value_type, [*loc, key])
        yield from _at(loc, check_size(list(value), info, "Dictionary", "item"))

    def _custom(self, value: Any, info: Any, loc: Loc) -> Iterator[Problem]:
        if is_foreign(info.cls):
            yield from find_foreign_problems(info.cls, value, loc, self.strict)

    def _model(self, value: Any, info: Any, loc: Loc) -> Iterator[Problem]:
        is_array = isinstance(info, inspect.NamedTupleType) or getattr(info, "array_like", False)
        if not isinstance(value, list | tuple if is_array else dict):
            message = "Input should be a valid array" if is_array else "Input should be an object"
            yield Problem(loc=loc or [MODEL], type=_MODELS[type(info)], msg=message)
            return
        found = False
        fields: Any = dict(enumerate(value)) if is_array else value
        for problem in self._fields(fields, info, loc):
            found = True
            yield problem
        if not found:
            yield from self._whole(value, info.cls, loc)

    def _fields(self, value: dict[Any, Any], info: Any, loc: Loc) -> Iterator[Problem]:
        names = _field_keys(info)
        for name, field in names.items():
            if name in value:
                yield from self.walk(value[name], field.type, [*loc, name])
            elif field.required:
                yield from _at([*loc, name], [_MISSING])
        tag_key = _tag_key(info)
        if tag_key is not None and tag_key in value and value[tag_key] != info.tag:
            fault = ("literal_error", f"Input should be {info.tag!r}")
            yield from _at([*loc, tag_key], [fault])
        if getattr(info, "forbid_unknown_fields", False):
            for key in value:
                if key not in names and key != tag_key:
                    yield from _at([*loc, key], [_EXTRA])

    def _whole(self, value: Any, cls: Any, loc: Loc) -> Iterator[Problem]:
        if not any(hasattr(cls, hook) for hook in _MODEL_HOOKS):
            return
        hook = read if self.strict else read_loosely
        try:
            msgspec.convert(value, cls, strict=self.strict, dec_hook=hook, str_keys=True)
        except msgspec.ValidationError as error:
            if error.__cause__ is not None:
                fault = ("value_error", f"Value error, {_words(error.__cause__)}")
                yield from _at([*loc, MODEL], [fault])
        except AssertionError as error:
            fault = ("assertion_error", f"Assertion failed, {_words(error)}")
            yield from _at([*loc, MODEL], [fault])

    def _union(self, value: Any, info: Any, loc: Loc) -> Iterator[Problem]:
        members = [_bare(item) for item in info.types if not isinstance(item, inspect.NoneType)]
        if value is None and len(members) < len(info.types):
            return
        tagged = [item for item in members if _fits_tags(item, value)]
        if len(tagged) > 1:
            yield from self._tagged(value, tagged, loc)
            return
        tries = [list(self.walk(value, member, loc)) for member in tagged or members]
        if all(tries):
            near = [found for found in tries if not _is_of_other_kind(found, loc)]
            yield from _distinct(problem for found in near or tries for problem in found)

    def _tagged(self, value: Any, members: list[Any], loc: Loc) -> Iterator[Problem]:
        key = _tag_key(members[0])
        fields = dict(enumerate(value)) if isinstance(value, list | tuple) else value
        if key not in fields:
            message = f"Unable to extract tag using discriminator {members[0].tag_field!r}"
            yield Problem(loc=loc or [MODEL], type="union_tag_not_found", msg=message)
            return
        for member in members:
            if type(member.tag) is type(fields[key]) and member.tag == fields[key]:
                yield from self.walk(value, member, loc)
                return
        expected = ", ".join(repr(member.tag) for member in members)
        message = (
            f"Input tag {str(fields[key])!r} found using {members[0].tag_field!r} does not match "
            f"any of the expected tags: {expected}"
        )
        yield Problem(loc=loc or [MODEL], type="union_tag_invalid", msg=message)

    _visitors: ClassVar[dict[type, Callable[[_Walk, Any, Any, Loc], Iterator[Problem]]]] = {
        **dict.fromkeys(_ARRAYS, _array),
        inspect.TupleType: _tuple,
        inspect.DictType: _dict,
        inspect.CustomType: _custom,
        inspect.UnionType: _union,
    }


_MISSING = ("missing", "Field required")
_EXTRA = ("extra_forbidden", "Extra inputs are not permitted")
_UNHASHABLE = ("set_item_not_hashable", "Set items should be hashable")
_MODEL_HOOKS = ("__post_init__", "__attrs_attrs__")


def _at(loc: Loc, faults: Iterable[tuple[str, str]]) -> Iterator[Problem]:
    for name, message in faults:
        yield Problem(loc=loc, type=name, msg=message)


def _bare(info: Any) -> Any:
    return info.type if isinstance(info, inspect.Metadata) else info


def _tag_key(info: Any) -> str | int | None:
    if getattr(info, "tag_field", None) is None:
        return None
    return 0 if info.array_like else str(info.tag_field)


def _field_keys(info: Any) -> dict[Any, Any]:
    if isinstance(info, inspect.NamedTupleType):
        return dict(enumerate(info.fields))
    if getattr(info, "array_like", False):
        return dict(enumerate(info.fields, start=0 if info.tag_field is None else 1))
    return {field.encode_name: field for field in info.fields}


def _fits_tags(info: Any, value: Any) -> bool:
    if not isinstance(info, inspect.StructType) or info.tag_field is None:
        return False
    return isinstance(value, list | tuple if info.array_like else dict)


def _is_of_other_kind(problems: list[Problem], loc: Loc) -> bool:
    here = (loc, loc or [MODEL])
    return any(item["loc"] in here and item["type"].endswith("_type") for item in problems)


def _distinct(problems: Iterable[Problem]) -> Iterator[Problem]:
    return iter({(*problem["loc"], problem["type"]): problem for problem in problems}.values())


def _words(error: BaseException) -> str:
    """Return the text of a validator's error; of a TypeError, mostly a bug, no text goes out."""
    if isinstance(error, TypeError) or not error.args or not isinstance(error.args[0], str):
        return "the model refuses these values"
    return error.args[0]
