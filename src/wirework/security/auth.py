"""How a peer says who it is: in its handshake, or in its first message."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from inspect import iscoroutinefunction
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias, get_args

from ..binding.signatures import user_names
from ..handshake import Handshake
from .credentials import sound
from .identity import Identity, identity_of

__all__ = ["AnyOf", "Anyone", "Auth", "FirstMessage", "Found", "Refusal", "Source", "itself"]

Refusal: TypeAlias = Literal["status", "close"]
"""How a handshake ends that nobody may enter with: with an HTTP status, or accepted and closed."""


class Found(NamedTuple):
    """Credentials that a handshake has: where they were, and what they are."""

    source: Source
    value: Any


class Auth(ABC):
    """Says of a handshake which credentials it has; the base of all that `auth=` takes.

    Args:
        timeout: seconds in which the peer must have said who it is, else it is closed with 4401;
            None: the setting `auth_timeout`. Default None.
        optional: let peers without any credentials in, with None as their user; bad credentials
            are refused all the same. Default False.
        refuse: how a handshake without good credentials ends: "status", with HTTP 401 or 403, of
            which scripts in browsers learn nothing; "close", accepted and closed with 4401 or
            4403, which they can read; None: as the setting says. Default None.

    Raises:
        ValueError: an option that cannot work.
    """

    challenge: str | None = None
    """The WWW-Authenticate header of a refusal with 401, where there is one."""

    def __init__(
        self,
        *,
        timeout: float | None = None,
        optional: bool = False,
        refuse: Refusal | None = None,
    ) -> None:
        self._check_seconds("timeout", timeout)
        if refuse is not None and refuse not in get_args(Refusal):
            raise ValueError(f"{self._name} refuse: expected 'status' or 'close', got {refuse!r}")
        self.timeout = timeout
        self.optional = bool(optional)
        self.refuse = refuse

    @property
    @abstractmethod
    def sources(self) -> tuple[Source, ...]:
        """The places where credentials may be, in the order in which they are looked for."""

    @property
    def by_message(self) -> Source | None:
        """The source that waits for the first message, where there is one."""
        last = self.sources[-1]
        return last if isinstance(last, FirstMessage) else None

    @property
    def secret_parameters(self) -> frozenset[str]:
        """Names of query parameters that carry credentials: no log may show their values."""
        return frozenset().union(*(source.secret_names for source in self.sources))

    def find(self, handshake: Handshake) -> Found | None:
        """Return the credentials of the first source that has any; None: there are none.

        Raises:
            BadCredentials: that source has what nobody may trust: several, an empty one, one that
                is too long, or malformed. Later sources are not asked.
            SessionError: the source is the session, and the application has none.
        """
        for source in self.sources:
            value = source.credentials_of(handshake)
            if value is not None:
                return Found(source, value)
        return None

    def credentials_of(self, handshake: Handshake) -> Any | None:
        """Return the credentials in `handshake`, None where it has none; raises as `find`."""
        found = self.find(handshake)
        return None if found is None else found.value

    def subprotocols(self, offered: Sequence[str]) -> tuple[str, ...]:
        """Return the offered subprotocols that carry no credentials."""
        for source in self.sources:
            offered = tuple(each for each in offered if not source.is_secret(each))
        return tuple(offered)

    def agreed(self, offered: Sequence[str]) -> str | None:
        """Return the subprotocol to agree where credentials came as one; else None.

        It is the first that carries none. A browser that offered subprotocols fails the
        connection unless one is agreed, so such a client offers another one beside its token.
        """
        rest = self.subprotocols(offered)
        return rest[0] if rest and len(rest) < len(offered) else None

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _check_seconds(self, option: str, seconds: float | None) -> None:
        if seconds is not None and not seconds > 0:
            raise ValueError(f"{self._name} {option}: expected seconds above 0, got {seconds!r}")


class Source(Auth):
    """One place for credentials, and the function that judges them; subclasses say where.

    `verify(token)` returns the user, which handlers take by its type or as `user`, or an `Identity`
    that says more. None, False or a raised `Reject` turn the peer away. Its further parameters are
    filled like a dependency's.

    A source of your own is a subclass with `credentials_of`.

    Args:
        verify: a def or async def that takes `token`.
        timeout: as for `Auth`.
        optional: as for `Auth`.
        refuse: as for `Auth`.
        recheck: seconds between further calls of `verify` with the same token while the connection
            lasts; the first that is refused ends it with 4401. None: once is enough. Default None.
        permissions: from the user to its permissions, beside those of an `Identity`; it must not
            wait for anything. Default none.

    Raises:
        TypeError: `verify` or `permissions` is no such function.
        ValueError: an option that cannot work.
    """

    secret_names: frozenset[str] = frozenset()
    credential_type: ClassVar[type] = str
    """What `verify` is given."""

    def __init__(
        self,
        verify: Callable[..., Any],
        *,
        timeout: float | None = None,
        optional: bool = False,
        refuse: Refusal | None = None,
        recheck: float | None = None,
        permissions: Callable[[Any], Collection[str]] | None = None,
    ) -> None:
        super().__init__(timeout=timeout, optional=optional, refuse=refuse)
        if not callable(verify) or isinstance(verify, type):
            raise TypeError(f"{self._name}: expected a function, got {verify!r}")
        if permissions is not None and (
            not callable(permissions) or iscoroutinefunction(permissions)
        ):
            raise TypeError(f"{self._name} permissions: expected a def, got {permissions!r}")
        self._check_seconds("recheck", recheck)
        self.verify = verify
        self.locals = user_names(verify)
        """Local names that annotations of `verify` may use."""
        self.recheck = recheck
        self.permissions = permissions

    @property
    def sources(self) -> tuple[Source, ...]:
        """Itself."""
        return (self,)

    @abstractmethod
    def credentials_of(self, handshake: Handshake) -> Any | None:
        """Return the credentials that are in `handshake` in this place, None if there are none.

        Raises:
            BadCredentials: they are there, but nobody may trust them.
        """

    def is_secret(self, subprotocol: str) -> bool:
        """Whether an offered subprotocol carries credentials for this source."""
        return False

    async def redeem(self, value: Any, handshake: Handshake) -> Any:
        """Return what `verify` gets for the credentials, once for a connection.

        Raises:
            BadCredentials: they are not, or no more, worth anything.
        """
        return value

    async def recall(self, value: Any, handshake: Handshake) -> Any:
        """Return what `verify` gets for the same credentials when it is asked again.

        Raises:
            Reject: they are no more what they were; the connection ends.
        """
        return value

    def identify(self, result: Any) -> Identity[Any] | None:
        """Return who the result of `verify` says the peer is; None: it is refused.

        Raises:
            TypeError: what `verify` or `permissions` returned cannot be used.
        """
        identity = identity_of(result)
        if identity is None or self.permissions is None:
            return identity
        return identity.with_permissions(self.permissions(identity.user))

    def __repr__(self) -> str:
        name = getattr(self.verify, "__qualname__", str(self.verify))
        return f"{self._name}({'' if self.verify is itself else name})"


class FirstMessage(Source):
    """The peer says who it is in its first message, in dialects that have words for it.

    None from `verify`, or a raised `Reject`, turns the peer away: it is answered once and the
    connection ends with 4401. Until it is known no message reaches a handler. With
    `optional=True` a peer that authenticates with an empty token gets None as its user.

    Args:
        verify: a def or async def that takes `token`, a str, "" where the client sent none.
        timeout: as for `Auth`.
        options: as for `Source`.

    Raises:
        TypeError: `verify` is no function.
        ValueError: `timeout` is not above 0, or another option cannot work.
    """

    def __init__(
        self, verify: Callable[..., Any], *, timeout: float | None = None, **options: Any
    ) -> None:
        super().__init__(verify, timeout=timeout, **options)

    def credentials_of(self, handshake: Handshake) -> None:
        """Return None: nothing is in the handshake."""

    def credentials_in(self, token: str) -> str | None:
        """Return the token of the message as `verify` gets it; None: nobody has to be asked.

        Raises:
            BadCredentials: it is too long.
        """
        if not token:
            return None if self.optional else token
        return sound(token, self._name)


class AnyOf(Auth):
    """Several sources: the first that has credentials decides, whatever it decides.

    `FirstMessage` may be the last one; it is asked where the handshake has no credentials.

    Args:
        sources: in the order in which they are looked for; each has its own `verify`, `recheck`
            and `permissions`.
        timeout: as for `Auth`.
        optional: as for `Auth`.
        refuse: as for `Auth`.

    Raises:
        TypeError: something among the sources is none.
        ValueError: no source, `FirstMessage` before another one, an option that belongs to all of
            them given to one.
    """

    def __init__(
        self,
        *sources: Source,
        timeout: float | None = None,
        optional: bool = False,
        refuse: Refusal | None = None,
    ) -> None:
        super().__init__(timeout=timeout, optional=optional, refuse=refuse)
        if not sources:
            raise ValueError("AnyOf: expected sources such as Bearer(verify), got none")
        for source in sources:
            self._check(source, is_last=source is sources[-1])
        self._sources = sources
        self.challenge = next((each.challenge for each in sources if each.challenge), None)

    @property
    def sources(self) -> tuple[Source, ...]:
        """Those that it was given."""
        return self._sources

    def _check(self, source: Source, *, is_last: bool) -> None:
        if not isinstance(source, Source):
            raise TypeError(f"AnyOf: expected sources such as Bearer(verify), got {source!r}")
        if isinstance(source, FirstMessage) and not is_last:
            raise ValueError("AnyOf: expected FirstMessage as the last source, got it before")
        for option in ("timeout", "optional", "refuse"):
            if getattr(source, option):
                raise ValueError(f"AnyOf: {option} of {source!r}: give it to AnyOf, for all")

    def __repr__(self) -> str:
        return f"AnyOf({', '.join(map(repr, self._sources))})"


class Anyone(Auth):
    """Says that a route is open to everybody, where its router or application has an `auth`."""

    @property
    def sources(self) -> tuple[Source, ...]:
        """None: nobody is asked."""
        return ()

    def __init__(self) -> None:
        super().__init__()

    def __repr__(self) -> str:
        return "Anyone()"


def itself(token: Any) -> Any:
    """Return the credentials: what `verify` is where a source is not given one."""
    return token
