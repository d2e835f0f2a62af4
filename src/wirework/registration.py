"""From routes as they were declared to endpoints: functions compiled, options checked."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Mapping
from types import FunctionType, NoneType
from typing import TYPE_CHECKING, Any, get_args, get_origin

from msgspec import Meta

from .binding.binder import Binder, Extra
from .binding.markers import Marker
from .binding.plan import Plan, check_hook
from .binding.signatures import LocalNames, name_of
from .dialects import Raw
from .dialects.base import Dialect
from .errors import RegistrationError, SettingsError
from .handlers import ConnectionHandler, Endpoint
from .json import JsonAdapter
from .parameters import (
    after_parameters,
    controller_parameter,
    disconnect_parameters,
    message_parameters,
    token_parameter,
    user_parameter,
)
from .reception import Target
from .routing.events import EventFunction, EventHook
from .routing.paths import PathTemplate
from .routing.routes import WebSocketRoute
from .security.auth import Anyone, Source
from .security.gate import Doorkeeper, Gate
from .security.origin import OriginPolicy
from .security.permissions import requirement_of
from .security.sources import SessionUser, Ticket
from .session import Function, Hooks, MessageEndpoint
from .settings import Settings
from .types import Body

if TYPE_CHECKING:
    from .observe import Metrics

__all__ = ["ROUTE_LIMITS", "Registration"]


class Registration:
    """Makes endpoints of routes, for one application."""

    def __init__(
        self,
        settings: Settings,
        json: JsonAdapter,
        binder: Binder,
        doorkeeper: Doorkeeper,
        *,
        metrics: Metrics | None = None,
    ) -> None:
        self.doorkeeper = doorkeeper
        self.metrics = metrics
        self.settings = settings
        self.json = json
        self.binder = binder
        self._callbacks: dict[Any, Plan] = {}

    def target(self, route: WebSocketRoute, template: PathTemplate) -> Target:
        """Return what serves the connections of `route`, and what stands before it.

        Raises:
            RegistrationError: a parameter of a function cannot be filled, or an option cannot work.
        """
        settings = self._settings_of(route)
        work = _RouteWork(self, route, template.parameters, settings, label=route.path)
        make: Callable[[], Endpoint] = work.connection_handler
        if route.is_per_message:
            make = work.message_endpoint
        endpoint = make()
        return Target(route, endpoint, self.origin(route), work.gate, settings)

    def _settings_of(self, route: WebSocketRoute) -> Settings:
        """Return the application's settings with the limits of the route."""
        if not route.limits:
            return self.settings
        unknown = [name for name in route.limits if name not in ROUTE_LIMITS]
        if unknown:
            known = ", ".join(sorted(ROUTE_LIMITS))
            raise RegistrationError(
                route.where, f"limits: no route has {unknown[0]!r}", f"it may have: {known}"
            )
        try:
            return self.settings.replace(**route.limits)
        except SettingsError as error:
            raise RegistrationError(route.where, f"limits: {error}") from None

    def origin(self, route: WebSocketRoute) -> OriginPolicy:
        """Return which origins may connect.

        Raises:
            RegistrationError: what the route allows is no list of origins.
        """
        allowed, require = route.allowed_origins, route.require_origin
        try:
            return OriginPolicy(
                self.settings.allowed_origins if allowed is None else allowed,
                self.settings.require_origin if require is None else require,
            )
        except (SettingsError, TypeError) as error:
            where = route.where
            if route.function is not None:
                where = f"{where}, {name_of(route.function)}"
            raise RegistrationError(where, str(error)) from None

    def callbacks(
        self, route: WebSocketRoute, path: Mapping[str, type], settings: Settings, *, label: str
    ) -> MessageEndpoint:
        """Return the endpoint of functions that a handler gave to `ws.serve`.

        `settings` are those of the handler's route, and `label` is the path that it was declared
        with.

        Such functions are made anew for each connection, so their plans are kept by their code,
        without the function, and only where nothing of a connection is in them.
        """
        work = _RouteWork(self, route, path, settings, self._callbacks, label=label)
        return work.message_endpoint()


