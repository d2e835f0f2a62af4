"""From a handshake to what serves it: who may come in, and the account of who is here."""

from __future__ import annotations

import asyncio
import logging
import math
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
from .security.refusals import Refusals, StoreAway
from .security.sessions import Session
from .security.stored_session import StoredSession
from .session import MessageSession
from .settings import Settings
from .types import Scope
from .websocket import WebSocket

if TYPE_CHECKING:
    from .app import App
    from .fallbacks import Fallback
    from .security.keepers import SessionKeeper

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
    ws: WebSocket
    place: Place


class Reception:
    """Takes the handshakes of one application in, and keeps account of its connections."""

    def __init__(self, app: App, settings: Settings, keeper: SessionKeeper | None) -> None:
        self._app = app
        self._settings = settings
        self._keeper = keeper
        self.table: RouteTable[Target] = RouteTable()
        self.fallbacks: RouteTable[Fallback] = RouteTable()
        self.census = Census(Limits.of(settings))
        self._refusals = Refusals()
        self.lent_state: Mapping[str, Any] = {}
        """What the lifespan yielded."""
        trusted = settings.trusted_proxies
        self.proxies = Proxies(trusted, settings.proxy_headers) if trusted else None
        self.is_leaving = False
        """Whether the server shuts down: nobody is let in any more."""
        self._guests: dict[Connection, _Guest] = {}
        self._tasks: dict[Connection, asyncio.Task[Any]] = {}
        """What opens connections, and runs their connection handlers."""

    # --- handshakes -----------------------------------------------------------------------------

    def opens_at_once(self, path: str) -> bool:
        """Whether `serve` for `path` waits for nothing and runs no code of the application."""
        match = self.table.find(path)
        if match is None:
            return True
        if match.target.gate is not None or (self._keeper is not None and self._keeper.waits):
            return False
        return match.target.endpoint.opens_at_once

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
        task = asyncio.current_task(connection.clock.loop)
        if task is not None:
            self._tasks[connection] = task
        try:
            has_session = self._keeper is not None or handshake.has_session
            if has_session and not await self._load_session(ws):
                return
            if target.gate is None or await self._pass(target, target.gate, ws):
                await target.endpoint.open(ws)
        except asyncio.CancelledError:
            if task is None or connection in self._tasks:
                raise
            task.uncancel()
            await self._send_away(ws)
        finally:
            self._tasks.pop(connection, None)

    async def _send_away(self, ws: WebSocket) -> None:
        """Answer a handshake whose handler was cancelled by the shutdown."""
        if not ws.connection.is_answered:
            refusal = self._closed(ws.connection)
            await ws.refuse(refusal.status, refusal.body, refusal.headers)

    def _closed(self, connection: Connection) -> Refuse:
        """Return the refusal of a server that shuts down."""
        connection.turned_away("shutdown")
        seconds = max(1, math.ceil(self._settings.drain_spread))
        return Refuse(503, "The server is restarting", {"retry-after": str(seconds)})

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
        if self.is_leaving:
            raise self._closed(connection)
        if not self._settings.websocket:
            connection.turned_away("switched_off")
            raise Refuse(403, "WebSockets are switched off")
        found = self._find(ws)
        if found is None:
            connection.turned_away("no_route")
            raise Refuse(404, "Not Found")
        target, params = found
        connection.enter(target.route.path)
        self._check_origin(target, ws)
        place = self._take_place(target, ws)
        self._guests[connection] = _Guest(ws, place)
        connection.on_end = self._leave
        if target.settings is not self._settings:
            connection.adopt(target.settings)
        connection.budget = Budget.of(target.settings)
        handshake.path_params = params
        return target

    def _find(self, ws: WebSocket) -> tuple[Target, dict[str, Any]] | None:
        """Return what serves a handshake, and the parameters of its path."""
        path = ws.handshake.path
        if ws.connection.mailbox is None:
            match = self.table.find(path)
            return None if match is None else (match.target, match.params)
        place = self.fallbacks.find(path)
        if place is None or place.target.target is None:
            return None
        return place.target.target, place.params

    def _check_origin(self, target: Target, ws: WebSocket) -> None:
        handshake, policy = ws.handshake, target.origin
        origins = handshake.values("origin")
        if not (origins or policy.requires_origin):
            return
        hosts = handshake.values("host")
        verdict = policy.check(origins, hosts[0] if hosts else None, handshake.scheme)
        if not verdict:
            ws.connection.turned_away("origin")
            self._refusals.log(
                "origin", "refused the handshake of %r: %s", handshake.path, verdict.reason
            )
            raise Refuse(403, "Forbidden")

    def _take_place(self, target: Target, ws: WebSocket) -> Place:
        client, clock = ws.handshake.client, ws.connection.clock
        place = self.census.admit(
            client[0] if client else None, clock.now(), is_authenticated=target.gate is None
        )
        if isinstance(place, Refusal):
            ws.connection.met(place.reason)
            text = "refused the handshake of %r: %s is met"
            self._refusals.log(place.reason, text, ws.handshake.path, place.reason)
            raise Refuse(place.status, place.text, place.headers)
        return place

    async def _load_session(self, ws: WebSocket) -> bool:
        """Have the session ready; False: there is no use in going on, and it is done with."""
        handshake, keeper, is_ready = ws.handshake, self._keeper, False
        try:
            if handshake.has_session:
                session = Session(handshake.session)
                session.lock()
                handshake.session = session
            elif keeper is not None:
                handshake.session = await keeper.load(handshake.cookies)
                handshake.stored = handshake.session if keeper.waits else None
            is_ready = True
        except Exception as error:
            away = StoreAway("its session could not be loaded", error)
            self.lack(ws, away)
            if not ws.connection.is_answered:
                await ws.connection.refuse(away.status, away.headers, away.body)
        finally:
            if not is_ready:
                ws.connection.finish()
        return is_ready

    # --- who is here ----------------------------------------------------------------------------

    def __iter__(self) -> Iterator[WebSocket]:
        """The connections that are being served."""
        return iter([guest.ws for guest in self._guests.values()])

    def __len__(self) -> int:
        return len(self._guests)

    def cancel(self, ws: WebSocket) -> None:
        """Cancel the handlers of a connection, but not its disconnect hook."""
        task = self._tasks.get(ws.connection)
        if task is not None and not task.cancelling():
            del self._tasks[ws.connection]
            task.cancel()
        if isinstance(ws.conversation, MessageSession):
            ws.conversation.cancel_workers()

    def of_user(self, key: str) -> list[WebSocket]:
        """Return the connections of the user whose key is this text."""
        return [ws for ws in self if ws.user is not None and str(user_key(ws.user)) == key]

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
        ws.connection.met(refusal.reason)
        self._refusals.log(refusal.reason, "%s: %s is met", ws.id, refusal.reason)
        if ws.connection.is_answered:
            raise Close(closecodes.TOO_MANY_MESSAGES, refusal.text)
        raise Refuse(refusal.status, refusal.text, refusal.headers)

    def lack(self, ws: WebSocket, away: StoreAway) -> None:
        """Take note that the handshake of `ws` is about to be refused, as a store has failed."""
        ws.connection.turned_away("store")
        text = "refused the handshake of %r: %s: %r"
        self._refusals.log("store", text, ws.handshake.path, away.what, away.error)

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
        ws = guest.ws
        self.census.release(guest.place)
        self._app.channels.hub.leave_all(connection)
        if connection.is_accepted and logger.isEnabledFor(logging.INFO):
            logger.info(
                "%s %r ended with %s %r after %.1f s, %d in, %d out",
                connection.id,
                ws.handshake.path,
                connection.close_code,
                connection.close_reason,
                connection.clock.now() - connection.opened_at,
                connection.received,
                connection.outbox.taken,
            )


def _has(handshake: Handshake, wanted: Mapping[str, Any]) -> bool:
    if not handshake.has_session:
        return False
    if isinstance(wanted, StoredSession):
        return not wanted.ids.isdisjoint(getattr(handshake.session, "ids", ()))
    missing = object()
    session = handshake.session
    return bool(wanted) and all(
        session.get(name, missing) == value for name, value in wanted.items()
    )
