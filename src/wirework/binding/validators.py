"""`Validate`: checks of decoded values that need more than the value, such as a database."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterator, Mapping
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

import msgspec

from ..errors import Problem, RegistrationError, ValidationError
from .forms import WRAPPERS, hints_of, is_model
from .markers import Marker

if TYPE_CHECKING:
    from .plan import Context, Plan

__all__ = ["Checks", "Validate", "validates"]

WHOLE = "__model__"
"""Where a problem of a payload as a whole is."""


class Validate(Marker):
    """Says in an annotation that a value must pass a check: `Annotated[str, Validate(is_free)]`.

    `function` may be def (it runs in a thread) or async def. Its first parameter takes the value,
    the others are filled like those of a dependency, `Depends` included. It raises `ValueError`,
    whose text the peer is told, or `ValidationError`; what it returns does not count. It stands at
    a parameter of a message handler, or at a field of a model, however deep; where it could not
    run, registration fails. All checks of a message run, after it has been decoded; their
    problems are told together. `receive_json`, `iter_json` and `request` only decode.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        if not callable(function) or isinstance(function, type):
            raise TypeError(f"Validate: expected a function, got {function!r}")
        self.function = function

    def __repr__(self) -> str:
        return f"Validate({getattr(self.function, '__qualname__', self.function)!s})"


class Checks:
    """The checks of one type: its own, and those of what it is made of."""

    def __init__(self) -> None:
        self.plans: list[Plan] = []
        self.fields: dict[str, Checks] = {}
        self.names: dict[str, str] = {}
        """Field -> what it is called in the message, where that is another name."""
        self.positions: list[Checks] = []
        self.items: Checks | None = None
        self.keys: Checks | None = None
        self.members: list[tuple[type, Checks]] = []
        """Of a union: types of values, and the checks of the member that has them."""

    @classmethod
    def of(cls, annotation: Any, compile: Callable[[Validate], Plan], where: str) -> Checks | None:
        """Return the checks in `annotation`; None where there are none.

        Raises:
            RegistrationError: one is where it cannot be run; `where` is told.
        """
        checks = _Reading(compile, where).checks(annotation)
        return checks if _has_any(checks, set()) else None

    async def run(self, value: Any, context: Context, path: tuple[str | int, ...] = ()) -> None:
        """Run them all.

        Raises:
            ValidationError: with every problem.
        """
        problems: list[Problem] = []
        await self._collect(value, context, path, problems)
        if problems:
            raise ValidationError(problems)

    async def _collect(
        self, value: Any, context: Context, path: tuple[str | int, ...], found: list[Problem]
    ) -> None:
        for plan in self.plans:
            found += await _problems(plan, value, context, path)
        for step, part, checks in self._parts(value):
            await checks._collect(part, context, (*path, *step), found)

    def _parts(self, value: Any) -> Iterator[tuple[tuple[str | int, ...], Any, Checks]]:
        """Yield what has checks in `value`: the way to it, the part, its checks."""
        for name, checks in self.fields.items():
            there, part = _field(value, name)
            if there:
                yield (self.names.get(name, name),), part, checks
        for index, checks in enumerate(self.positions):
            yield (index,), value[index], checks
        if self.items is not None:
            for step, item in _items(value):
                yield (step,), item, self.items
        if self.keys is not None:
            for key in value:
                yield (key,), key, self.keys
        for checks in self._checks_of_member(value):
            yield (), value, checks

    def _checks_of_member(self, value: Any) -> list[Checks]:
        exact = [checks for kind, checks in self.members if kind is type(value)]
        if exact or value is None:
            return exact
        return [checks for kind, checks in self.members if isinstance(value, kind)]


