"""What registration works out of a function: how each of its parameters is filled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any, Self, TypeAlias

from ..commands import Call
from ..errors import Problem, RegistrationError, ValidationError
from ..handshake import Handshake
from .depends import Dependency, Kind, Store, kind_of
from .payload import PayloadPlan
from .sources import Reader
from .validators import Checks

__all__ = ["Context", "Getter", "Plan", "check_hook"]


class Context:
    """What the parameters of one call are filled from."""

    __slots__ = (
        "_passing",
        "call",
        "checked",
        "connection",
        "data",
        "error",
        "handshake",
        "lasting",
        "payload",
        "result",
    )

    def __init__(
        self,
        connection: Any,
        handshake: Handshake,
        lasting: Store,
        call: Call | None = None,
        *,
        passing: Store | None = None,
    ) -> None:
        self.connection = connection
        """The WebSocket, or the Request of an HTTP route."""
        self.handshake = handshake
        self.lasting = lasting
        self._passing = passing
        self.call = call
        self.payload: Any = None
        self.data: Any = None
        self.result: Any = None
        """What the handler returned, and what it raised, for hooks that run after it."""
        self.error: Exception | None = None
        self.checked: Any = None
        """The value that a validator looks at."""

    @property
    def passing(self) -> Store:
        """Values that last as long as this call."""
        if self._passing is None:
            self._passing = Store()
        return self._passing

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Release what this call has made, then save the session.

        An error goes on, whatever the cleanups make of it.
        """
        if self._passing is not None:
            await self._passing.release(error)
        if self.handshake.stored is not None:
            await self.handshake.stored.keep(error)


Getter: TypeAlias = Callable[[Context], Any]
"""Reads one argument from the context of a call."""


class Plan:
    """A function and how to fill each of its parameters."""

    def __init__(self, function: Callable[..., Any], where: str) -> None:
        self.function = function
        self.where = where
        self.kind: Kind = kind_of(function)
        self.positional: list[Getter] = []
        self.named: dict[str, Getter] = {}
        self.readers: list[Reader] = []
        self.dependencies: list[Dependency] = []
        self.payload: PayloadPlan | None = None
        self.checks: Checks | None = None
        """What the payload must pass after it was decoded."""
        self.wants_data = False
        """Whether it takes the plain payload, as `data`."""
        self.needs_call = False
        """Whether it reads the message's payload, so that it cannot outlive one."""
        self.reads_message = False
        """Whether it takes the message itself."""

    @property
    def is_simple(self) -> bool:
        """Whether it is an `async def` whose arguments are at hand once the payload is decoded."""
        has_more = self.named or self.dependencies or self.checks
        reads_call = self.needs_call or self.reads_message or self.wants_data
        return self.kind == "async" and not (has_more or reads_call)

    @property
    def is_stream(self) -> bool:
        """Whether the function is a generator, of either kind."""
        return self.kind not in ("async", "sync")

    def filler(self) -> Callable[[Context], Iterable[Any]] | None:
        """Return what makes the arguments of a simple function from a context with its payload.

        None: the payload itself is the only one.
        """
        getters, payload = self.positional, self.payload
        names = [each.name for each in payload.parameters] if payload is not None else []
        if payload is None or len(names) != len(getters):
            return lambda context: [get(context) for get in getters]
        if payload.is_whole and names:
            return None
        if len(names) > 1:
            return attrgetter(*[f"payload.{name}" for name in names])
        return lambda context: [get(context) for get in getters]

    async def bind(self, context: Context) -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments.

        Raises:
            ValidationError, MalformedMessage: the payload, or a part of the handshake, is unfit.
        """
        if self.payload is not None and context.call is not None:
            context.payload, context.data = self.payload.read(context.call.body)
            if self.checks is not None:
                await self.checks.run(context.payload, context)
        for dependency in self.dependencies:
            await dependency.resolve(context)
        args = [get(context) for get in self.positional]
        named = self.named
        return args, {name: get(context) for name, get in named.items()} if named else {}

    async def call(self, context: Context) -> Any:
        """Bind the arguments and call the function; generators are returned, not run."""
        args, kwargs = await self.bind(context)
        if self.kind == "async":
            return await self.function(*args, **kwargs)
        if self.is_stream:
            return self.function(*args, **kwargs)
        return await _in_thread(self.function, args, kwargs)

    def check(self, handshake: Handshake) -> None:
        """Raise now what reading the handshake's part of the parameters would raise later.

        Raises:
            ValidationError: query, header or cookie values that are absent or unfit, all of them.
        """
        problems: list[Problem] = []
        for plan in self._all_plans():
            for reader in plan.readers:
                try:
                    reader.read(handshake)
                except ValidationError as error:
                    problems += error.problems
        if problems:
            raise ValidationError(problems)

    def _all_plans(self) -> list[Plan]:
        nested = [plan for each in self.dependencies for plan in each.plan_now()._all_plans()]
        return [self, *nested]


async def _in_thread(
    function: Callable[..., Any], args: list[Any], kwargs: Mapping[str, Any]
) -> Any:
    """Call `function` in a thread; a cancellation waits until it has returned.

    A thread cannot be stopped: without that the next message would be handled beside it.
    """
    from starlette.concurrency import run_in_threadpool

    call = asyncio.ensure_future(run_in_threadpool(function, *args, **kwargs))
    try:
        return await asyncio.shield(call)
    finally:
        if not call.done():
            await asyncio.gather(call, return_exceptions=True)


def check_hook(plan: Plan) -> None:
    """Refuse a hook that is a generator: it is called once and returns.

    Raises:
        RegistrationError: it is.
    """
    if plan.is_stream:
        article = "an" if plan.kind[0] == "a" else "a"
        raise RegistrationError(
            plan.where,
            f"it is called once and returns, this is {article} {plan.kind}",
            "write a def or an async def without yield",
        )
