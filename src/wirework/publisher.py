"""Publishing from outside of an application: from Django views, Celery tasks, scripts."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Coroutine
from typing import Any, Final, Self, TypeVar

from .brokers import broker_of
from .brokers.base import Broker, Keep
from .channels.content import encoded, is_html, key_of
from .channels.control import Sent, packed_notice
from .channels.declared import declared
from .channels.families import Families
from .channels.hub import CONTROL
from .errors import BrokerUnavailable, NoSuchChannel, SettingsError
from .json import JsonAdapter, MsgspecAdapter
from .publications import Member, Message, Position, Publication
from .security.identity import user_key

__all__ = ["Publisher"]

T = TypeVar("T")

_ASK_AGAIN: Final = 60.0
"""Seconds after which it is asked anew which channels there are."""


class Publisher:
    """Publishes in the channels of applications that use the same broker.

    The applications need not run: what a channel keeps waits for those who come. How a channel
    keeps it, its application tells the broker when it starts, and while it runs. What was declared
    by the version that was started last counts, a minute later at most.

    In asyncio use it as `async with Publisher(url) as publisher`, and await `publish`. Elsewhere
    call `publish_now`, from any thread and after any fork; it starts a thread of its own at the
    first call. One publisher for a process is enough.

    Args:
        broker: `redis://...` or `nats://...`, as the application has it.
        prefix: the application's setting `broker_prefix`. Default "wirework".
        timeout: seconds within which the broker must answer. Default 5.0.
        json: encodes what is published; None: msgspec.

    Raises:
        SettingsError: the address cannot be used, or is that of the broker within one process.
    """

    def __init__(
        self,
        broker: str,
        *,
        prefix: str = "wirework",
        timeout: float = 5.0,
        json: JsonAdapter | None = None,
    ) -> None:
        self._url, self._prefix = broker, prefix
        self._timeout = timeout
        if not self._new_broker().is_shared:
            raise SettingsError("publisher: expected redis:// or nats://, got a broker in memory")
        self._json = json or MsgspecAdapter()
        self._broker: Broker | None = None
        self._lock: asyncio.Lock | None = None
        self._editions: list[Families[Keep | None]] = []
        self._asked_at = float("-inf")
        self._thread: _LoopThread | None = None
        self._thread_lock = threading.Lock()

    # --- asyncio --------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self._started()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def publish(
        self, channel: str, data: Any, *, key: str | None = None, idempotency_key: str = ""
    ) -> Position | None:
        """Publish `data` in `channel`; see `NamedChannel.publish`.

        The channel's `model` is not known here: the data is not checked.

        Raises:
            NoSuchChannel: no application has declared such a channel.
            TypeError: the data cannot be JSON.
            BrokerUnavailable: it is unknown whether it was published; try again with the same
                `idempotency_key`.
        """
        broker = await self._started()
        keep = await self._keep_of(broker, channel)
        message = Message(
            encoded(data, self._json),
            key_of(data) if key is None else key,
            at=round(time.time() * 1000),
            is_html=is_html(data),
        )
        published = await broker.publish(channel, message, keep, idempotency=idempotency_key)
        return None if keep is None else published.position

    async def publish_to_user(self, user: Any, data: Any, *, name: str = "") -> None:
        """Send `data` to every connection of a user; see `App.publish_to_user`.

        Args:
            user: the `id` of what authentication returns, or itself.
            data: any JSON; an element or `Fragment` for HTMX.
            name: of the event, in dialects that have names.

        Raises:
            TypeError: the data cannot be JSON.
            BrokerUnavailable: it is unknown whether it was told.
        """
        broker = await self._started()
        said = encoded(data, self._json)
        notice = packed_notice(Sent(str(user_key(user)), name, said, is_html(data)))
        await broker.publish(CONTROL, Message(notice))

    async def close(self) -> None:
        """End the connections to the broker; the next call makes new ones."""
        broker, self._broker = self._broker, None
        if broker is not None:
            await broker.stop()

    def _new_broker(self) -> Broker:
        return broker_of(self._url, prefix=self._prefix, timeout=self._timeout)

    async def _started(self) -> Broker:
        if self._lock is None:
            self._lock = asyncio.Lock()
        async with self._lock:
            if self._broker is None:
                broker = self._new_broker()
                await broker.start(_Deaf())
                self._broker = broker
            return self._broker

    async def _keep_of(self, broker: Broker, channel: str) -> Keep | None:
        is_old = time.monotonic() - self._asked_at > _ASK_AGAIN
        for attempt in range(2):
            if is_old or attempt:
                # A broker that has lost everything is told again: what is known holds until then.
                self._editions = await declared(broker) or self._editions
                self._asked_at = time.monotonic()
            for families in self._editions:
                found = families.find(channel)
                if found is not None:
                    return found[0]
            if is_old:
                break
        raise NoSuchChannel(channel)

    # --- elsewhere ------------------------------------------------------------------------------

    def publish_now(
        self, channel: str, data: Any, *, key: str | None = None, idempotency_key: str = ""
    ) -> Position | None:
        """Publish as `publish` does, and wait for it; for code that is not in an event loop.

        Raises:
            RuntimeError: called in an event loop, which would stand still: await `publish` there.
            NoSuchChannel, TypeError, BrokerUnavailable: as `publish`.
        """
        return self._run(self.publish(channel, data, key=key, idempotency_key=idempotency_key))

    def publish_to_user_now(self, user: Any, data: Any, *, name: str = "") -> None:
        """Send as `publish_to_user` does, and wait for it.

        Raises:
            RuntimeError: called in an event loop.
            TypeError, BrokerUnavailable: as `publish_to_user`.
        """
        self._run(self.publish_to_user(user, data, name=name))

    def close_now(self) -> None:
        """End what `publish_now` has begun: the connections and the thread."""
        with self._thread_lock:
            thread, self._thread = self._thread, None
        if thread is not None and thread.is_own:
            thread.run(self.close(), self._timeout * 2)
            thread.end()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            work.close()
            raise RuntimeError("publisher: this is an event loop; await publish(...)")
        with self._thread_lock:
            if self._thread is None or not self._thread.is_own:
                self._broker = self._lock = None  # a fork leaves its parent's sockets alone
                self._thread = _LoopThread()
            thread = self._thread
        # The broker keeps to its timeout for each of a few steps.
        return thread.run(work, self._timeout * 4)


class _LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="wirework-publisher", daemon=True
        )
        self._thread.start()

    @property
    def is_own(self) -> bool:
        """Whether it runs in this process: a fork takes no threads along."""
        return self._process == os.getpid() and self._thread.is_alive()

    def run(self, work: Coroutine[Any, Any, T], timeout: float) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(timeout)
        except TimeoutError:
            future.cancel()
            raise BrokerUnavailable(f"no answer within {timeout} s") from None

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class _Deaf:
    """A receiver of what nobody here is subscribed to."""

    def on_publication(self, publication: Publication) -> None: ...

    def on_joined(self, channel: str, member: Member, version: int) -> None: ...

    def on_left(self, channel: str, member: Member, version: int) -> None: ...

    def on_degraded(self) -> None: ...

    def on_restored(self) -> None: ...