class _Reading:
    """Reads the checks of types; one that contains itself is read once."""

    def __init__(self, compile: Callable[[Validate], Plan], where: str) -> None:
        self._compile = compile
        self._where = where
        self._known: dict[Any, Checks] = {}

    def checks(self, annotation: Any) -> Checks:
        origin, args = get_origin(annotation), get_args(annotation)
        if origin in WRAPPERS:
            own = [each for each in args[1:] if isinstance(each, Validate)]
            return self._with(own, self.checks(args[0]))
        if origin in (Union, UnionType):
            return self._of_union([each for each in args if each is not NoneType])
        if is_model(annotation) or hasattr(annotation, "_fields"):
            return self._of_model(annotation)
        if hasattr(annotation, "__supertype__"):
            return self.checks(annotation.__supertype__)
        return self._of_collection(annotation, origin or annotation, args)

    def _with(self, own: list[Validate], checks: Checks) -> Checks:
        if not own:
            return checks
        found = copy.copy(checks)
        found.plans = checks.plans + [self._compile(each) for each in own]
        return found

    def _of_collection(self, annotation: Any, kind: Any, args: tuple[Any, ...]) -> Checks:
        checks = Checks()
        if not isinstance(kind, type) or not issubclass(kind, Collection):
            self._check_none_in(annotation)
        elif issubclass(kind, tuple) and args[-1:] != (...,):
            checks.positions = [self.checks(each) for each in args]
        elif issubclass(kind, Mapping) and len(args) == 2:
            checks.keys, checks.items = self.checks(args[0]), self.checks(args[1])
        elif args and not issubclass(kind, Mapping):
            checks.items = self.checks(args[0])
        else:
            self._check_none_in(annotation)
        return checks

    def _of_union(self, members: list[Any]) -> Checks:
        checks = Checks()
        for member in members:
            kinds = _kinds(member)
            if len(members) == 1:
                kinds = [object, *(each for each in kinds if each is NoneType)]
            elif not kinds or object in kinds:
                self._check_none_in(member)
            inner = self.checks(member)
            checks.members += [(kind, inner) for kind in kinds]
        return checks

    def _of_model(self, kind: Any) -> Checks:
        if kind not in self._known:
            for each in get_args(kind):
                self._check_none_in(each)
            checks = self._known[kind] = Checks()
            if hasattr(kind, "_fields"):
                hints = get_type_hints(kind, include_extras=True)
                checks.positions += [self.checks(each) for each in hints.values()]
            for name, hint in hints_of(kind).items():
                checks.fields[name] = self.checks(hint)
            checks.names.update(_names(get_origin(kind) or kind))
        return self._known[kind]

    def _check_none_in(self, annotation: Any) -> None:
        if validates(annotation):
            raise RegistrationError(
                self._where,
                f"a Validate within {annotation} cannot be run",
                "put it at a field of a model, or within a list, dict, tuple or union",
            )


def validates(annotation: Any) -> bool:
    """Whether there is a `Validate` in an annotation; fields of models are not looked at."""
    parts = get_args(annotation) or (getattr(annotation, "__supertype__", None),)
    return any(
        isinstance(each, Validate) or (each is not None and validates(each)) for each in parts
    )


def _kinds(member: Any) -> list[type]:
    """Return the classes of the values of a member of a union; none where that is not clear."""
    origin, args = get_origin(member), get_args(member)
    if origin in WRAPPERS:
        return _kinds(args[0])
    if origin in (Union, UnionType):
        return [kind for each in args for kind in _kinds(each)]
    if origin is Literal:
        return [type(each) for each in args]
    if hasattr(member, "__supertype__"):
        return _kinds(member.__supertype__)
    kind = object if member is Any else origin or member
    if not isinstance(kind, type):
        return []
    return [dict if is_typeddict(kind) else kind]


async def _problems(
    plan: Plan, value: Any, context: Context, path: tuple[str | int, ...]
) -> list[Problem]:
    context.checked = value
    try:
        await plan.call(context)
    except ValidationError as error:
        return [{**problem, "loc": [*path, *problem["loc"]]} for problem in error.problems]
    except ValueError as error:
        return [{"loc": [*path] or [WHOLE], "type": "value_error", "msg": str(error)}]
    return []


def _has_any(checks: Checks, seen: set[int]) -> bool:
    if id(checks) in seen:
        return False
    seen.add(id(checks))
    parts = [*checks.fields.values(), *(each for _, each in checks.members)]
    parts += [*checks.positions, *(each for each in (checks.items, checks.keys) if each)]
    return bool(checks.plans) or any(_has_any(part, seen) for part in parts)


def _field(value: Any, name: str) -> tuple[bool, Any]:
    if isinstance(value, dict):
        return name in value, value.get(name)
    return hasattr(value, name), getattr(value, name, None)


def _items(value: Any) -> Iterator[tuple[str | int, Any]]:
    yield from value.items() if isinstance(value, Mapping) else enumerate(value)


def _names(kind: Any) -> Mapping[str, str]:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return {field.name: field.encode_name for field in msgspec.structs.fields(kind)}
    fields: Mapping[str, Any] = getattr(kind, "model_fields", {})
    return {name: field.alias for name, field in fields.items() if field.alias}
