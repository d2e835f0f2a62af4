"""`Validate`: checks of decoded values that need more than the value, such as a database."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

import msgspec

from ..errors import Problem, ValidationError
from .forms import hints_of, is_model

if TYPE_CHECKING:
    from .plan import Context, Plan

__all__ = ["Checks", "Validate"]

WHOLE = "__model__"
"""Where a problem of a payload as a whole is."""


class Validate:
    """Says in an annotation that a value must pass a check: `Annotated[str, Validate(is_free)]`.

    `function` may be def (it runs in a thread) or async def. Its first parameter takes the value,
    the others are filled like those of a dependency, `Depends` included. It raises `ValueError`,
    whose text the peer is told, or `ValidationError`; what it returns does not count. It stands at
    a parameter of a message handler, or at a field of a model, however deep. All checks of a
    message run, after it has been decoded; their problems are told together.
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
        self.items: Checks | None = None
        self.members: list[tuple[type, Checks]] = []

    @classmethod
    def of(cls, annotation: Any, compile: Callable[[Validate], Plan]) -> Checks | None:
        """Return the checks in `annotation`; None where there are none."""
        checks = _Reading(compile).checks(annotation)
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
        if value is None and not self.plans:
            return
        for plan in self.plans:
            found += await _problems(plan, value, context, path)
        for name, checks in self.fields.items():
            there, part = _field(value, name)
            if there:
                inner = (*path, self.names.get(name, name))
                await checks._collect(part, context, inner, found)
        for step, item in _items(value) if self.items is not None else ():
            assert self.items is not None
            await self.items._collect(item, context, (*path, step), found)
        for kind, checks in self.members:
            if isinstance(value, kind):
                await checks._collect(value, context, path, found)


class _Reading:
    """Reads the checks of types; one that contains itself is read once."""

    def __init__(self, compile: Callable[[Validate], Plan]) -> None:
        self._compile = compile
        self._known: dict[Any, Checks] = {}

    def checks(self, annotation: Any) -> Checks:
        checks = Checks()
        origin, args = get_origin(annotation), get_args(annotation)
        if origin is Annotated:
            checks = self.checks(args[0])
            own = [each for each in args[1:] if isinstance(each, Validate)]
            if own:
                checks = _copied(checks)
                checks.plans += [self._compile(each) for each in own]
        elif origin in (Union, UnionType):
            return self._of_union([each for each in args if each is not NoneType])
        elif origin in (list, set, frozenset, tuple) and args:
            checks.items = self.checks(args[0])
        elif origin is dict:
            checks.items = self.checks(args[1])
        elif is_model(annotation):
            return self._of_model(annotation)
        return checks

    def _of_union(self, members: list[Any]) -> Checks:
        if len(members) == 1:
            return self.checks(members[0])
        checks = Checks()
        for member in members:
            kind = get_origin(member) or member
            if isinstance(kind, type):
                checks.members.append((kind if _is_real(kind) else dict, self.checks(member)))
        return checks

    def _of_model(self, kind: Any) -> Checks:
        if kind not in self._known:
            checks = self._known[kind] = Checks()
            for name, hint in hints_of(kind).items():
                checks.fields[name] = self.checks(hint)
            checks.names.update(_names(get_origin(kind) or kind))
        return self._known[kind]


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
    parts += [checks.items] if checks.items is not None else []
    return bool(checks.plans) or any(_has_any(part, seen) for part in parts)


def _copied(checks: Checks) -> Checks:
    """Return checks that may get more of their own, without those of the type getting them."""
    found = copy.copy(checks)
    found.plans = list(checks.plans)
    return found


def _field(value: Any, name: str) -> tuple[bool, Any]:
    if isinstance(value, dict):
        return name in value, value.get(name)
    return hasattr(value, name), getattr(value, name, None)


def _items(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, (list, tuple, set, frozenset)):
        yield from enumerate(value)


def _is_real(kind: type) -> bool:
    """Whether values are instances of it, as those of a TypedDict are not."""
    return not hasattr(kind, "__required_keys__")


def _names(kind: Any) -> Mapping[str, str]:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return {field.name: field.encode_name for field in msgspec.structs.fields(kind)}
    fields: Mapping[str, Any] = getattr(kind, "model_fields", {})
    return {name: field.alias for name, field in fields.items() if field.alias}
