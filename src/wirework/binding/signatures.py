"""A function's parameters with their annotations resolved, or an error that says what is wrong."""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any, ForwardRef, get_args, get_type_hints

from ..errors import RegistrationError
from .depends import Depends

__all__ = [
    "LocalNames",
    "can_take",
    "local_names",
    "name_of",
    "parameters_of",
    "returned_by",
    "user_names",
]


class LocalNames(dict[str, Any]):
    """Local names that annotations may use, and the function they are local to."""

    def __init__(
        self, values: Mapping[str, Any] | None = None, module: str = "", function: str = ""
    ) -> None:
        super().__init__(values or {})
        self._module = module
        self._within = f"{function}.<locals>."

    def known_to(self, target: Callable[..., Any]) -> dict[str, Any]:
        """Return the names that the annotations of `target` may use beside its own globals.

        They win over globals only where they do in Python: when `target` is defined inside the
        function that they are local to.
        """
        inner = inspect.unwrap(target)
        name = getattr(inner, "__qualname__", "")
        if getattr(inner, "__module__", None) == self._module and name.startswith(self._within):
            return dict(self)
        known = getattr(inner, "__globals__", {})
        is_free = {name: name not in known and not hasattr(builtins, name) for name in self}
        return {name: value for name, value in self.items() if is_free[name]}


def parameters_of(
    function: Callable[..., Any], where: str, names: LocalNames
) -> list[inspect.Parameter]:
    """Return the parameters of `function`, their annotations resolved.

    Args:
        function: any callable; a class stands for its constructor.
        where: how errors name it.
        names: local names that its annotations may use.

    Raises:
        RegistrationError: no signature, `*args` or `**kwargs`, or an annotation that names
            something unknown.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        raise RegistrationError(
            where, "its parameters cannot be read", "wrap it in a def"
        ) from None
    hints = _hints(function, where, names)
    found = []
    for parameter in signature.parameters.values():
        if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
            raise RegistrationError(
                where,
                f"parameter {parameter.replace(annotation=parameter.empty)} cannot be filled",
                "name each parameter that is to be filled",
            )
        annotation = hints.get(parameter.name, parameter.annotation)
        found.append(parameter.replace(annotation=annotation))
    return found


def returned_by(function: Callable[..., Any], where: str, names: LocalNames) -> Any:
    """Return what `function` is annotated to return; `object` where it does not say.

    Raises:
        RegistrationError: an annotation names something unknown.
    """
    return _hints(function, where, names).get("return", object)


def _hints(function: Callable[..., Any], where: str, names: LocalNames) -> dict[str, Any]:
    target = _annotated(function)
    try:
        return get_type_hints(target, localns=names.known_to(target), include_extras=True)
    except NameError as error:
        raise RegistrationError(
            where,
            f"an annotation uses the name {error.name!r}, which is not known there",
            "import it at module level (not under TYPE_CHECKING), or drop the quotes",
        ) from None
    except TypeError as error:
        raise RegistrationError(where, f"an annotation cannot be read: {error}") from None


def _annotated(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return what holds the annotations of a callable."""
    target: Any = function
    while isinstance(target, functools.partial):
        target = target.func
    if inspect.isclass(target):
        return target.__init__
    return target if inspect.isroutine(target) else type(target).__call__


def can_take(function: Callable[..., Any], count: int) -> bool:
    """Whether `function` can be called with `count` positional arguments."""
    try:
        inspect.signature(function).bind(*[None] * count)
    except TypeError:
        return False
    except ValueError:
        return True
    return True


def name_of(function: Any) -> str:
    """Return how errors name a function."""
    return getattr(function, "__qualname__", None) or type(function).__qualname__


def local_names(*functions: Callable[..., Any] | None, depth: int = 2) -> LocalNames:
    """Return those local names of the caller `depth` frames up that annotations may need.

    Annotations of a function that is defined inside another one may use them: those of
    `functions`, and of the dependencies that they name. No other local of the frame is kept.
    """
    return _names_of(sys._getframe(depth), functions)


def user_names(*functions: Callable[..., Any] | None) -> LocalNames:
    """Return what `local_names` does for the nearest frame that is not Wirework's own."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("wirework."):
        frame = frame.f_back
    return _names_of(frame, functions)


def _names_of(frame: FrameType, functions: tuple[Callable[..., Any] | None, ...]) -> LocalNames:
    if frame.f_locals is frame.f_globals:
        return LocalNames()
    module = frame.f_globals.get("__name__", "")
    return LocalNames(_used(functions, frame.f_locals), module, frame.f_code.co_qualname)


def _used(things: tuple[Any, ...], known: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `things` (functions, annotations, their text) use of the names in `known`."""
    found: dict[str, Any] = {}
    todo, seen = list(things), set[int]()
    while todo:
        thing = todo.pop()
        if isinstance(thing, str):
            names = [name for name in _names_in(thing) if name in known and name not in found]
            found |= {name: known[name] for name in names}
            todo += [known[name] for name in names]
        elif id(thing) not in seen:
            seen.add(id(thing))
            todo += _parts_of(thing)
    return found


def _parts_of(thing: Any) -> list[Any]:
    if isinstance(thing, Depends):
        return [thing.function]
    if isinstance(thing, ForwardRef):
        return [thing.__forward_arg__]
    parts = list(get_args(thing))
    if callable(thing) and not parts:
        parts += (getattr(_annotated(thing), "__annotations__", None) or {}).values()
    return parts


def _names_in(text: str) -> Iterator[str]:
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except SyntaxError:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from _names_in(node.value)
