"""Events: one function per named message of a path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, TypeVar

from ..binding.signatures import LocalNames, local_names
from ..errors import RegistrationError
from ..security.permissions import Requires
from .routes import check_functions

__all__ = ["EventFunction", "EventHook", "Events", "HookKind"]

F = TypeVar("F", bound=Callable[..., Any])

HookKind: TypeAlias = Literal["connect", "ready", "shared", "disconnect", "before", "after"]


class EventFunction(NamedTuple):
    """A function for messages of one name."""

    name: str
    function: Callable[..., Any]
    after: str | None
    requires: Any
    rate: float | None
    locals: LocalNames


class EventHook(NamedTuple):
    """A function that runs around the messages, or at an end of the connection."""

    kind: HookKind
    function: Callable[..., Any]
    locals: LocalNames


class Compiler(Protocol):
    """What makes an endpoint of the declared functions, for one application."""

    def add_function(self, event: EventFunction) -> None:
        """Compile a function for messages."""

    def add_hook(self, hook: EventHook) -> None:
        """Compile a hook."""


class Events:
    """The functions for the named messages of one path; made by `app.events(path, ...)`.

    Each function is compiled when it is added, so that a signature that cannot work fails where it
    is written. One that is added later handles messages of connections that are open already.
    """

    def __init__(self, where: str) -> None:
        self.where = where
        self._functions: dict[str, EventFunction] = {}
        self._hooks: list[EventHook] = []
        self._compilers: list[Compiler] = []

    def __repr__(self) -> str:
        return f"<Events {self.where}: {', '.join(self._functions) or 'none'}>"

    def on(
        self,
        name: str,
        *,
        after: str | None = None,
        requires: Requires | None = None,
        rate: float | None = None,
    ) -> Callable[[F], F]:
        """Register a function for messages called `name`; see `Router.ws` for what it may do.

        Args:
            name: what the dialect calls the message: `type`, `state`.
            after: the name of a message that must have been handled on this connection before;
                until then this one is answered with the error "not_ready".
            requires: what the user must be allowed: a permission, several, or a function of the
                user; else the message is answered with the error "forbidden".
            rate: messages of this name a second that one connection may send; others are answered
                with the error "rate_limited". None: as many as the connection's own rate allows.

        Raises:
            RegistrationError: the name is taken, reserved by the dialect or unknown (`after`), or
                a parameter of the function cannot be filled.
        """
        where = f"{self.where}.on({name!r})"
        if callable(name):
            raise RegistrationError(self.where, "on() has no name", "write @events.on('name')")
        if not isinstance(name, str) or not name:
            raise RegistrationError(where, f"name: expected a str, got {name!r}")
        self._refuse_taken(where, name)
        if after is not None and after not in self._functions:
            raise RegistrationError(
                where, f"after: no message is called {after!r} yet", "register that one first"
            )

        if rate is not None and not rate > 0:
            raise RegistrationError(where, f"rate: expected a number above 0, got {rate!r}")

        def decorate(function: F) -> F:
            check_functions(where, function)
            self._refuse_taken(where, name)
            event = EventFunction(name, function, after, requires, rate, local_names(function))
            for compiler in self._compilers:
                compiler.add_function(event)
            self._functions[name] = event
            return function

        return decorate

    def _refuse_taken(self, where: str, name: str) -> None:
        if name in self._functions:
            raise RegistrationError(where, f"{name!r} has a function already")

    def on_connect(self, function: F) -> F:
        """Run `function` before the handshake is answered; it may refuse it."""
        return self._add_hook("connect", function)

    def on_ready(self, function: F) -> F:
        """Run `function` when the session begins, after the authentication if there is one.

        What it returns is told to the client with the dialect's word for "ready".
        """
        return self._add_hook("ready", function)

    def shared(self, function: F) -> F:
        """Have connections share a session: `function` returns its channel, `board(id=id)`.

        It is asked once, when the session begins, and decides alone who may take part: None and
        False refuse, as does `Reject`; the connection ends with 4403, and nothing that it has sent
        is handled. The same goes for errors of `on_ready`. Connections of the same channel, on all
        workers, are one session. What a function returns or yields is published there, with the
        name of the message as its key, and reaches everybody as an event of that name, in the same
        order, each once; in mode "latest" who reads slowly may get only the newest of each name. A
        `Reply`, None and errors are for the sender alone. Who comes gets what the channel keeps: in
        mode "latest" the newest of each name.
        """
        return self._add_hook("shared", function)

    def on_disconnect(self, function: F) -> F:
        """Run `function` once, last; it may take `code` and `reason`."""
        return self._add_hook("disconnect", function)

    def before(self, function: F) -> F:
        """Run `function` before each message's; what it raises is answered instead.

        It may take `message` (a `Call`: `name`, `id`), `user`, `ws` and dependencies, which it
        shares with the message's function. Its return value does not count.
        """
        return self._add_hook("before", function)

    def after(self, function: F) -> F:
        """Run `function` after each message's, at the end of the stream if that is one.

        It may take what `before` may, and `result` (what the function returned; None for a
        stream) and `error` (what it raised, or None).
        """
        return self._add_hook("after", function)

    def _add_hook(self, kind: HookKind, function: F) -> F:
        where = f"{self.where}, {kind} hook"
        check_functions(where, function)
        is_single = kind not in ("before", "after")
        if is_single and any(hook.kind == kind for hook in self._hooks):
            name = "a shared hook" if kind == "shared" else f"an on_{kind}"
            raise RegistrationError(self.where, f"there is {name} already")
        hook = EventHook(kind, function, local_names(function, depth=3))
        for compiler in self._compilers:
            compiler.add_hook(hook)
        self._hooks.append(hook)
        return function

    def attach(self, compiler: Compiler) -> None:
        """Hand everything that is and will be registered to `compiler`."""
        for event in self._functions.values():
            compiler.add_function(event)
        for hook in self._hooks:
            compiler.add_hook(hook)
        self._compilers.append(compiler)
