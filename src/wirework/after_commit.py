"""Publishing when a database transaction has been committed, and not when it was rolled back."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from .channels.channel import NamedChannel
from .publications import Message

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session
    from sqlalchemy.orm import Session, scoped_session

    AnySession: TypeAlias = (
        AsyncSession | Session | async_scoped_session[AsyncSession] | scoped_session[Session]
    )

__all__ = ["publish_after_commit"]

logger = logging.getLogger("wirework")

_tasks: set[asyncio.Task[None]] = set()


def publish_after_commit(
    session: AnySession, channel: NamedChannel[Any], data: Any, **options: Any
) -> None:
    """Publish `data` in `channel` when `session` commits, and never if it rolls back.

    What is said after a savepoint is forgotten when the session goes back to the savepoint. A
    session without a transaction begins one.

    Publications of one transaction are published one after the other, in the order of the calls.
    Call it in the event loop. The data is encoded now, so that later changes of a mapped object do
    not show. A process that dies between the commit and the publication publishes nothing: what
    must not be missed, clients read from the database when they subscribe.

    Args:
        session: of SQLAlchemy, asynchronous or not; used within the event loop.
        channel: such as `chat(room="42")`.
        data: as `NamedChannel.publish` takes it.
        options: as `NamedChannel.publish` takes them.

    Raises:
        TypeError, ValidationError: the data cannot be published.
        ModuleNotFoundError: SQLAlchemy is not installed.
    """
    from sqlalchemy import event

    own: Any = session.registry() if hasattr(session, "registry") else session  # a scoped one
    sync = getattr(own, "sync_session", own)
    message = channel.message(data, **options)
    if _KEY not in sync.info:
        sync.info[_KEY] = _Waiting(asyncio.get_running_loop())
        event.listen(sync, "after_commit", _on_commit)
        event.listen(sync, "after_soft_rollback", _on_rollback)
        event.listen(sync, "after_transaction_end", _on_end)
    if not sync.in_transaction():
        sync.begin()  # or a rollback before the first statement would tell nobody
    transaction = sync.get_nested_transaction() or sync.get_transaction()
    key = options.get("idempotency_key", "")
    sync.info[_KEY].entries.append(_Entry(channel, message, key, transaction))


_KEY: Final = "wirework publications"


class _Entry(NamedTuple):
    channel: NamedChannel[Any]
    message: Message
    idempotency_key: str
    transaction: Any
    """Of the session, perhaps one behind a savepoint."""


class _Waiting:
    """What a session publishes when it commits."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.entries: list[_Entry] = []
        self.is_committed = False


def _on_commit(session: Any) -> None:
    if not session.in_nested_transaction():
        session.info[_KEY].is_committed = True


def _on_rollback(session: Any, transaction: Any) -> None:
    """Forget what was said after the savepoint to which the session goes back."""
    waiting: _Waiting = session.info[_KEY]
    waiting.entries = [each for each in waiting.entries if not _is_within(each, transaction)]


def _is_within(entry: _Entry, transaction: Any) -> bool:
    own = entry.transaction
    while own is not None:
        if own is transaction:
            return True
        own = own.parent
    return False


def _on_end(session: Any, transaction: Any) -> None:
    if transaction.parent is not None:
        return
    waiting: _Waiting = session.info[_KEY]
    entries, waiting.entries = waiting.entries, []
    if waiting.is_committed and entries:
        waiting.loop.call_soon_threadsafe(_publish_all, entries)
    waiting.is_committed = False


def _publish_all(found: list[_Entry]) -> None:
    task = asyncio.get_running_loop().create_task(_publish(found))
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


async def _publish(found: list[_Entry]) -> None:
    for channel, message, idempotency_key, _ in found:
        try:
            await channel.publish_message(message, idempotency_key)
        except Exception:
            logger.exception("%r: what was committed could not be published", channel)
