"""How an application keeps its sessions: in their cookies, or in a store."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Protocol, TypeVar

from ..errors import SessionEnded, SettingsError
from ..settings import Settings
from .cookies import IdCookie, SessionCookie, SignedCookie
from .session_store import SessionStore
from .sessions import Session
from .stored_session import StoredSession

__all__ = ["CookieKeeper", "SessionKeeper", "StoreKeeper", "keeper_of"]

logger = logging.getLogger("wirework")
CookieT = TypeVar("CookieT", bound=SignedCookie)


class SessionKeeper(Protocol):
    """Has the session of a request ready before its handler, and safe before its answer."""

    @property
    def waits(self) -> bool:
        """Whether `load` and `settle` may wait for something."""

    async def load(self, cookies: Mapping[str, str]) -> Session:
        """Return the session that these cookies stand for, an empty one if there is none."""

    async def settle(self, session: Session, *, is_https: bool = False) -> str | None:
        """Save what was written, before the answer goes; return the Set-Cookie header it needs.

        `is_https`: whether the request came over TLS.

        Raises:
            SessionError: what was written cannot be kept.
        """


class CookieKeeper:
    """Keeps sessions in their cookies."""

    waits = False

    def __init__(self, cookie: SessionCookie) -> None:
        self._cookie = cookie

    async def load(self, cookies: Mapping[str, str]) -> Session:
        """Return the session in these cookies."""
        return self._cookie.load(cookies)

    async def settle(self, session: Session, *, is_https: bool = False) -> str | None:
        """Return the header that has the session, if it has changed."""
        return None if session.is_locked else self._cookie.header(session, is_https=is_https)


class StoreKeeper:
    """Keeps sessions in a store, and their ids in cookies."""

    waits = True

    def __init__(self, store: SessionStore, cookie: IdCookie, max_age: int | None) -> None:
        self._store = store
        self._cookie = cookie
        self._max_age = max_age

    async def load(self, cookies: Mapping[str, str]) -> Session:
        """Return the session in the store; an id that is not there is never taken over."""
        id = self._cookie.id_in(cookies)
        texts = await self._store.load(id) if id else None
        return StoredSession(self._store, self._max_age, "" if texts is None else id, texts)

    async def settle(self, session: Session, *, is_https: bool = False) -> str | None:
        """Save the session; return the header with its id, if that is new or lives longer now.

        What was written to a session that somebody has deleted meanwhile is dropped, as if it had
        been written just before.
        """
        if not isinstance(session, StoredSession) or session.is_answered:
            return None
        try:
            await session.save()
        except SessionEnded:
            logger.info("a session was deleted while a request was writing to it")
            return None
        if session.needs_cookie:
            return self._cookie.header(session.id, is_https=is_https)
        return self._cookie.erase(is_https=is_https) if session.was_cleared else None


def keeper_of(settings: Settings, store: SessionStore | None) -> SessionKeeper | None:
    """Return what keeps the sessions of an application; None: it has none.

    Raises:
        SettingsError: a setting that cannot work, a store without a `secret_key`, or no store.
    """
    if store is not None:
        _check_store(settings, store)
    if settings.secret_key is None:
        return None
    if store is None:
        return CookieKeeper(_cookie(SessionCookie, settings))
    return StoreKeeper(store, _cookie(IdCookie, settings), settings.session_max_age)


def _check_store(settings: Settings, store: object) -> None:
    if isinstance(store, type) or not isinstance(store, SessionStore):
        raise SettingsError(
            "sessions: expected a SessionStore, such as MemorySessions(), with the methods load, "
            f"create, update, rename and delete; got {store!r}"
        )
    if settings.secret_key is None:
        raise SettingsError("sessions: their ids are signed: give the application a secret_key")


def _cookie(kind: type[CookieT], settings: Settings) -> CookieT:
    assert settings.secret_key is not None
    return kind(
        settings.secret_key,
        name=settings.session_cookie,
        max_age=settings.session_max_age,
        path=settings.session_path,
        domain=settings.session_domain,
        same_site=settings.session_same_site,
        https_only=settings.session_https_only,
    )