class _RouteWork:
    """One route on its way to an endpoint.

    `kept` has the plans of functions that were compiled before, where those come again and again;
    `label` is what metrics call the route.
    """

    def __init__(
        self,
        registration: Registration,
        route: WebSocketRoute,
        path: Mapping[str, type],
        settings: Settings,
        kept: dict[Any, Plan] | None = None,
        *,
        label: str,
    ) -> None:
        self.registration = registration
        self.label = label
        self.route = route
        self.path = path
        self.dialect: Dialect = route.dialect or Raw()
        self._kept = kept
        self._own: dict[str, Extra] = {}
        if route.controller is not None:
            self._own |= controller_parameter()
        self.settings = settings
        self.auth = None if isinstance(route.auth, Anyone) else route.auth
        if self.auth is not None:
            self._own |= self._user(optional=self.auth.optional)
        self.gate = self._gate()
        self._endpoint: MessageEndpoint | None = None

    def connection_handler(self) -> ConnectionHandler:
        route = self.route
        assert route.function is not None
        if self.auth is not None and self.auth.by_message is not None:
            raise RegistrationError(
                f"{route.where}, {name_of(route.function)}",
                f"it would be open to everybody: {self.auth!r} needs messages of a dialect, and "
                "a connection handler takes its frames itself",
                "use app.ws, app.events or a controller, or auth=Anyone()",
            )
        plan = self._compile(route.function, self._own)
        return ConnectionHandler(
            plan,
            self._controller(),
            dialect=route.dialect,
            middleware=route.middleware,
            settings=self.settings,
        )

    def message_endpoint(self) -> MessageEndpoint:
        route = self.route
        self._check_options()
        function = self._function(route.function) if route.function is not None else None
        endpoint = MessageEndpoint(
            route.where,
            self.dialect,
            self.registration.json,
            function=function,
            hooks=Hooks(
                controller=self._controller(),
                connect=self._hook(route.conn, {}),
                disconnect=self._hook(route.disconn, self._at_the_end()),
            ),
            gate=self.gate,
            middleware=route.middleware,
            concurrency=route.concurrency,
            cancel_on_disconnect=route.cancel_on_disconnect,
            handler_timeout=self.settings.handler_timeout,
            first_timeout=self.settings.auth_timeout,
        )
        if route.events is not None:
            self._endpoint = endpoint
            route.events.attach(self)
        return endpoint

    # --- events ---------------------------------------------------------------------------------

    def add_function(self, event: EventFunction) -> None:
        """Compile the function for messages of one name."""
        where = f"{self.route.where}.on({event.name!r})"
        if event.name in self.dialect.reserved:
            raise RegistrationError(
                where,
                f"the dialect {self.dialect.name} has messages called {event.name!r} of its own",
                "choose another name",
            )
        assert self._endpoint is not None
        plan = self._compile_message(event.function, where, event.locals, event.name)
        requires = requirement_of(event.requires, where)
        if requires is not None and self.auth is None:
            raise RegistrationError(
                where, "it requires something of the user, but nobody asks who that is", _GIVE_AUTH
            )
        self._endpoint.add(event.name, Function(plan, event.after, requires, event.rate))

    def add_hook(self, hook: EventHook) -> None:
        """Compile a hook of events."""
        assert self._endpoint is not None
        extra, body = {}, None
        if hook.kind in ("before", "after"):
            extra = message_parameters(self.dialect)
            extra |= after_parameters() if hook.kind == "after" else {}
        elif hook.kind == "disconnect":
            extra = self._at_the_end()
        elif hook.kind == "shared":
            self._check_shared()
        elif hook.kind == "ready" and self.dialect.greets:
            body = self.dialect.body
        plan = self._hook(hook.function, extra, hook.locals, body=body)
        assert plan is not None
        self._endpoint.add_hook(hook.kind, plan)

    def _user(self, *, optional: bool) -> dict[str, Extra]:
        if self.auth is None:
            return {}
        return user_parameter(self.auth.sources, self.route.where, optional=optional)

    def _at_the_end(self) -> dict[str, Extra]:
        """Return what disconnect hooks may take: they run for everybody, also for nobody."""
        return {**disconnect_parameters(), **self._user(optional=False)}

    def _check_shared(self) -> None:
        dialect = self.dialect
        if dialect.one_call or dialect.greets:
            raise RegistrationError(
                f"{self.route.where}, shared hook",
                f"the dialect {dialect.name} has no words for a session that is shared",
                "choose one that has: Typed(), State()",
            )

    # --- plans ----------------------------------------------------------------------------------

    def _function(self, function: Callable[..., Any]) -> Plan:
        plan = self._compile_message(function, self.route.where, self.route.locals)
        if isinstance(self.dialect, Raw) and plan.payload is not None:
            self.dialect = self.dialect.with_mode(plan.payload.mode)
        return plan

    def _compile_message(
        self, function: Callable[..., Any], where: str, names: LocalNames, event: str = ""
    ) -> Plan:
        dialect = self.dialect
        mode = dialect.mode if isinstance(dialect, Raw) and dialect.mode != "auto" else None
        plan = self._compile(
            function,
            {**message_parameters(dialect), **self._own},
            where=where,
            names=names,
            body=dialect.body,
            mode=mode,
        )
        if self.registration.metrics is not None:
            self.registration.metrics.measure(plan, self.label, event)
        return plan

    def _hook(
        self,
        function: Callable[..., Any] | None,
        extra: Mapping[str, Extra],
        names: LocalNames | None = None,
        *,
        body: Body | None = None,
    ) -> Plan | None:
        if function is None:
            return None
        plan = self._compile(function, {**self._own, **extra}, names=names, body=body)
        check_hook(plan)
        return plan

    def _controller(self) -> Plan | None:
        kind = self.route.controller
        return None if kind is None else self._compile(kind, {})

    def _gate(self) -> Gate | None:
        route, auth = self.route, self.auth
        requires = requirement_of(route.requires, route.where)
        if auth is None:
            if requires is not None:
                raise RegistrationError(
                    route.where, "it requires something of the user, but asks nobody", _GIVE_AUTH
                )
            return None
        plans = {source: self._verify_plan(source) for source in auth.sources}
        return Gate(
            auth,
            plans,
            timeout=auth.timeout or self.settings.auth_timeout,
            refusal=auth.refuse or self.settings.auth_refusal,
            requires=requires,
            doorkeeper=self.registration.doorkeeper,
        )

    def _verify_plan(self, source: Source) -> Plan:
        self._check_secret(source)
        extra = token_parameter(source.credential_type)
        plan = self._compile(source.verify, extra, names=source.locals)
        check_hook(plan)
        return plan

    def _check_secret(self, source: Source) -> None:
        if self.settings.secret_key is not None:
            return
        lack = None
        if isinstance(source, SessionUser):
            lack = "reads the session, and there is none"
        elif isinstance(source, Ticket) and source.tickets is None:
            lack = "takes the application's tickets, and they cannot be signed"
        if lack is not None:
            raise RegistrationError(
                self.route.where, f"{source!r} {lack}", "give the application a secret_key"
            )

    def _compile(
        self,
        function: Callable[..., Any],
        extra: Mapping[str, Extra],
        *,
        where: str | None = None,
        names: LocalNames | None = None,
        **options: Any,
    ) -> Plan:
        key = None
        if self._kept is not None and not self.route.locals:
            role = (*extra, *options)
            key = _key_of(function, role, self._way_of_dialect(), tuple(self.path.items()))
        if self._kept is not None and key in self._kept:
            return _for_function(self._kept[key], function)
        plan = self.registration.binder.compile(
            function,
            where=where or self.route.where,
            path=self.path,
            extra=extra,
            names=self.route.locals if names is None else names,
            **options,
        )
        if self._kept is not None and key is not None:
            if len(self._kept) >= _MAX_KEPT:
                self._kept.clear()
            self._kept[key] = _for_function(plan, _nobody)
        return plan

    def _way_of_dialect(self) -> tuple[Any, ...]:
        """Return what plans depend on of the dialect."""
        dialect = self.dialect
        return type(dialect), dialect.body, dialect.mode if isinstance(dialect, Raw) else None

    # --- checks ---------------------------------------------------------------------------------

    def _check_options(self) -> None:
        route, dialect = self.route, self.dialect
        if not isinstance(route.concurrency, int) or route.concurrency < 1:
            raise RegistrationError(
                route.where, f"concurrency: expected an int >= 1, got {route.concurrency!r}"
            )
        by_message = self.auth is not None and self.auth.by_message is not None
        if by_message and not dialect.can_authenticate:
            raise RegistrationError(
                route.where,
                f"the dialect {dialect.name} has no message in which a client says who it is",
                "choose one that has: Typed(), State()",
            )
        if route.events is not None and not dialect.has_names:
            raise RegistrationError(
                route.where,
                f"messages of the dialect {dialect.name} have no names",
                "choose one where they have (Typed(), State()), or use app.ws",
            )
        if dialect.one_call and route.concurrency != 1:
            raise RegistrationError(
                route.where,
                f"concurrency: the dialect {dialect.name} has one call for each connection, "
                f"got {route.concurrency}",
                "leave it out",
            )
        if dialect.one_call and route.events is None:
            raise RegistrationError(
                route.where,
                f"the dialect {dialect.name} calls functions by their names",
                "register them with app.events(...).on(name)",
            )


