"""The session that a store holds: it can be written as long as anybody uses it."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from ..errors import SessionEnded, SessionError
from .session_store import SessionStore
from .sessions import Session

__all__ = ["MAX_SESSION", "StoredSession"]

logger = logging.getLogger("wirework")

MAX_SESSION: Final = 64 * 1024
"""Characters that the keys and values of one session may take as JSON."""

_Changes: TypeAlias = dict[str, str | None]


class StoredSession(Session):
    """Values of one visitor that a store holds; its cookie has the id and nothing else.

    It is what the store held when the request came, with own writes on top. They are saved when the
    answer goes, after each message and hook, when a connection handler ends, and by `save()`.

    Only keys that were written here are saved, so that writers of different keys never undo each
    other, on any worker; of several writes to one key the last saved wins. What others have written
    is seen after `reload()`.

    After the answer no cookie can be set: a session that was not begun before cannot be begun, and
    its id cannot be renewed (SessionError). Once it was deleted or has expired, writing, saving and
    reloading raise SessionEnded; a session that has ended never comes back.
    """

    def __init__(
        self,
        store: SessionStore,
        max_age: int | None,
        id: str = "",
        texts: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__({key: json.loads(text) for key, text in (texts or {}).items()})
        self.ids: set[str] = {id} if id else set()
        """All ids that it has had here."""
        self.needs_cookie = False
        """Whether the client is to be told its id, or that it lives on."""
        self.was_cleared = False
        """Whether the client's cookie has become worthless."""
        self._store = store
        self._max_age = max_age
        self._id = id
        self._texts = dict(texts or {})
        self._written: set[str] = set()
        self._is_clearing = False
        self._is_renewing = False
        self._has_ended = False
        self._turn = asyncio.Lock()

    @property
    def id(self) -> str:
        """The id in the store; empty where nothing was saved yet."""
        return self._id

    @property
    def is_answered(self) -> bool:
        """Whether the answer has gone, which carries the cookie."""
        return self._is_locked

    @property
    def is_locked(self) -> bool:
        """Whether it cannot be written: it has ended, or was not begun before the answer."""
        return self._has_ended or (self._is_locked and not self._can_go_on)

    @property
    def _can_go_on(self) -> bool:
        return bool(self._id) and not self._is_clearing

    # --- writing --------------------------------------------------------------------------------

    def clear(self) -> None:
        """Remove everything, and end the session: it is deleted in the store.

        Before the answer goes a new session, with a new id, may follow at once.
        """
        super().clear()
        self._forget()
        self.was_cleared = self.was_cleared or bool(self._id)
        self._is_clearing = bool(self._id)
        self._is_renewing = False

    def renew(self) -> None:
        """Take another id, against fixation; call it where somebody logs in.

        The values stay. The old id is worth nothing from then on, also for sockets that were opened
        with it: `app.disconnect(session=session)` ends them.

        Raises:
            SessionError: the answer has gone, so that the cookie cannot carry another id.
        """
        self._refuse_if_locked()
        if self._is_locked:
            raise SessionError(
                "the session cannot be renewed any more: its id travels in a cookie, with the "
                "answer; renew it in an HTTP route, in conn, or before accept"
            )
        self.mark_modified()
        self._is_renewing = bool(self._id)

    def _note(self, *keys: str) -> None:
        super()._note(*keys)
        self._written.update(keys)

    def _refuse_if_locked(self) -> None:
        if not self.is_locked:
            return
        if self.ids or self._has_ended:
            raise SessionEnded
        raise SessionError(
            "there is no session to write to: the visitor came without one, and its cookie travels "
            "with the handshake's answer; begin it in conn, before accept, or in an HTTP route"
        )

    # --- saving ---------------------------------------------------------------------------------

    async def save(self) -> None:
        """Write to the store what has changed since the last time; see `Session.save`."""
        async with self._turn:
            if self._is_clearing:
                await self._delete()
            changes = self._take_changes()
            if changes is None:
                return
            try:
                is_there = await self._write(changes)
            except BaseException:
                self._written.update(changes)
                self.modified = True
                raise
            if not is_there:
                self._end()
                raise SessionEnded

    async def keep(self, error: BaseException | None = None) -> None:
        """Save what a call has written after the answer; nothing is done before.

        Where the call has failed with `error`, that is told: what fails here is logged.
        """
        if not self._is_locked:
            return
        try:
            await self.save()
        except Exception as other:
            if error is None:
                raise
            if not isinstance(other, SessionEnded):
                logger.error("a session was not saved", exc_info=other)

    async def keep_last(self) -> None:
        """Save what is left at the end of a connection; what fails is logged."""
        try:
            await self.keep()
        except SessionEnded:
            logger.info("what was written to a session that had ended is dropped")
        except Exception as error:
            logger.error("a session was not saved", exc_info=error)

    async def reload(self) -> None:
        """Read from the store what others have changed; own changes that are not saved are kept.

        Values that others have changed are replaced: a list or dict taken out before is then no
        longer the session's.
        """
        async with self._turn:
            texts = await self._load()
            if texts is None:
                return
            for key in (self._texts.keys() | texts.keys()) - self._changes().keys():
                if key not in texts:
                    dict.pop(self, key, None)
                elif texts[key] != self._texts.get(key):
                    dict.__setitem__(self, key, json.loads(texts[key]))
            self._texts = dict(texts)

    async def stored_value(self, key: str) -> Any | None:
        """Return what the store holds under `key` now, None where that is nothing.

        Raises:
            SessionEnded: the session was deleted, or has expired.
        """
        texts = await self._load()
        text = None if texts is None else texts.get(key)
        return None if text is None else json.loads(text)

    async def _load(self) -> Mapping[str, str] | None:
        """Return what the store holds; None: the session has not begun, or is being cleared."""
        if self._has_ended:
            raise SessionEnded
        if not self._can_go_on:
            return None
        texts = await self._store.load(self._id)
        if texts is None:
            self._end()
            raise SessionEnded
        return texts

    async def _write(self, changes: _Changes) -> bool:
        """Bring the store up to date; False: it has this session no more."""
        if not self._id:
            await self._begin()
            return True
        if self._is_renewing:
            new_id = _new_id()
            if not await self._store.rename(self._id, new_id):
                self._keep_only(changes)
                await self._begin()
                return True
            self._take_id(new_id)
        is_there = await self._store.update(self._id, changes, self._max_age)
        self.needs_cookie = self.needs_cookie or is_there
        return is_there

    async def _begin(self) -> None:
        id = _new_id()
        await self._store.create(id, dict(self._texts), self._max_age)
        self._take_id(id)

    def _take_id(self, id: str) -> None:
        self._id = id
        self.ids.add(id)
        self._is_renewing = False
        self.needs_cookie = True

    async def _delete(self) -> None:
        await self._store.delete(self._id)
        self._is_clearing = False
        self.needs_cookie = False
        self._has_ended = self._is_locked
        self._id = ""

    def _end(self) -> None:
        """Take note that the store has this session no more."""
        dict.clear(self)
        self._forget()
        self.modified = self._is_renewing = False
        self._has_ended = True

    def _forget(self) -> None:
        self._texts = {}
        self._written.clear()

    def _keep_only(self, changes: _Changes) -> None:
        """Drop what the store held: the session was deleted, and another one begins."""
        self._texts = {key: text for key, text in changes.items() if text is not None}
        for key in self.keys() - self._texts.keys():
            dict.pop(self, key)

    # --- what has changed -----------------------------------------------------------------------

    def _take_changes(self) -> _Changes | None:
        """Return what is to be saved, which counts as saved from now on; None: nothing is."""
        try:
            changes = self._changes()
            texts = {**self._texts, **changes}
            _check_size(texts)
        except SessionError:
            self._revert()
            raise
        is_due = bool(changes) or self.modified or self._is_renewing
        if not is_due or not (self._id or self):
            return None
        self._written.clear()
        self.modified = False
        self._texts = {key: text for key, text in texts.items() if text is not None}
        return changes

    def _changes(self) -> _Changes:
        """Return the values that were set or changed in place, as JSON, and what was removed."""
        changes: _Changes = {}
        for key, value in self.items():
            if key in self._written:
                changes[key] = _encode(key, value)
            elif isinstance(value, (dict, list)):
                text = _encode(key, value)
                if text != self._texts.get(key):
                    changes[key] = text
        changes.update({key: None for key in self._written if key not in self})
        return changes

    def _revert(self) -> None:
        """Drop changes that cannot be saved, or every later save would meet them again."""
        dict.clear(self)
        dict.update(self, {key: json.loads(text) for key, text in self._texts.items()})
        self._written.clear()
        self.modified = self._is_renewing = False


def _new_id() -> str:
    return secrets.token_urlsafe(32)


def _encode(key: object, value: Any) -> str:
    if not isinstance(key, str):
        raise SessionError(f"the session holds a key that is no str: {key!r}")
    try:
        return json.dumps(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise SessionError(
            f"the session holds a value that is not JSON: {key!r}, {error}"
        ) from error


def _check_size(texts: Mapping[str, str | None]) -> None:
    size = sum(len(key) + len(text) for key, text in texts.items() if text is not None)
    if size > MAX_SESSION:
        raise SessionError(
            f"the session takes {size} characters as JSON, expected at most {MAX_SESSION}; "
            "store the data elsewhere and only its key in the session"
        )
