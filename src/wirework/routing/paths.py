"""Path templates such as `/rooms/{room_id:int}` and the table that finds a route for a path.

Paths are in decoded form, as ASGI gives them in `scope["path"]`. Matching is linear in the length
of the path: every template is compiled once into one regular expression whose parts cannot compete
for the same characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from itertools import chain, zip_longest
from typing import Final, Generic, NamedTuple, TypeVar
from urllib.parse import quote

from ..errors import RegistrationError, WireworkError
from .converters import CONVERTERS, Converter, has_dot_segment

__all__ = ["Match", "NoSuchRoute", "ParameterError", "PathTemplate", "Route", "RouteTable"]

T = TypeVar("T")

# RFC 3986 section 3.3: a segment is made of unreserved, percent-encoded, sub-delims, ":" and "@".
_SAFE: Final = "/!$&'()*+,;=:@"
_FIELD: Final = re.compile(r"\{([^{}]*)\}")


class ParameterError(WireworkError, ValueError):
    """A path cannot be built: a parameter is missing, unknown or does not fit the template."""

    def __init__(self, template: str, problem: str) -> None:
        super().__init__(template, problem)
        self.template = template
        self.problem = problem

    def __str__(self) -> str:
        return f"path {self.template!r}: {self.problem}"


class NoSuchRoute(WireworkError, LookupError):
    """No route has this name. `nearest` is the most similar known name, or None."""

    def __init__(self, name: str, nearest: str | None = None) -> None:
        super().__init__(name, nearest)
        self.name = name
        self.nearest = nearest

    def __str__(self) -> str:
        hint = f"; did you mean {self.nearest!r}?" if self.nearest is not None else ""
        return f"no route is named {self.name!r}{hint}"


class _Parameter(NamedTuple):
    name: str
    converter: Converter

    def __str__(self) -> str:
        return f"{{{self.name}:{self.converter.name}}}"


class PathTemplate:
    """A path with typed parameters: `/rooms/{room_id:int}`; `{name}` is short for `{name:str}`.

    Converters, all of them ASCII where they read numbers:

    - `str`: at least one character, no `/`.
    - `int`: decimal digits with an optional `-`, at most 640 characters. Leading zeros are read
      (`/2024/05`) and not written: `reverse(month=5)` gives `/2024/5`.
    - `float`: `-1`, `1.5`; no exponent, no infinity; at most 640 characters.
    - `uuid`: the canonical form with hyphens, in either case; written in lower case.
    - `path`: any characters including `/`; it may be empty only as the end of the template. At
      most one in a template. The value is as the client sent it and may begin with `/`.

    A `str` or `path` with the segment `.` or `..` never matches: URL resolution removes those, so
    only an attacker sends them. Several parameters may share a segment when text stands between
    them (`{name}.{ext}`); a `str` then ends at the first character of the text that follows it.

    `match(reverse(**params)) == params` for everything that `reverse` accepts.

    Raises:
        RegistrationError: the template is malformed; the message says where and what to write.
    """

    __slots__ = ("_fields", "_literals", "_regex", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._literals, self._fields = _parse(text)
        _check(text, self._literals, self._fields)
        self._regex = re.compile(_pattern(self._literals, self._fields), re.DOTALL)

    @property
    def shape(self) -> tuple[str, ...]:
        """What it matches, free of parameter names: templates of one shape are duplicates."""
        kinds = (field.converter.name for field in self._fields)
        return (*self._literals, *kinds)

    @property
    def parameters(self) -> dict[str, type]:
        """The type that each parameter arrives as, in the order of the template."""
        return {field.name: field.converter.type for field in self._fields}

    @property
    def is_literal(self) -> bool:
        """Whether it has no parameters and so matches its own text only."""
        return not self._fields

    def match(self, path: str) -> dict[str, object] | None:
        """The converted parameters if `path` (decoded) fits, else None. Never raises."""
        found = self._regex.fullmatch(path)
        if found is None:
            return None
        pairs = zip(self._fields, found.groups(), strict=True)
        try:
            return {field.name: field.converter.read(text) for field, text in pairs}
        except ValueError:
            return None

    def reverse(self, /, **params: object) -> str:
        """The percent-encoded path (RFC 3986 section 3.3) with these parameters.

        An `int` is fine for a `float`; otherwise values are of the parameter's own type.

        Raises:
            ParameterError: one is missing, unknown, of another type or does not fit, or the path
                would not lead back here (it holds `.` or `..`, or begins with `//`).
        """
        self._check_names(params)
        written = (self._write(field, params[field.name]) for field in self._fields)
        path = "".join(chain(*zip_longest(self._literals, written, fillvalue="")))
        if self.match(path) != params or path.startswith("//") or has_dot_segment(path):
            raise ParameterError(self.text, f"{path!r} would not be read back as {params!r}")
        return quote(path, safe=_SAFE)

    def _check_names(self, params: Mapping[str, object]) -> None:
        known = self.parameters
        missing = [name for name in known if name not in params]
        if missing:
            raise ParameterError(self.text, f"missing {', '.join(missing)}")
        extra = [name for name in params if name not in known]
        if extra:
            expected = ", ".join(known) or "no parameters"
            raise ParameterError(self.text, f"expected {expected}; unknown: {', '.join(extra)}")

    def _write(self, field: _Parameter, value: object) -> str:
        converter = field.converter
        try:
            text = converter.write(value)
            if re.fullmatch(converter.pattern, text, re.DOTALL):
                converter.read(text)
                return text
        except (TypeError, ValueError, ArithmeticError):
            pass
        got = f"{type(value).__name__} {_show(value)}"
        raise ParameterError(self.text, f"{field.name}: expected {converter.name}, got {got}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PathTemplate) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"PathTemplate({self.text!r})"


def _show(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:
        return "(too many digits to show)"
    return text if len(text) <= 60 else text[:60] + "..."


def _parse(text: str) -> tuple[list[str], list[_Parameter]]:
    """The n + 1 literals, of which some may be empty, and the n parameters between them."""
    where = f"path {text!r}"
    if not text.startswith("/") or text.startswith("//"):
        raise RegistrationError(where, "expected a path that begins with one '/'")
    pieces = _FIELD.split(text)
    literals = pieces[::2]
    if any("{" in literal or "}" in literal for literal in literals):
        raise RegistrationError(where, "unbalanced braces", "write parameters as {name:int}")
    if any("?" in literal or "#" in literal for literal in literals):
        raise RegistrationError(where, "a path has no query and no fragment", "drop '?' and '#'")
    if has_dot_segment(text):
        raise RegistrationError(where, "the segments '.' and '..' never arrive", "resolve them")
    return literals, [_parse_field(where, piece) for piece in pieces[1::2]]


def _parse_field(where: str, field: str) -> _Parameter:
    name, colon, kind = field.partition(":")
    if not name.isidentifier():
        raise RegistrationError(
            where, f"the parameter {name!r} is not an identifier", "write {name} or {name:int}"
        )
    if not colon:
        kind = "str"
    if kind not in CONVERTERS:
        near = get_close_matches(kind, CONVERTERS, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        known = f"{hint}known are {', '.join(CONVERTERS)}"
        raise RegistrationError(where, f"{name!r} has the unknown converter {kind!r}", known)
    return _Parameter(name, CONVERTERS[kind])


def _check(text: str, literals: list[str], fields: list[_Parameter]) -> None:
    where = f"path {text!r}"
    names = [field.name for field in fields]
    for name in names:
        if names.count(name) > 1:
            raise RegistrationError(where, f"the parameter {name!r} occurs twice", "rename one")
    if sum(field.converter.name == "path" for field in fields) > 1:
        raise RegistrationError(where, "more than one path parameter", "use str for the others")
    for left, between, right in zip(fields, literals[1:], fields[1:], strict=False):
        _check_neighbours(where, left, between, right)


def _check_neighbours(where: str, left: _Parameter, between: str, right: _Parameter) -> None:
    pair = f"{left} and {right}"
    if not between:
        raise RegistrationError(where, f"{pair} have no text between them", "separate them")
    if "/" in between:
        return
    if "path" in (left.converter.name, right.converter.name):
        raise RegistrationError(where, f"{pair} share a segment", "put '/' between them")
    if left.converter.type in (int, float) and between[0].isdecimal():
        raise RegistrationError(
            where, f"{left} is followed by the digit {between[0]!r}", "separate them"
        )


def _pattern(literals: list[str], fields: list[_Parameter]) -> str:
    pattern = re.escape(literals[0])
    for i, field in enumerate(fields, start=1):
        is_last = i == len(fields)
        pattern += _group(field.converter, literals[i], is_last) + re.escape(literals[i])
    return pattern


def _group(converter: Converter, following: str, is_last: bool) -> str:
    """One capturing group that can give back characters only within its own segment.

    Where another parameter follows in the same segment it gives back none at all (`(?>...)`): two
    that could trade characters would take quadratic time.
    """
    if converter.name == "path":
        return "(.*)" if is_last and not following else "(.+)"
    if is_last or "/" in following:
        return f"({converter.pattern})"
    if converter.name == "str":
        return f"((?>[^/{re.escape(following[0])}]+))"
    return f"((?>{converter.pattern}))"


class Route(NamedTuple, Generic[T]):
    """One line of a route table."""

    template: PathTemplate
    target: T
    name: str | None = None


class Match(NamedTuple, Generic[T]):
    """A route that was found: its target, the converted parameters and the template."""

    target: T
    params: dict[str, object]
    template: PathTemplate


class RouteTable(Generic[T]):
    """Finds the target of a path and, the other way round, the path of a name.

    A route without parameters wins over those with, whenever it was added, and is found in constant
    time; among the others the one that was added first wins. Iteration is in the order of `add`.
    """

    def __init__(self) -> None:
        self._routes: dict[tuple[str, ...], Route[T]] = {}
        self._names: dict[str, Route[T]] = {}
        self._literal: dict[str, Route[T]] = {}
        self._parametrised: list[Route[T]] = []

    def add(self, template: str | PathTemplate, target: T, name: str | None = None) -> Route[T]:
        """Add a route; nothing is added if it raises.

        Raises:
            RegistrationError: the template is malformed, matches exactly the paths of an earlier
                one (they are alike but for the names of parameters), or the name is taken.
        """
        if isinstance(template, str):
            template = PathTemplate(template)
        route = Route(template, target, name)
        self._refuse_duplicates(route)
        self._routes[template.shape] = route
        if name is not None:
            self._names[name] = route
        if template.is_literal:
            self._literal[template.text] = route
        else:
            self._parametrised.append(route)
        return route

    def find(self, path: str) -> Match[T] | None:
        """The route for a decoded path, or None. Never raises."""
        route = self._literal.get(path)
        if route is not None:
            return Match(route.target, {}, route.template)
        for route in self._parametrised:
            params = route.template.match(path)
            if params is not None:
                return Match(route.target, params, route.template)
        return None

    def reverse(self, name: str, /, **params: object) -> str:
        """The percent-encoded path of the route of that name.

        Raises:
            NoSuchRoute: no route has this name; the error has the nearest one.
            ParameterError: the parameters do not fit; see `PathTemplate.reverse`.
        """
        route = self._names.get(name)
        if route is None:
            near = get_close_matches(name, self._names, 1)
            raise NoSuchRoute(name, near[0] if near else None)
        return route.template.reverse(**params)

    def has_name(self, name: str) -> bool:
        """Whether a route has this name."""
        return name in self._names

    def __iter__(self) -> Iterator[Route[T]]:
        return iter(self._routes.values())

    def __len__(self) -> int:
        return len(self._routes)

    def _refuse_duplicates(self, route: Route[T]) -> None:
        where = f"path {route.template.text!r}"
        same = self._routes.get(route.template.shape)
        if same is not None:
            other = repr(same.template.text)
            raise RegistrationError(where, f"matches the same paths as {other}", "remove one")
        named = self._names.get(route.name) if route.name is not None else None
        if named is not None:
            problem = f"the name {route.name!r} belongs to {named.template.text!r}"
            raise RegistrationError(where, problem, "choose another name")