_GIVE_AUTH = "give the route an auth="

ROUTE_LIMITS = frozenset(
    {
        "auth_refusal",
        "auth_timeout",
        "byte_burst",
        "byte_rate",
        "handler_timeout",
        "heartbeat_interval",
        "heartbeat_timeout",
        "idle_timeout",
        "inbox_bytes",
        "inbox_frames",
        "max_message_size",
        "message_burst",
        "message_rate",
        "outbox_bytes",
        "outbox_frames",
        "overflow",
        "write_stall_timeout",
    }
)
"""Settings that a route may have for itself."""

_CONSTANTS = (NoneType, bool, int, str, bytes)

_MAX_KEPT = 1000
"""Plans of callbacks that are kept; with more functions than that all are compiled again."""


def _key_of(function: Callable[..., Any], *more: Any) -> Any:
    """Return what functions that only differ in their closure have in common; None: nothing.

    Nothing in a key belongs to one connection: annotations are made of what modules define, and
    defaults are constants.
    """
    inner = getattr(function, "__func__", function)
    if not isinstance(inner, FunctionType) or not _is_plain(inner):
        return None
    hints = tuple(inner.__annotations__.items())
    defaults = (*(inner.__defaults__ or ()), *(inner.__kwdefaults__ or {}).values())
    if not all(_lasts(hint) for _, hint in hints):
        return None
    if not all(type(each) in _CONSTANTS for each in defaults):
        return None
    told = tuple((type(each), each) for each in defaults)
    key = (inner.__code__, inner.__module__, inner is function, hints, told, *more)
    try:
        hash(key)
    except TypeError:
        return None
    return key


def _is_plain(function: FunctionType) -> bool:
    """Whether its code and its module say all of it, as they do not of one behind a decorator."""
    module = sys.modules.get(function.__module__)
    return not vars(function) and getattr(module, "__dict__", None) is function.__globals__


def _lasts(thing: Any) -> bool:
    """Whether a part of an annotation is the same for all connections: text, or importable."""
    if thing is ... or type(thing) in (*_CONSTANTS, Meta):
        return True
    if isinstance(thing, Marker):
        return all(_lasts(each) for each in vars(thing).values())
    if get_origin(thing) is not None:
        return all(_lasts(each) for each in get_args(thing))
    return thing is NoneType or _is_importable(thing)


def _is_importable(thing: Any) -> bool:
    found: Any = sys.modules.get(getattr(thing, "__module__", None) or "")
    for name in getattr(thing, "__qualname__", "").split("."):
        found = getattr(found, name, None)
    return found is thing


def _nobody() -> None:
    """Stands in kept plans where a function of a connection stood."""


def _for_function(plan: Plan, function: Callable[..., Any]) -> Plan:
    found = copy.copy(plan)
    found.function = function
    return found
