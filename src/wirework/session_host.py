"""The sessions of an application, as its handshakes, pages, scripts and tests have them."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from .errors import SessionError, SettingsError
from .handshake import Handshake
from .settings import Settings
from .types import ASGIApp, HeaderList

if TYPE_CHECKING:
    from .reception import Reception
    from .security.keepers import SessionKeeper
    from .security.session_store import SessionStore
    from .security.tickets import Tickets, TicketStore

__all__ = ["SessionHost"]

logger = logging.getLogger("wirework")


class SessionHost:
    """What an application has of sessions, and the tickets that are signed as they are."""

    settings: Settings
    _reception: Reception
    sessions: SessionStore | None
    """What keeps the sessions; None: their cookies do."""
    _keeper: SessionKeeper | None

    def _open_sessions(
        self, settings: Settings, store: SessionStore | None, tickets: TicketStore | None
    ) -> None:
        if tickets is not None and not callable(getattr(tickets, "spend", None)):
            raise SettingsError(
                "tickets: expected a TicketStore, such as RedisTickets(url), with the method"
                f" spend; got {tickets!r}"
            )
        self.sessions = store
        self._keeper = _keeper(settings, store)
        self._ticket_store = tickets
        self._tickets: Tickets | None = None

    @property
    def tickets(self) -> Tickets:
        """Issues the tickets that the authentication `Ticket()` takes.

        Raises:
            SettingsError: the application was built without a `secret_key`.
        """
        if self._tickets is None:
            if self.settings.secret_key is None:
                raise SettingsError("tickets are signed: give the application a secret_key")
            from .security.tickets import Tickets

            self._tickets = Tickets(self.settings.secret_key, store=self._ticket_store)
        return self._tickets

    async def _close_stores(self) -> None:
        """End the connections of the stores that have some."""
        for store in {id(each): each for each in self._stores()}.values():
            close = getattr(store, "close", None)
            if close is None:
                continue
            try:
                closing = close()
                if inspect.isawaitable(closing):
                    await closing
            except Exception as error:
                logger.warning("%s could not be closed", type(store).__name__, exc_info=error)

    def _stores(self) -> Iterator[object]:
        """The stores of the application, and those of its routes' tickets."""
        yield self.sessions
        yield self._ticket_store
        for each in self._reception.table:
            gate = each.target.gate
            for source in () if gate is None else gate.auth.sources:
                yield getattr(getattr(source, "tickets", None), "store", None)

    async def session_headers(self, handshake: Handshake) -> HeaderList:
        """Save the session before the answer; return the Set-Cookie header that it needs, if any.

        Raises:
            SessionError: what was written to it cannot be kept.
        """
        if self._keeper is None or not handshake.has_session:
            return ()
        is_https = handshake.scheme in ("wss", "https")
        value = await self._keeper.settle(handshake.session, is_https=is_https)
        return () if value is None else (("set-cookie", value),)

    def sign_session(self, values: Mapping[str, Any]) -> dict[str, str]:
        """Return the cookie, by name, of a session with these values (for tests and scripts).

        Raises:
            SessionError: the application was built without a `secret_key`, or with a store, which
                has to be waited for: `create_session`.
        """
        if self.sessions is not None:
            raise SessionError("sessions are kept in a store: await app.create_session(values)")
        creation = self.create_session(values)
        try:
            creation.send(None)
        except StopIteration as done:
            cookie: dict[str, str] = done.value
            return cookie
        raise AssertionError("a session in its cookie waits for nothing")

    async def create_session(self, values: Mapping[str, Any]) -> dict[str, str]:
        """Return the cookie, by name, of a new session with these values (for tests and scripts).

        With a store, that keeps it from now on.

        Raises:
            SessionError: the application was built without a `secret_key`, or a value is not JSON.
        """
        if self._keeper is None:
            raise SessionError("there is no session: give the application a secret_key")
        session = await self._keeper.load({})
        session.update(values)
        name, _, rest = (await self._keeper.settle(session) or "").partition("=")
        return {name: rest.partition(";")[0]} if name else {}

    def with_sessions(self, app: ASGIApp) -> ASGIApp:
        """Wrap another ASGI application so that its HTTP requests have this one's sessions.

        For one that this application is mounted in: `outer.add_middleware(app.with_sessions)` with
        Starlette or FastAPI, whose routes then find the session as `request.session`. What is given
        as `http=` needs it not.

        Raises:
            SessionError: the application was built without a `secret_key`.
        """
        from .http import with_sessions

        if self._keeper is None:
            raise SessionError("there is no session: give the application a secret_key")
        return with_sessions(app, self._keeper)


def _keeper(settings: Settings, store: SessionStore | None) -> SessionKeeper | None:
    if settings.secret_key is None and store is None:
        return None
    from .security.keepers import keeper_of

    return keeper_of(settings, store)
