"""Find the application that `module:name` means."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from ..app import App
from ..binding.signatures import can_take, name_of
from ..channels.channel import Channel
from ..routing.events import Events
from ..routing.router import Router
from .mistakes import RunError, explained

__all__ = ["Loaded", "load"]

_PARTS = (Router, Events, Channel)
"""What belongs to an application and can be called, but serves nothing."""


class Loaded(NamedTuple):
    """An application, and how it was found."""

    app: Any
    is_factory: bool
    """Whether what the name means had to be called for it."""


def load(target: str, *, factory: bool = False) -> Loaded:
    """Import the application `module:name`, the module being looked for here first.

    A function that takes no arguments makes the application: it is called.

    Args:
        target: `module:name`.
        factory: whether it must be such a function.

    Raises:
        RunError: it is not there, is no application, or its code raised something.
    """
    module_name, colon, name = target.partition(":")
    if not colon or not module_name or not name:
        raise RunError(f"expected module:name, got {target!r}")
    sys.path.insert(0, str(Path.cwd()))
    found: Any = _module(module_name)
    for part in name.split("."):
        if not hasattr(found, part):
            raise RunError(f"{module_name!r} has no {name!r}")
        found = getattr(found, part)
    if factory and not can_take(found, 0):
        raise RunError(
            f"--factory: expected a function without arguments, got {_shown(found)};"
            " leave out --factory if it is the application"
        )
    if not factory and not _is_factory(found):
        return Loaded(_application(target, found), False)
    return Loaded(_application(f"{target}()", _called(target, found)), True)


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise RunError(f"there is no module {error.name!r} here") from None
        raise _broken(f"the module {name!r} cannot be imported", error) from None
    except Exception as error:
        raise _broken(f"the module {name!r} cannot be imported", error) from None


def _called(target: str, function: Callable[[], Any]) -> Any:
    try:
        return function()
    except Exception as error:
        raise _broken(f"{target}() failed", error) from None


def _broken(what: str, error: Exception) -> RunError:
    told = explained(error)
    return RunError(f"{what}\n{told}" if "\n" in told else told)


def _is_factory(found: Any) -> bool:
    """Whether it makes an application: it needs no argument, and has no use for a scope."""
    if isinstance(found, _PARTS) or inspect.iscoroutinefunction(found):
        return False
    try:
        parameters = inspect.signature(found).parameters.values()
    except (TypeError, ValueError):
        return False
    is_open = any(each.kind is each.VAR_POSITIONAL for each in parameters)
    return not is_open and can_take(found, 0)


def _application(target: str, found: Any) -> Any:
    """Return what was found, if a server can call it."""
    is_part = isinstance(found, _PARTS) and not isinstance(found, App)
    if is_part or not callable(found) or not _takes_scopes(found):
        raise RunError(
            f"{target} is no application: expected an ASGI application, such as a wirework.App,"
            f" got {_shown(found)}"
        )
    return found


def _takes_scopes(found: Any) -> bool:
    """Whether it can be called as ASGI 3 or, of one argument, ASGI 2 has it."""
    is_old = not inspect.iscoroutinefunction(found) and can_take(found, 1)
    return is_old or can_take(found, 3)


def _shown(found: Any) -> str:
    if inspect.isroutine(found):
        return f"the function {name_of(found)}{inspect.signature(found)}"
    if isinstance(found, type):
        return f"the class {found.__name__}"
    return f"{type(found).__name__} {found!r}"[:200]
