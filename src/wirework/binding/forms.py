"""Form fields into typed values: HTML forms carry only strings, and leave out what is empty."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Final,
    NotRequired,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

import msgspec

from ..json import JsonAdapter

__all__ = ["WRAPPERS", "form_converter", "hints_of", "is_model"]

WRAPPERS = (Annotated, Required, NotRequired, Final)
"""What stands around a type and says something of it: its first argument is the type."""

_SEQUENCES = (list, tuple, set, frozenset)


def form_converter(json: JsonAdapter, annotation: Any) -> Callable[[Any], Any]:
    """Return a function from form fields to `annotation`, coercing strings.

    What HTML cannot say is filled in: a single value for a list becomes a list of one, an empty
    string for a field that takes no text counts as absent, an absent checkbox (a required bool)
    is False.
    """
    convert = json.converter(annotation, strict=False)
    fields = {name: _Field(hint) for name, hint in hints_of(annotation).items()}
    required = _required(annotation)

    def from_form(form: Any) -> Any:
        if not isinstance(form, Mapping):
            return convert(form)
        values = dict(form)
        for name, field in fields.items():
            if name in values:
                field.mend(name, values, is_required=name in required)
            elif field.is_list and name in required:
                values[name] = []
            elif field.is_bool and name in required:
                values[name] = False
        return convert(values)

    return from_form


class _Field:
    """What a field's type says about the strings that may fill it."""

    def __init__(self, hint: Any) -> None:
        members = _members(hint)
        kinds = [get_origin(each) or each for each in members]
        self.is_list = any(kind in _SEQUENCES for kind in kinds)
        self.is_bool = kinds == [bool]
        self.is_optional = _takes_none(hint)
        self.takes_text = any(
            kind in (str, bytes, Any, object) or isinstance(kind, str) for kind in kinds
        )

    def mend(self, name: str, values: dict[str, Any], *, is_required: bool) -> None:
        value = values[name]
        if self.is_list and not isinstance(value, list):
            values[name] = [value]
        elif value == "" and not self.takes_text and not self.is_list:
            del values[name]
            if self.is_bool:
                values[name] = False
            elif self.is_optional and is_required:
                values[name] = None


def _members(hint: Any) -> list[Any]:
    origin = get_origin(hint)
    if origin in WRAPPERS:
        return _members(get_args(hint)[0])
    if origin in (Union, UnionType):
        return [m for each in get_args(hint) if each is not NoneType for m in _members(each)]
    return [hint]


def _takes_none(hint: Any) -> bool:
    if get_origin(hint) in WRAPPERS:
        return _takes_none(get_args(hint)[0])
    return get_origin(hint) in (Union, UnionType) and NoneType in get_args(hint)


def hints_of(annotation: Any) -> dict[str, Any]:
    """Return the fields of a model and their annotations; none for what is no model."""
    members = _members(annotation)
    kind = get_origin(members[0]) or members[0]
    if len(members) != 1 or not is_model(kind):
        return {}
    attributes = getattr(kind, "model_fields", None)
    if attributes is not None:
        return {name: _whole_hint(field) for name, field in attributes.items()}
    return get_type_hints(kind, include_extras=True)


def _whole_hint(field: Any) -> Any:
    """Return the annotation of a pydantic field with what stood beside it in `Annotated`."""
    return Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation


def _required(annotation: Any) -> set[str]:
    members = _members(annotation)
    kind: Any = get_origin(members[0]) or members[0]
    if not isinstance(kind, type):
        return set()
    if issubclass(kind, msgspec.Struct):
        return {field.name for field in msgspec.structs.fields(kind) if field.required}
    if dataclasses.is_dataclass(kind):
        missing = dataclasses.MISSING
        fields = dataclasses.fields(kind)
        return {f.name for f in fields if f.default is missing and f.default_factory is missing}
    attributes = getattr(kind, "model_fields", None)
    if attributes is not None:
        return {name for name, field in attributes.items() if field.is_required()}
    if hasattr(kind, "__attrs_attrs__"):
        nothing = sys.modules["attr"].NOTHING
        return {field.name for field in kind.__attrs_attrs__ if field.default is nothing}
    if is_typeddict(kind):
        hints = get_type_hints(kind, include_extras=True)
        return {name for name in hints if _is_key_required(kind, name, hints[name])}
    return set()


def _is_key_required(kind: Any, name: str, hint: Any) -> bool:
    """Whether a key of a TypedDict is required; it does not know of annotations in quotes."""
    while get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) in (Required, NotRequired):
        return get_origin(hint) is Required
    return name in kind.__required_keys__


def is_model(annotation: Any) -> bool:
    """Whether `annotation` is a type that describes a whole payload.

    Structs, dataclasses, TypedDicts, attrs and pydantic models, and unions of them.
    """
    origin = get_origin(annotation)
    if origin is Annotated:
        return is_model(get_args(annotation)[0])
    if origin in (Union, UnionType):
        members = [each for each in get_args(annotation) if each is not NoneType]
        return all(is_model(each) for each in members)
    kind = origin or annotation
    if not isinstance(kind, type):
        return False
    return (
        issubclass(kind, msgspec.Struct)
        or dataclasses.is_dataclass(kind)
        or is_typeddict(kind)
        or hasattr(kind, "__attrs_attrs__")
        or hasattr(kind, "__pydantic_validator__")
    )
