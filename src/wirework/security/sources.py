"""The places of a handshake where credentials may be."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Final

from ..handshake import Handshake
from .auth import Source, itself
from .credentials import BadCredentials, only_one, sound
from .refusals import StoreAway

if TYPE_CHECKING:
    from .tickets import Tickets

__all__ = ["Bearer", "QueryToken", "SessionUser", "SubprotocolToken", "Ticket"]

# RFC 6750 section 2.1: b64token; RFC 9110 section 5.6.2: the token that a subprotocol is.
_B64TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class Bearer(Source):
    """A token in the header `Authorization: Bearer <token>` (RFC 6750), from whoever can set it.

    Scripts in browsers cannot: they have `SessionUser`, `Ticket`, `SubprotocolToken` and
    `FirstMessage`. A header of another scheme counts as none; two headers are refused.
    """

    challenge = "Bearer"

    def credentials_of(self, handshake: Handshake) -> str | None:
        """Return the token, None where no header has the scheme; raises as `Source`."""
        value = only_one(handshake.headers.getlist("authorization"), "Authorization")
        if value is None:
            return None
        scheme, _, rest = sound(value.strip(" \t"), "Authorization").partition(" ")
        if scheme.lower() != "bearer":
            return None
        token: str = sound(rest.strip(" "), "Bearer")
        if not _B64TOKEN.fullmatch(token):
            raise BadCredentials("Bearer: expected a b64token of RFC 6750, got something else")
        return token


class SubprotocolToken(Source):
    """A token among the offered subprotocols: the one place in a handshake that scripts can fill.

    The client offers it beside another one: `new WebSocket(url, ["chat.v1", "token." + token])`.
    The token is never agreed; where the handler agrees none, the first of the others is, for
    browsers fail a connection whose offer was not answered. A JWT can be a subprotocol as it is;
    what has other characters than RFC 9110's tokens (such as `/` and `=`) can not: encode it.

    Args:
        verify: as for `Source`.
        prefix: what tells the token from other subprotocols, in this case. Default "token.".
        options: as for `Source`.

    Raises:
        ValueError: the prefix is no token of RFC 9110.
    """

    def __init__(self, verify: Callable[..., Any], prefix: str = "token.", **options: Any) -> None:
        super().__init__(verify, **options)
        if not _TOKEN.fullmatch(prefix):
            raise ValueError(f"{self._name} prefix: expected 'token.' or similar, got {prefix!r}")
        self.prefix = prefix

    def credentials_of(self, handshake: Handshake) -> str | None:
        """Return what follows the prefix, None where no subprotocol has it; raises as `Source`."""
        found = only_one([each for each in handshake.subprotocols if self.is_secret(each)], "token")
        if found is None:
            return None
        token = sound(found.removeprefix(self.prefix), "subprotocol")
        if not _TOKEN.fullmatch(token):
            raise BadCredentials("subprotocol: expected a token of RFC 9110, got something else")
        return str(token)

    def is_secret(self, subprotocol: str) -> bool:
        """Whether it begins with the prefix."""
        return subprotocol.startswith(self.prefix)


class QueryToken(Source):
    """A token in the URL, as the last resort: `wss://example.com/ws?token=...`.

    Addresses end up in the logs of servers and proxies, in histories and in what users copy.
    Wirework's own logs do not show the value; others do. Take a `Ticket` where you can.

    Args:
        verify: as for `Source`.
        name: the query parameter. Default "token".
        options: as for `Source`.

    Raises:
        ValueError: the name is empty.
    """

    def __init__(self, verify: Callable[..., Any], name: str = "token", **options: Any) -> None:
        super().__init__(verify, **options)
        if not isinstance(name, str) or not name:
            raise ValueError(f"{self._name} name: expected that of a parameter, got {name!r}")
        self.name = name
        self.secret_names = frozenset({name})

    def credentials_of(self, handshake: Handshake) -> str | None:
        """Return the parameter, None where there is none; raises as `Source`."""
        value = only_one(handshake.query.getlist(self.name), self.name)
        return None if value is None else str(sound(value, self.name))


class SessionUser(Source):
    """Who signed in over HTTP: a value in the session, set by the login.

    Browsers send the cookie from any page: origins keep foreign pages out, so do not allow more of
    them than you must. A session in its cookie is what it was at the handshake; with `recheck`,
    `verify` can look at the server's own data again. One in a store is read again for each recheck:
    the connection ends when it was deleted, has expired, or has no such value any more.

    Args:
        verify: takes the value as `token`; None: the value itself is the user. Default None.
        key: where in the session it is. Default "user".
        options: as for `Source`.
    """

    credential_type: ClassVar[type] = object

    def __init__(
        self, verify: Callable[..., Any] | None = None, key: str = "user", **options: Any
    ) -> None:
        super().__init__(itself if verify is None else verify, **options)
        self.key = key

    def credentials_of(self, handshake: Handshake) -> Any | None:
        """Return the value, None where there is none.

        Raises:
            BadCredentials: it is an empty str.
            SessionError: the application has no `secret_key`.
        """
        return sound(handshake.session.get(self.key), "session")

    async def recall(self, value: Any, handshake: Handshake) -> Any:
        """Return the value that the store has now; where there is no store, the same as before.

        Raises:
            SessionEnded: the session was deleted, or has expired.
            BadCredentials: it has no such value any more.
        """
        if handshake.stored is None:
            return value
        found = await handshake.stored.stored_value(self.key)
        if found is None:
            raise BadCredentials("session: the value is gone")
        return sound(found, "session")


class Ticket(QueryToken):
    """A ticket in the URL: good once and for seconds, so that it does not matter who reads it.

    An HTTP route of yours, which knows the user, issues it (`Tickets.issue`); the page connects
    with `?ticket=...` at once.

    Args:
        verify: takes as `token` the value that the ticket was issued for; None: that value is the
            user. Default None.
        name: the query parameter. Default "ticket".
        tickets: what issued it; None: those of the application, `app.tickets`. Default None.
        options: as for `Source`.
    """

    credential_type: ClassVar[type] = object

    def __init__(
        self,
        verify: Callable[..., Any] | None = None,
        name: str = "ticket",
        *,
        tickets: Tickets | None = None,
        **options: Any,
    ) -> None:
        super().__init__(itself if verify is None else verify, name, **options)
        self.tickets = tickets

    async def redeem(self, value: Any, handshake: Handshake) -> Any:
        """Return what the ticket was issued for, and make it worthless.

        Raises:
            BadCredentials: it is forged, expired or used.
            StoreAway: what remembers the used ones cannot say.
        """
        tickets: Tickets = self.tickets or handshake.app.tickets
        try:
            found = await tickets.redeem(value)
        except Exception as error:
            raise StoreAway("whether a ticket was used cannot be known", error) from None
        if found is None:
            raise BadCredentials("ticket: it is forged, expired or used")
        return found
