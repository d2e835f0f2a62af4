"""The gate of a route: nobody's messages pass it before it is known who they are."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol

from .. import closecodes
from ..binding.depends import Store
from ..binding.plan import Context, Plan
from ..commands import Call, Failure
from ..dialects.base import Dialect
from ..errors import ConnectionClosed, Reject, ValidationError
from ..handlers import instead_of, is_own_end, refuse_for
from ..websocket import WebSocket, own_frame, speak
from .auth import Auth, FirstMessage, Refusal, Source
from .credentials import BadCredentials, ExpiredCredentials, NobodysCredentials
from .identity import Identity, user_key
from .permissions import Requirement, check
from .refusals import StoreAway
from .watch import Watch

__all__ = ["Gate"]

logger = logging.getLogger("wirework")

_FORBIDDEN = "You may not do this."


class Doorkeeper(Protocol):
    """Who counts the users of the application."""

    def greet(self, ws: WebSocket) -> None:
        """The peer of `ws` has said who it is, for the first time or as before.

        Raises:
            Refuse, Close: one connection of this user too many.
        """

    def lack(self, ws: WebSocket, away: StoreAway) -> None:
        """The handshake of `ws` cannot be judged, and is about to be refused."""


class Gate:
    """Lets in whom the authentication of a route knows, and who may do what the route asks for.

    Args:
        auth: where credentials are.
        plans: of the functions that judge them, by source.
        timeout: seconds in which a first message must say who the peer is.
        refusal: how a handshake ends that is not let in.
        requires: what the route asks of the user.
        doorkeeper: counts users.
    """

    def __init__(
        self,
        auth: Auth,
        plans: Mapping[Source, Plan],
        *,
        timeout: float,
        refusal: Refusal,
        requires: Requirement | None,
        doorkeeper: Doorkeeper,
    ) -> None:
        self.auth = auth
        self.plans = plans
        self.timeout = timeout
        self.refusal = refusal
        self.requires = requires
        self.doorkeeper = doorkeeper

    @property
    def waits_for_message(self) -> bool:
        """Whether the first message may say who the peer is."""
        return self.auth.by_message is not None

    @property
    def may_be_nobody(self) -> bool:
        """Whether a peer is let in that is no user."""
        return self.auth.optional and self.requires is None

    # --- the handshake --------------------------------------------------------------------------

    async def enter(self, ws: WebSocket, dialect: Dialect | None) -> bool:
        """Judge the credentials of a handshake; False: it was refused, and is over.

        Where there are none, and a first message may bring them, it is let in for now.
        """
        try:
            await self._enter(ws)
        except Exception as error:
            if isinstance(error, StoreAway):
                self.doorkeeper.lack(ws, error)
            with suppress(ConnectionClosed):
                await self._refuse(ws, await instead_of(ws, error), dialect)
            return False
        return True

    async def _enter(self, ws: WebSocket) -> None:
        found = self.auth.find(ws.handshake)
        if found is None:
            if not (self.waits_for_message or self.may_be_nobody):
                raise BadCredentials("there are none")
            if not self.waits_for_message:
                self.doorkeeper.greet(ws)
            return
        value = await found.source.redeem(found.value, ws.handshake)
        await self.admit(ws, found.source, value)
        ws.agreed = self.auth.agreed(ws.handshake.subprotocols)

    async def _refuse(self, ws: WebSocket, error: Exception, dialect: Dialect | None) -> None:
        if is_own_end(ws, error):
            return
        if not isinstance(error, Reject):
            await refuse_for(ws, error, "authentication")
            return
        is_stranger = error.code != "forbidden"
        status = 401 if is_stranger else 403
        reason = getattr(error, "reason", error.message)
        logger.info("%s refused with %s: %r", ws.id, status, reason)
        if self.refusal == "close":
            code = closecodes.NOT_AUTHENTICATED if is_stranger else closecodes.FORBIDDEN
            await self._close(ws, error, code, dialect)
            return
        challenge = self.auth.challenge if is_stranger else None
        headers = {} if challenge is None else {"www-authenticate": challenge}
        await ws.refuse(status, error.message, headers)

    async def _close(
        self, ws: WebSocket, error: Reject, code: int, dialect: Dialect | None
    ) -> None:
        """Accept, say why not where the dialect can, and close: scripts can read that."""
        codec = None if dialect is None else speak(ws, dialect)
        await ws.accept()
        if codec is not None:
            frame = codec.encode(Failure(error.code, error.message, error.details))
            if frame is not None:
                ws.connection.push(own_frame(frame))
        ws.end(code, closecodes.shorten_reason(error.message))

    # --- judging --------------------------------------------------------------------------------

    async def admit(self, ws: WebSocket, source: Source, value: Any) -> None:
        """Judge credentials and make `ws` the user's; later ones must be of the same user.

        Raises:
            Reject: they are not good ("not_authenticated"), or the user may not ("forbidden").
        """
        identity = await self.judge(ws, source, value)
        if identity is None:
            raise BadCredentials("verify refused them")
        if identity.is_expired(time.time()):
            raise ExpiredCredentials("they have expired")
        if not check(self.requires, identity):
            raise Reject("forbidden", _FORBIDDEN)
        if ws.identity is not None and not _is_same(ws.identity.user, identity.user):
            raise Reject("authenticated", "this connection is another user's")
        ws.identity, ws.user = identity, identity.user
        self.doorkeeper.greet(ws)
        Watch.begin(self, ws, source, value)

    def may_stay(self, ws: WebSocket, identity: Identity[Any] | None) -> bool:
        """Whether what a further call of `verify` says lets the connection go on."""
        if identity is None or not check(self.requires, identity):
            return False
        return ws.identity is None or _is_same(ws.identity.user, identity.user)

    async def judge(self, ws: WebSocket, source: Source, value: Any) -> Identity[Any] | None:
        """Return who has these credentials, None where nobody; raises what `verify` raises."""
        lasting = Store()
        try:
            async with Context(ws, ws.handshake, lasting, Call(value)) as context:
                result = await self.plans[source].call(context)
        except ValidationError as error:
            raise BadCredentials("verify could not read them") from error
        except NobodysCredentials as error:
            if not self.may_be_nobody:
                raise
            return error.identity
        finally:
            await lasting.release()
        return source.identify(result)

    async def hear(self, ws: WebSocket, token: str) -> None:
        """Judge the token of a message: the first one, or a newer one of the same user.

        Raises:
            Reject: it is not good, or nobody asked for one.
        """
        source = self._source_of_messages(ws)
        if source is None:
            raise Reject("authenticated", "this connection is authenticated already")
        if isinstance(source, FirstMessage):
            value = source.credentials_in(token)
            if value is None and self.requires is None:
                self.doorkeeper.greet(ws)
                return
            if value is None:
                raise BadCredentials("there are none")
        else:
            value = token
        await self.admit(ws, source, value)

    def _source_of_messages(self, ws: WebSocket) -> Source | None:
        if self.auth.by_message is not None:
            return self.auth.by_message
        source = ws.watch.source if ws.watch is not None else None
        return source if source is not None and source.credential_type is str else None


def _is_same(one: Any, other: Any) -> bool:
    """Whether two users of a route are the same; other types are others."""
    return one == other or (type(one) is type(other) and user_key(one) == user_key(other))
