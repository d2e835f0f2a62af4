"""How a function's parameters are filled: worked out once, at registration.

Every misuse fails there, with the function, the parameter and the remedy named.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, get_args, get_origin
from uuid import UUID

from ..errors import RegistrationError
from ..json import JsonAdapter
from ..types import Body
from .complaints import Complaints, type_name
from .depends import Dependency, Depends, Lifetime, kind_of
from .extras import Extra, is_subclass
from .forms import is_model
from .payload import Mode, PayloadPlan
from .plan import Context, Getter, Plan
from .signatures import LocalNames, name_of, parameters_of
from .sources import Path, Payload, Reader, Source, is_marked_payload
from .validators import Checks, Validate

__all__ = ["Binder", "Extra"]

_EMPTY: Any = inspect.Parameter.empty


class Binder:
    """Compiles functions into plans, for one application.

    Args:
        json: decodes payloads and converts strings.
        types: parameters known by their type (a subclass of one of ours counts).
        names: parameters known by their exact name, when they are not annotated.
        overrides: dependency -> what stands in for it; looked at whenever one is needed.
    """

    def __init__(
        self,
        json: JsonAdapter,
        *,
        types: Mapping[type, Getter],
        names: Mapping[str, Getter],
        overrides: Mapping[Callable[..., Any], Callable[..., Any]],
    ) -> None:
        self.json = json
        self.types = types
        self.names = names
        self.overrides = overrides
        self.complaints = Complaints(is_http="ws" not in names)

    def compile(
        self,
        function: Callable[..., Any],
        *,
        where: str,
        path: Mapping[str, type] | None = None,
        body: Body | None = None,
        mode: Mode | None = None,
        extra: Mapping[str, Extra] | None = None,
        names: LocalNames | None = None,
    ) -> Plan:
        """Return the plan of `function`.

        Args:
            function: handler, hook or dependency.
            where: how errors name it, such as "app.ws('/chat')".
            path: parameters of the route and their types.
            body: how the dialect carries payloads; None: there is no payload.
            mode: how Raw is told to read frames; None: from the signature.
            extra: further parameters by name, such as `code` for disconnect hooks.
            names: local names that annotations may use.

        Raises:
            RegistrationError: a parameter cannot be filled.
        """
        work = _Compilation(self, where, path or {}, extra or {}, names or LocalNames())
        return work.plan(function, body, mode)


class _Compilation:
    """One `Binder.compile`: the route it is for, and the functions it is within."""

    def __init__(
        self,
        binder: Binder,
        where: str,
        path: Mapping[str, type],
        extra: Mapping[str, Extra],
        names: LocalNames,
    ) -> None:
        self.binder = binder
        self.complaints = binder.complaints
        self.where = where
        self.path = path
        self.extra = extra
        self.names = names
        self.within: list[Callable[..., Any]] = []

    def plan(
        self, function: Callable[..., Any], body: Body | None, mode: Mode | None = None
    ) -> Plan:
        """Return the plan of a handler or hook."""
        plan, rest = self._start(function, has_payload=body is not None)
        if body is not None:
            self._add_payload(plan, rest, body, mode)
        elif plan.needs_call:
            raise RegistrationError(
                plan.where,
                f"it takes 'data', or depends on what does, but there is no "
                f"{self.complaints.payload} here",
                self.complaints.way_to_payload,
            )
        return plan

    def dependency(self, depends: Depends) -> Dependency:
        """Return the compiled dependency, and those that it depends on."""
        plan = self.lender(depends.function, depends.scope)
        return Dependency(depends, plan, self.binder.overrides, self.lender)

    def lender(self, function: Callable[..., Any], scope: Lifetime) -> Plan:
        """Return the plan of a function that makes a value for others."""
        if function in self.within:
            names = " -> ".join(name_of(each) for each in (*self.within, function))
            raise RegistrationError(self.where, f"dependencies go in a circle: {names}")
        self.within.append(function)
        try:
            plan, _ = self._start(function, has_payload=False)
        finally:
            self.within.pop()
        if scope == "connection":
            self.complaints.check_lasting(plan)
        return plan

    def _start(
        self, function: Callable[..., Any], *, has_payload: bool
    ) -> tuple[Plan, list[inspect.Parameter]]:
        """Return the plan, and the parameters that only the payload can fill.

        Without a payload there are none: their defaults fill them, or they are refused.
        """
        where = f"{self.where}, {name_of(function)}"
        plan = Plan(function, where)
        rest = []
        for parameter in parameters_of(function, where, self.names):
            getter = self._getter(parameter, plan, has_payload)
            if getter is not None or not has_payload:
                self.complaints.check_unchecked(plan, parameter)
            if getter is None:
                self.complaints.check_reserved(plan, parameter)
                if has_payload:
                    self.complaints.check_not_sure(plan, parameter, self.extra)
                    rest.append(parameter)
                    getter = _from_payload(parameter.name)
                elif parameter.default is _EMPTY:
                    raise self.complaints.unfillable(plan, parameter)
                else:
                    getter = _from_default(parameter.default)
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
                plan.named[parameter.name] = getter
            else:
                plan.positional.append(getter)
        return plan, rest

    def _getter(self, parameter: inspect.Parameter, plan: Plan, has_payload: bool) -> Getter | None:
        """Return what fills `parameter`; None leaves it to the payload or to its default."""
        name, annotation = parameter.name, parameter.annotation
        if isinstance(parameter.default, (Depends, Source, Payload)):
            raise RegistrationError(
                plan.where,
                f"parameter {name!r} has {parameter.default!r} as its default",
                f"write {name}: Annotated[<type>, {parameter.default!r}]",
            )
        if get_origin(annotation) is Annotated:
            marked = self._marked(parameter, plan)
            if marked is not None or any(isinstance(m, Payload) for m in get_args(annotation)):
                return marked
        bare = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
        extra = self._extra(name, bare, plan)
        if extra is not None:
            plan.needs_call = plan.needs_call or extra.is_per_message
            plan.reads_message = plan.reads_message or extra.is_of_message
            return extra.get if extra.get_as is None else extra.get_as(bare)
        for known, getter in self.binder.types.items():
            if bare is known or is_subclass(bare, known):
                return getter
        if name in self.path:
            return self._path(name, annotation, plan)
        if annotation is not _EMPTY:
            return None
        return self._named(parameter, plan, has_payload)

    def _extra(self, name: str, annotation: Any, plan: Plan) -> Extra | None:
        named = self.extra.get(name)
        if named is not None and named.fits(annotation):
            return named
        if named is not None and named.is_sure:
            raise RegistrationError(
                plan.where,
                f"parameter {name!r} is annotated {type_name(annotation)}, "
                f"but it would be given {type_name(named.kind)}",
                "annotate it so, or choose another name for what the message carries",
            )
        return next((each for each in self.extra.values() if each.is_known_by(annotation)), None)

    def _marked(self, parameter: inspect.Parameter, plan: Plan) -> Getter | None:
        annotation, *markers = get_args(parameter.annotation)
        for marker in markers:
            if isinstance(marker, type) and issubclass(marker, (Source, Payload)):
                marker = marker()
            if isinstance(marker, Depends):
                dependency = self.dependency(marker)
                plan.dependencies.append(dependency)
                plan.needs_call = plan.needs_call or dependency.plan.needs_call
                plan.reads_message = plan.reads_message or dependency.plan.reads_message
                plan.wants_data = plan.wants_data or dependency.plan.wants_data
                return _from_dependency(dependency)
            if isinstance(marker, Path):
                return self._path(marker.name_of(parameter.name), annotation, plan)
            if isinstance(marker, Source):
                return self._source(marker, parameter, plan)
        return None

    def _source(self, source: Source, parameter: inspect.Parameter, plan: Plan) -> Getter:
        annotation = get_args(parameter.annotation)[0]
        if is_model(annotation):
            raise RegistrationError(
                plan.where,
                f"parameter {parameter.name!r} is annotated {type_name(annotation)}, "
                f"but a {source.place} value is one text",
                "take each value by itself, or make the type with Depends",
            )
        reader = Reader(source, parameter.name, annotation, parameter.default)
        try:
            reader.convert = self.binder.json.converter(annotation, strict=False)
        except (TypeError, NameError) as error:
            raise RegistrationError(
                plan.where, f"parameter {parameter.name!r} cannot be read from text: {error}"
            ) from None
        plan.readers.append(reader)
        return lambda context: reader.read(context.handshake)

    def _path(self, name: str, annotation: Any, plan: Plan) -> Getter:
        kind = self.path.get(name)
        if kind is None:
            known = ", ".join(self.path) or "none"
            raise RegistrationError(
                plan.where, f"the path has no parameter {name!r}", f"it has: {known}"
            )
        if annotation not in (_EMPTY, Any, kind, object):
            wanted = {v: k for k, v in _CONVERTERS.items()}.get(annotation)
            remedy = f"write {{{name}:{wanted}}} in the path" if wanted else ""
            raise RegistrationError(
                plan.where,
                f"parameter {name!r} is annotated {type_name(annotation)}, "
                f"but the path gives {kind.__name__}",
                remedy or f"annotate it as {kind.__name__}",
            )
        return lambda context: context.handshake.path_params[name]

    def _named(self, parameter: inspect.Parameter, plan: Plan, has_payload: bool) -> Getter | None:
        name = parameter.name
        if name == "data" and not has_payload and parameter.default is not _EMPTY:
            return None
        if name == "data":
            plan.needs_call = True
            plan.wants_data = True
            return _get_data
        if name in self.binder.names:
            return self.binder.names[name]
        if not has_payload and parameter.default is not _EMPTY:
            return None
        meant = [each for each in _MEANT.get(name, ()) if each in self.binder.names]
        hint = f"did you mean {meant[0]!r}? if not, " if meant else ""
        known = ", ".join([*self.binder.names, "data", *self.extra])
        raise RegistrationError(
            plan.where,
            f"parameter {name!r} has no annotation and no known name",
            f"{hint}annotate it with the type that the message carries; known by name are: {known}",
        )

    def _add_payload(
        self, plan: Plan, rest: list[inspect.Parameter], body: Body, mode: Mode | None
    ) -> None:
        marked = [each for each in rest if is_marked_payload(each.annotation)]
        if marked and len(rest) > 1:
            others = ", ".join(repr(each.name) for each in rest if each not in marked[:1])
            raise RegistrationError(
                plan.where,
                f"parameter {marked[0].name!r} takes the whole payload, "
                f"so nothing is left for {others}",
                "make them fields of its type",
            )
        plan.payload = PayloadPlan(
            self.binder.json,
            body,
            rest,
            where=plan.where,
            whole=bool(marked),
            wants_data=plan.wants_data,
            mode=mode,
        )
        plan.checks = self._checks(plan, rest)
        if plan.payload.is_whole and rest:
            name = rest[0].name
            if name in plan.named:
                plan.named[name] = _get_payload
            else:
                plan.positional = [
                    _get_payload if isinstance(get, _PayloadField) else get
                    for get in plan.positional
                ]

    def _checks(self, plan: Plan, rest: list[inspect.Parameter]) -> Checks | None:
        """Return the checks that the payload's parameters ask for."""
        assert plan.payload is not None
        checks = Checks()
        for parameter in rest:
            where = f"{plan.where}, parameter {parameter.name!r}"
            found = Checks.of(parameter.annotation, self._validator, where)
            if plan.payload.is_whole:
                return found
            if found is not None:
                checks.fields[parameter.name] = found
        return checks if checks.fields else None

    def _validator(self, validate: Validate) -> Plan:
        """Return the plan of a validator: its first parameter takes the value."""
        function = validate.function
        where = f"{self.where}, {name_of(function)}"
        first, *_ = [*parameters_of(function, where, self.names), None]
        if first is None or kind_of(function) not in ("async", "sync"):
            raise RegistrationError(
                where, "a validator takes the value and returns", "write def check(value)"
            )
        kind = object if first.annotation is _EMPTY else first.annotation
        outer, self.extra = self.extra, {first.name: Extra(kind, _get_checked)}
        try:
            return self._start(function, has_payload=False)[0]
        finally:
            self.extra = outer


_CONVERTERS: Mapping[str, type] = {"str": str, "int": int, "float": float, "uuid": UUID}


_MEANT: Mapping[str, tuple[str, ...]] = {
    "websocket": ("ws", "request"),
    "socket": ("ws", "request"),
    "ws": ("request",),
    "request": ("ws",),
    "req": ("request", "ws"),
    "auth": ("user",),
    "sess": ("session",),
}
"""Names that other frameworks give, and what they are called here: the first that is known."""


class _PayloadField:
    """Reads one field of the decoded payload."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, context: Context) -> Any:
        return getattr(context.payload, self.name)


def _from_payload(name: str) -> Getter:
    return _PayloadField(name)


def _from_default(default: Any) -> Getter:
    return lambda context: default


def _get_checked(context: Context) -> Any:
    return context.checked


def _get_payload(context: Context) -> Any:
    return context.payload


def _get_data(context: Context) -> Any:
    return context.data


def _from_dependency(dependency: Dependency) -> Getter:
    return lambda context: dependency.value(context)
