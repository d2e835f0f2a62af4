"""What a route of a message style is: its dialect, its functions, and what runs around them."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from ..binding.plan import Plan
from ..commands import Call
from ..dialects.base import Dialect
from ..errors import Reject
from ..json import JsonAdapter
from ..security.permissions import Requirement
from ..shortcut import Lane, Shortcut, lane_of, shortcut_of, shortcut_to
from ..websocket import WebSocket

if TYPE_CHECKING:
    from ..security.gate import Gate
    from .session import MessageSession

__all__ = ["Function", "Hooks", "MessageEndpoint", "Middleware"]

Middleware: TypeAlias = Callable[
    [Call, WebSocket, Callable[[Call], Awaitable[Any]]], Awaitable[Any]
]
"""`async def middleware(message, ws, call_next)`: returns what the peer is to be answered."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function for messages.

    `after` names a message that must have been handled before, `requires` is what the user must be
    allowed, `rate` is how many of these messages a second one connection may send.
    """

    plan: Plan
    after: str | None = None
    requires: Requirement | None = None
    rate: float | None = None

    @property
    def is_free(self) -> bool:
        """Whether nothing has to be asked before it is called."""
        return self.after is None and self.requires is None and self.rate is None


@dataclass(slots=True)
class Hooks:
    """What runs around the messages; each is a plan.

    `controller` makes the object of a connection, `before` and `after` run around each message,
    which the others do at the begin and the end. `shared` says which channel it shares with others.
    """

    controller: Plan | None = None
    connect: Plan | None = None
    ready: Plan | None = None
    shared: Plan | None = None
    disconnect: Plan | None = None
    before: list[Plan] = field(default_factory=list)
    after: list[Plan] = field(default_factory=list)

    @property
    def plans(self) -> list[Plan]:
        """Those that there are."""
        begin = (self.controller, self.connect, self.ready, self.shared)
        found = (*begin, self.disconnect, *self.before, *self.after)
        return [plan for plan in found if plan is not None]


class MessageEndpoint:
    """Functions called for the messages of a connection, with hooks around them.

    Args:
        where: how errors and logs name the route.
        dialect: how messages look on the wire.
        json: the application's adapter.
        function: for every message; None where the names of messages choose (`functions`).
        hooks: what runs around the messages.
        gate: says who the peer is; None: nobody asks.
        middleware: around every message, outermost first.
        concurrency: messages of one connection handled at a time; 1 keeps their order.
        cancel_on_disconnect: whether a running handler is cancelled when the peer goes.
        handler_timeout: seconds until a running handler is cancelled; None: never.
        first_timeout: seconds for a first message that must come, where nobody says who they are.
    """

    def __init__(
        self,
        where: str,
        dialect: Dialect,
        json: JsonAdapter,
        *,
        function: Plan | None = None,
        hooks: Hooks | None = None,
        gate: Gate | None = None,
        middleware: Sequence[Middleware] = (),
        concurrency: int = 1,
        cancel_on_disconnect: bool = False,
        handler_timeout: float | None = None,
        first_timeout: float = 10.0,
    ) -> None:
        self.where = where
        self.dialect = dialect
        self.function = None if function is None else Function(function)
        self.functions: dict[str, Function] = {}
        """Name of a message -> its function."""
        self.hooks = hooks or Hooks()
        self.gate = gate
        self.middleware = tuple(middleware)
        self.has_turns = False
        """Whether a function waits for another message to come first."""
        self.concurrency = concurrency
        self.cancel_on_disconnect = cancel_on_disconnect
        self.handler_timeout = handler_timeout
        self.first_timeout = first_timeout
        is_plain = not (middleware or cancel_on_disconnect or handler_timeout)
        self._shortcut = shortcut_of(dialect, function, json) if is_plain and function else None
        self._quick = dialect.quick(json) if is_plain else None
        self._json = json
        self._lanes: dict[type, Lane] = {}
        self._demanding: list[Plan] | None = None

    def add(self, name: str, function: Function) -> None:
        """Call `function` for messages called `name`."""
        self.functions[name] = function
        self._demanding = None
        self.has_turns |= function.after is not None
        if not function.is_free:
            return
        found = lane_of(self._quick, name, function.plan, self._json)
        if found is not None:
            call, lane = found
            self._lanes[call] = lane
            self._shortcut = None

    def add_hook(self, kind: str, plan: Plan) -> None:
        """Run a hook, of a kind that `Hooks` has, from now on."""
        if kind in ("before", "after"):
            getattr(self.hooks, kind).append(plan)
        else:
            setattr(self.hooks, kind, plan)
        self._demanding = None

    @property
    def shortcut(self) -> Shortcut | None:
        """The short way of its messages, where there is nothing to do around them."""
        hooks = self.hooks
        if self.has_turns or hooks.before or hooks.after or hooks.shared:
            return None
        if self._shortcut is None and self._quick is not None and self._lanes:
            self._shortcut = shortcut_to(self._quick, self._lanes)
        return self._shortcut

    @property
    def lanes(self) -> set[str]:
        """The names of the messages that have a short way."""
        shortcut = self.shortcut
        return set() if shortcut is None else {lane.name for lane in shortcut.lanes.values()}

    @property
    def plans(self) -> list[Plan]:
        """The plans of all functions and hooks."""
        functions = [*self.functions.values(), *((self.function,) if self.function else ())]
        return [*self.hooks.plans, *(each.plan for each in functions)]

    @property
    def opens_at_once(self) -> bool:
        """Whether the handshake is answered without waiting and without the application's code."""
        hooks, dialect = self.hooks, self.dialect
        if hooks.controller or hooks.connect or hooks.ready or hooks.shared or self.gate:
            return False
        if dialect.one_call or dialect.ready:
            return False
        return not self.demanding_plans

    @property
    def demanding_plans(self) -> list[Plan]:
        """Those of its plans that read the handshake, or need something made; kept, as few do."""
        if self._demanding is None:
            self._demanding = [plan for plan in self.plans if plan.readers or plan.dependencies]
        return self._demanding

    def find(self, name: str, *, is_debug: bool) -> Function:
        """Return the function for messages called `name`.

        Raises:
            Reject: there is none; in debug mode the nearest known name is told.
        """
        found = self.functions.get(name, self.function)
        if found is not None:
            return found
        text = f"no message is called {name[:100]!r}"
        nearest = difflib.get_close_matches(name[:100], self.functions, n=1) if is_debug else []
        raise Reject("not_found", f"{text}; did you mean {nearest[0]!r}?" if nearest else text)

    async def open(self, ws: WebSocket) -> None:
        """Answer the handshake; frames are then handled as they come."""
        await _session_class()(self, ws).open()


@functools.cache
def _session_class() -> type[MessageSession]:
    """Return the class that imports this module; to import it at each handshake costs 2 %."""
    from .session import MessageSession

    return MessageSession
