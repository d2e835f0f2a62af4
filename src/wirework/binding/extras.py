"""Parameters that only some functions may take, such as the user, and what is meant to be one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import NoneType, UnionType
from typing import Annotated, Any, NamedTuple, NewType, Union, get_args, get_origin

from .forms import is_model
from .plan import Getter

__all__ = ["Extra", "is_subclass"]

_EMPTY: Any = inspect.Parameter.empty


class Extra(NamedTuple):
    """A parameter that only some functions may take, by its name or its type.

    A parameter of its name that is annotated with another type is the payload's, unless `is_sure`:
    then it is refused.
    """

    kind: Any
    get: Getter
    is_per_message: bool = False
    """Whether there is one only while a message with a payload is handled."""
    is_of_message: bool = False
    """Whether it is another one for each message, so that nothing that lasts may keep it."""
    takes_any: bool = True
    """Whether it may be annotated `Any`: not where that may be a payload's."""
    is_sure: bool = False
    get_as: Callable[[Any], Getter] | None = None
    """From an annotation to what fills a parameter that has it; None: `get`, whatever it is."""
    may_be: tuple[Any, ...] | None = ()
    """Types that it may have, so that no message may fill a parameter of one; None: unknown."""

    def is_at_risk(self, annotation: Any) -> bool:
        """Whether a parameter of another name, annotated like this, may be meant to take it."""
        if self.may_be is None:
            return is_model(annotation)
        kinds = [kind for each in self.may_be for kind in _members(each)]
        return any(each in kinds and _is_own(each) for each in _members(annotation))

    def is_known_by(self, annotation: Any) -> bool:
        """Whether a parameter of any name, annotated like this, takes it."""
        return _is_own(self.kind) and _members(annotation) == [self.kind]

    def fits(self, annotation: Any) -> bool:
        """Whether a parameter of its name, annotated like this, takes it."""
        if annotation is _EMPTY:
            return True
        if annotation in (Any, object):
            return self.takes_any
        wanted, given = _members(annotation), _members(self.kind)
        return self.kind is object or all(
            any(each == kind or is_subclass(each, kind) for kind in wanted) for each in given
        )


def _members(annotation: Any) -> list[Any]:
    """Return the types of a union, None aside, or the type itself."""
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [each for each in get_args(annotation) if each is not NoneType]
    return [annotation]


def _is_own(kind: Any) -> bool:
    """Whether a parameter may be known by this type alone."""
    return isinstance(kind, (type, NewType)) and kind.__module__ != "builtins"


def is_subclass(annotation: Any, known: type) -> bool:
    """Whether both are plain classes, and one is a subclass of the other."""
    if not isinstance(annotation, type) or not isinstance(known, type):
        return False
    if get_origin(annotation) or get_origin(known) or getattr(known, "_is_protocol", False):
        return False
    return issubclass(annotation, known)
