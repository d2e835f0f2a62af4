"""Where a parameter's value is read from, said in its annotation: `Annotated[int, Query()]`."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

from ..errors import Problem, ValidationError
from .markers import Marker

if TYPE_CHECKING:
    from ..handshake import Handshake

__all__ = ["Cookie", "Header", "Path", "Payload", "Query", "Source", "is_marked_payload"]

_SEQUENCES = (list, tuple, set, frozenset)


class Source(Marker):
    """A named place in the handshake. `alias` is the name there, if it is not the parameter's."""

    place = ""

    def __init__(self, alias: str | None = None) -> None:
        self.alias = alias

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.alias or ''})"

    def name_of(self, parameter: str) -> str:
        """Return the name to look up for a parameter called `parameter`."""
        return self.alias or parameter

    def values(self, handshake: Handshake, name: str) -> list[Any]:
        """Return every value called `name`, as strings."""
        return []


class Query(Source):
    """A query parameter; a list type takes all of its values."""

    place = "query"

    def values(self, handshake: Handshake, name: str) -> list[Any]:
        """Return the values of this query parameter."""
        return handshake.query.getlist(name)


class Header(Source):
    """A request header; `user_agent` reads `user-agent`."""

    place = "header"

    def name_of(self, parameter: str) -> str:
        """Return the header name: underscores stand for hyphens."""
        return self.alias or parameter.replace("_", "-")

    def values(self, handshake: Handshake, name: str) -> list[Any]:
        """Return the values of this header."""
        return handshake.headers.getlist(name)


class Cookie(Source):
    """A cookie of the handshake."""

    place = "cookie"

    def values(self, handshake: Handshake, name: str) -> list[Any]:
        """Return the value of this cookie, in a list."""
        return [handshake.cookies[name]] if name in handshake.cookies else []


class Path(Source):
    """A parameter of the route's path; needed only where its name differs from the parameter's."""

    place = "path"


class Payload(Marker):
    """The whole payload, decoded into the annotated type, whatever other parameters there are."""


class Reader:
    """Reads one parameter from a source and converts it."""

    def __init__(self, source: Source, name: str, annotation: Any, default: Any) -> None:
        self.source = source
        self.name = source.name_of(name)
        self.default = default
        self.is_sequence = (get_origin(annotation) or annotation) in _SEQUENCES
        self.convert: Any = None

    def read(self, handshake: Handshake) -> Any:
        """Return the converted value.

        Raises:
            ValidationError: absent without a default, or not convertible.
        """
        values = self.source.values(handshake, self.name)
        if not values and self.default is not inspect.Parameter.empty:
            return self.default
        if not values:
            raise ValidationError([self._problem("missing", "Field required")])
        try:
            return self.convert(values if self.is_sequence else values[0])
        except ValidationError as error:
            raise ValidationError(
                [self._problem(p["type"], p["msg"], p["loc"]) for p in error.problems]
            ) from None

    def _problem(self, kind: str, text: str, loc: list[str | int] | None = None) -> Problem:
        steps = [step for step in loc or [] if step != "__model__"]
        return {"loc": [self.source.place, self.name, *steps], "type": kind, "msg": text}


def is_marked_payload(annotation: Any) -> bool:
    """Whether an annotation says that the message, or the body, is this parameter."""
    if get_origin(annotation) is not Annotated:
        return False
    return any(m is Payload or isinstance(m, Payload) for m in get_args(annotation)[1:])
