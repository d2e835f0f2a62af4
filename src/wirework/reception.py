"""From a handshake to what serves it: who may come in, and the account of who is here."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, NamedTuple

from . import closecodes
from .connection import Connection
from .errors import Close, Refuse
from .handlers import Endpoint
from .handshake import Handshake, Request
from .routing.paths import RouteTable
from .routing.routes import WebSocketRoute
from .security.buckets import Budget
from .security.census import Census, Limits, Place, Refusal
from .security.gate import Gate
from .security.identity import user_key
from .security.origin import OriginPolicy
from .security.proxies import Proxies
from .security.sessions import Session
from .settings import Settings
from .timers import wheel
from .types import Scope
from .websocket import WebSocket

if TYPE_CHECKING:
    from .app import App
    from .security.cookies import SessionCookie

__all__ = ["Reception", "Target"]

logger = logging.getLogger("wirework")


class Target(NamedTuple):
    """What a WebSocket path leads to, and what stands before it."""

    route: WebSocketRoute
    endpoint: Endpoint
    origin: OriginPolicy
    gate: Gate | None
    settings: Settings


class _Guest(NamedTuple):
    """A connection that is being served."""

    ws: WebSocket
    place: Place


class Reception:
    """Takes the handshakes of one application in, and keeps account of its connections."""

    def __init__(self, app: App, settings: Settings, cookie: SessionCookie | None) -> None:
        self._app = app
        self._settings = settings
        self._cookie = cookie
        self.table: RouteTable[Target] = RouteTable()
        self.census = Census(Limits.of(settings))
        self.lent_state: Mapping[str, Any] = {}
        """What the lifespan yielded."""
        trusted = settings.trusted_proxies
        self.proxies = Proxies(trusted, settings.proxy_headers) if trusted else None
        self._guests: dict[Connection, _Guest] = {}

    # --- handshakes -----------------------------------------------------------------------------

    def opens_at_once(self, path: str) -> bool:
        """Whether `serve` for `path` waits for nothing and runs no code of the application."""
        match = self.table.find(path)
        if match is None:
            return True
        return match.target.gate is None and match.target.endpoint.opens_at_once

    async def serve(self, connection: Connection, scope: Scope | Request) -> None:
        """Refuse a connection, or have its endpoint open it."""
        if self.proxies is not None:
            scope = self.proxies.correct(
                scope if isinstance(scope, MutableMapping) else scope.scope()
            )
        handshake = Handshake(scope, self._app)
        handshake.lend_state(self.lent_state)
        ws = WebSocket(connection, handshake, self._app)
        try:
            target = self._admit(ws)
        except Refuse as refusal:
            logger.info("%s refused with %s: %r", ws.id, refusal.status, handshake.path)
            await ws.refuse(refusal.status, refusal.body, refusal.headers)
            connection.finish()
            return
        if target.gate is None or await self._pass(target, target.gate, ws):
            await target.endpoint.open(ws)

    async def _pass(self, target: Target, gate: Gate, ws: WebSocket) -> bool:
        """Have the gate judge who wants in; who is not let in is done with."""
        is_in = False
        try:
            is_in = await gate.enter(ws, getattr(target.endpoint, "dialect", None))
        finally:
            if not is_in:
                ws.connection.finish()
        return is_in

    def _admit(self, ws: WebSocket) -> Target:
        """Return what serves this handshake, whose connection is counted from now on.

        Raises:
            Refuse: it may not come in.
        """
        handshake, connection = ws.handshake, ws.connection
        if not self._settings.websocket:
            raise Refuse(403, "WebSockets are switched off")
        match = self.table.find(handshake.path)
        if match is None:
            raise Refuse(404, "Not Found")
        target = match.target
        self._check_origin(target, handshake)
        place = self._take_place(target, handshake)
        self._guests[connection] = _Guest(ws, place)
        connection.on_end = self._leave
        if target.settings is not self._settings:
            connection.adopt(target.settings)
        connection.budget = Budget.of(target.settings)
        handshake.path_params = match.params
        self._load_session(handshake)
        return target

    def _check_origin(self, target: Target, handshake: Handshake) -> None:
        hosts = handshake.values("host")
        verdict = target.origin.check(
            handshake.values("origin"), hosts[0] if hosts else None, handshake.scheme
        )
        if not verdict:
            logger.warning("refused the handshake of %r: %s", handshake.path, verdict.reason)
            raise Refuse(403, "Forbidden")

    def _take_place(self, target: Target, handshake: Handshake) -> Place:
        client = handshake.client
        place = self.census.admit(
            client[0] if client else None, wheel().now(), is_authenticated=target.gate is None
        )
        if isinstance(place, Refusal):
            logger.warning("refused the handshake of %r: %s is met", handshake.path, place.reason)
            raise Refuse(place.status, place.text, place.headers)
        return place

    def _load_session(self, handshake: Handshake) -> None:
        if handshake.has_session:
            session = Session(handshake.session)
            session.lock()
            handshake.session = session
        elif self._cookie is not None:
            handshake.session = self._cookie.load(handshake.cookies)

    # --- who is here ----------------------------------------------------------------------------

    def __iter__(self) -> Iterator[WebSocket]:
        """The connections that are being served."""
        return iter([guest.ws for guest in self._guests.values()])

    def greet(self, ws: WebSocket) -> None:
        """Count the user of `ws`, who has said who they are.

        Raises:
            Refuse, Close: one connection of this user too many.
        """
        guest = self._guests.get(ws.connection)
        if guest is None:
            return
        refusal = self.census.authenticate(guest.place, user_key(ws.user))
        if refusal is None:
            return
        logger.warning("%s: %s is met", ws.id, refusal.reason)
        if ws.connection.is_answered:
            raise Close(closecodes.TOO_MANY_MESSAGES, refusal.text)
        raise Refuse(refusal.status, refusal.text, refusal.headers)

    def disconnect(
        self, user: Any, session: Mapping[str, Any] | None, id: str | None, code: int, reason: str
    ) -> int:
        """Close the connections that fit everything that is given; return how many."""
        found = [
            ws
            for ws in self
            if (user is None or (ws.user is not None and user_key(ws.user) == user_key(user)))
            and (id is None or ws.id == id)
            and (session is None or _has(ws.handshake, session))
        ]
        for ws in found:
            ws.end(code, reason)
        return len(found)

    def _leave(self, connection: Connection) -> None:
        """Strike a connection that is over off the account; its end is logged here, once."""
        guest = self._guests.pop(connection, None)
        if guest is None:
            return
        self.census.release(guest.place)
        if connection.is_accepted and logger.isEnabledFor(logging.INFO):
            logger.info(
                "%s %r ended with %s %r after %.1f s, %d in, %d out",
                connection.id,
                guest.ws.handshake.path,
                connection.close_code,
                connection.close_reason,
                wheel().now() - connection.opened_at,
                connection.received,
                connection.outbox.taken,
            )


def _has(handshake: Handshake, wanted: Mapping[str, Any]) -> bool:
    if not handshake.has_session:
        return False
    missing = object()
    session = handshake.session
    return all(session.get(name, missing) == value for name, value in wanted.items())
