"""`Depends`: values that a function makes for a handler, and cleans up after it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from .markers import Marker

if TYPE_CHECKING:
    from .plan import Context, Plan

__all__ = ["Dependency", "Depends", "Kind", "Lifetime", "Store", "kind_of"]

Lifetime: TypeAlias = Literal["message", "connection"]
Kind: TypeAlias = Literal["async", "sync", "async generator", "generator", "class"]


class Depends(Marker):
    """Says in an annotation where a value comes from: `Annotated[Db, Depends(get_db)]`.

    `function` may be sync (it runs in a thread) or async, a class, or a generator with one
    `yield`, whose rest runs when the value is released. Its own parameters are filled like a
    handler's, `Depends` included; it does not see fields of the payload.

    Args:
        function: what makes the value; called once per message, however often it is asked for.
        scope: "message" releases it when the message is done, so that an idle connection holds
            nothing; "connection" keeps it until the connection ends. In a connection handler
            both last until the handler ends.
    """

    def __init__(self, function: Callable[..., Any], *, scope: Lifetime = "message") -> None:
        if not callable(function):
            raise TypeError(f"Depends: expected a function, got {function!r}")
        if scope not in ("message", "connection"):
            raise ValueError(f'Depends: expected scope "message" or "connection", got {scope!r}')
        self.function = function
        self.scope: Lifetime = scope

    def __repr__(self) -> str:
        return f"Depends({getattr(self.function, '__qualname__', self.function)!s})"


class Store:
    """The values of one lifetime, and how to release them; nothing is made until it is needed."""

    __slots__ = ("_locks", "_stack", "values")

    def __init__(self) -> None:
        self.values: dict[Any, Any] = {}
        self._stack: AsyncExitStack | None = None
        self._locks: dict[Any, asyncio.Lock] | None = None

    @property
    def stack(self) -> AsyncExitStack:
        """Where cleanups are registered."""
        if self._stack is None:
            self._stack = AsyncExitStack()
        return self._stack

    def lock(self, key: Any) -> asyncio.Lock:
        """Return what is held while the value of `key` is made: concurrent messages share it."""
        if self._locks is None:
            self._locks = {}
        return self._locks.setdefault(key, asyncio.Lock())

    async def release(self, error: BaseException | None = None) -> None:
        """Run the cleanups, last made first.

        They see `error`, but cannot make it undone: whoever asks still has it to handle.
        """
        if self._stack is None:
            return
        stack, self._stack = self._stack, None
        self.values.clear()
        if error is None:
            await stack.__aexit__(None, None, None)
        else:
            await stack.__aexit__(type(error), error, error.__traceback__)


class Dependency:
    """A `Depends` with the compiled plan of its function.

    Args:
        depends: what was asked for.
        plan: of its function.
        overrides: function -> what stands in for it, looked at each time (for tests).
        compile: makes the plan of a stand-in.
    """

    def __init__(
        self,
        depends: Depends,
        plan: Plan,
        overrides: Mapping[Callable[..., Any], Callable[..., Any]],
        compile: Callable[[Callable[..., Any], Lifetime], Plan],
    ) -> None:
        self.plan = plan
        self.scope = depends.scope
        self.key = (depends.function, depends.scope)
        self._overrides = overrides
        self._compile = compile
        self._stand_ins: dict[Callable[..., Any], Plan] = {}

    async def resolve(self, context: Context) -> Any:
        """Return the value: the one of this lifetime, or a new one."""
        store = context.lasting if self.scope == "connection" else context.passing
        if self.key in store.values:
            return store.values[self.key]
        if self.scope == "message":
            store.values[self.key] = value = await self._make(context, store)
            return value
        async with store.lock(self.key):
            if self.key not in store.values:
                store.values[self.key] = await self._make(context, store)
            return store.values[self.key]

    def value(self, context: Context) -> Any:
        """Return the value that `resolve` has stored."""
        store = context.lasting if self.scope == "connection" else context.passing
        return store.values[self.key]

    async def _make(self, context: Context, store: Store) -> Any:
        plan = self.plan_now()
        args, kwargs = await plan.bind(context)
        function, kind = plan.function, plan.kind
        if kind == "async":
            return await function(*args, **kwargs)
        if kind == "class":
            return function(*args, **kwargs)
        if kind == "async generator":
            manager = asynccontextmanager(function)(*args, **kwargs)
            return await store.stack.enter_async_context(manager)
        if kind == "generator":
            threaded = in_thread(contextmanager(function)(*args, **kwargs))
            return await store.stack.enter_async_context(threaded)
        from starlette.concurrency import run_in_threadpool

        return await run_in_threadpool(function, *args, **kwargs)

    def plan_now(self) -> Plan:
        """Return the plan of the function, or of what stands in for it now."""
        stand_in = self._overrides.get(self.key[0]) if self._overrides else None
        if stand_in is None:
            return self.plan
        if stand_in not in self._stand_ins:
            self._stand_ins[stand_in] = self._compile(stand_in, self.scope)
        return self._stand_ins[stand_in]


@asynccontextmanager
async def in_thread(manager: Any) -> Any:
    """Enter and leave a sync context manager in a worker thread."""
    from starlette.concurrency import run_in_threadpool

    value = await run_in_threadpool(manager.__enter__)
    try:
        yield value
    except BaseException as error:
        if not await run_in_threadpool(manager.__exit__, type(error), error, error.__traceback__):
            raise
    else:
        await run_in_threadpool(manager.__exit__, None, None, None)


def kind_of(function: Callable[..., Any]) -> Kind:
    """Return how `function` is to be called."""
    target: Any = function
    while hasattr(target, "func") and hasattr(target, "keywords"):
        target = target.func
    if inspect.isclass(target):
        return "class"
    if not (inspect.isroutine(target)):
        target = type(target).__call__
    if inspect.iscoroutinefunction(target):
        return "async"
    if inspect.isasyncgenfunction(target):
        return "async generator"
    return "generator" if inspect.isgeneratorfunction(target) else "sync"
