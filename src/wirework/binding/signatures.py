"""A function's parameters with their annotations resolved, or an error that says what is wrong."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

from ..errors import RegistrationError

__all__ = ["local_names", "parameters_of"]


def parameters_of(
    function: Callable[..., Any], where: str, names: Mapping[str, Any]
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


def _hints(function: Callable[..., Any], where: str, names: Mapping[str, Any]) -> dict[str, Any]:
    target: Any = function
    while isinstance(target, functools.partial):
        target = target.func
    if inspect.isclass(target):
        target = target.__init__
    elif not inspect.isroutine(target):
        target = type(target).__call__
    try:
        return get_type_hints(target, localns=dict(names), include_extras=True)
    except NameError as error:
        raise RegistrationError(
            where,
            f"an annotation uses the name {error.name!r}, which is not known there",
            "import it at module level (not under TYPE_CHECKING), or drop the quotes",
        ) from None
    except TypeError as error:
        raise RegistrationError(where, f"an annotation cannot be read: {error}") from None


def local_names(depth: int = 2) -> dict[str, Any]:
    """Return the local names of the caller `depth` frames up.

    Annotations of a function that is defined inside another one may use them.
    """
    frame = sys._getframe(depth)
    return {} if frame.f_locals is frame.f_globals else dict(frame.f_locals)
