"""JSON Web Tokens as credentials: what a token must be before it says who somebody is."""

from __future__ import annotations

import inspect
import json
import re
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import msgspec

from .credentials import BadCredentials, ExpiredCredentials, NobodysCredentials, sound
from .identity import Identity, user_type
from .jwks import RemoteKeys
from .keys import JwkSet, Key, accepted_algorithms, checked_algorithms, filled, key_of, pyjwt

__all__ = ["Jwt"]

# RFC 7515 section 7.1; a signature is never empty, as that of an unsigned token is.
_COMPACT: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_TIMES: Final = ("exp", "nbf", "iat")
_USES: Final = ("token_use", "token_type", "type", "typ", "use", "purpose")
_MAX_KID: Final = 256
_MAX_LEEWAY: Final = 300.0


class Jwt:
    """A `verify` for JSON Web Tokens: `Bearer(Jwt(key=..., algorithms=["HS256"]))`.

    Checked before anything in the token is believed: its size (8 KiB), its form, that its
    algorithm is one of `algorithms` and fits the key, that its `kid` is that of a key, that it has
    no critical extension (`crit`), its signature. Then `exp`, `nbf`, `iat`, `aud`, `iss`, the
    claims in `require`, and that it is no token for something else. Any of these refuses it with
    BadCredentials, the same for all of them; which one it was is in `reason`, for the log.

    The result is an `Identity` that expires when the token is not accepted any more. Its `info`,
    which others see in channels, is the claim `info`.

    Args:
        key: a secret of at least 32 bytes, the PEM of a public key or certificate, a public key of
            cryptography, or a decoded JWK. Of a private key only the public half is kept. Where it
            has a `kid`, tokens with another one are refused.
        keys: several, found by `kid`, instead of `key`.
        jwks_url: where the issuer publishes its keys, instead of `key`; see `RemoteKeys`.
        algorithms: those that are accepted. May be left out where the key pins it: elliptic curves
            do, secrets and RSA do not. "none" is not among those that can be named.
        audience: the `aud` that the token must name one of, a str or several. None: a token for
            any audience is refused. Default None.
        issuer: the `iss` that it must have one of, a str or several; None: any. Default None.
        leeway: seconds that clocks may differ, 0 to 300. Default 10.0.
        user: what makes the user of the claims: a def or async def that takes them (on the event
            loop; None refuses), or a type that they are converted to, where further claims do not
            matter. None: the claim `sub`; a token without one, or with "", is good for nobody, whom
            `optional=True` lets in. Default None.
        permissions: what the user may do: the name of a claim with a list of str, or one str with
            spaces between, as `scope` is; or a def that takes the claims. None: nothing.
            Default None.
        require: claims that must be there. Default `exp`.
        forbid_use: a token is for something else where a claim of one of these names is true, or
            where `token_use`, `token_type`, `type`, `typ`, `use` or `purpose` has it for a value,
            with or without "token" after it, in any case; or a function of the claims that says
            so. Default: refresh tokens, a pending second factor, links to reset a password or to
            sign in.
        clock: Unix time in seconds, for `encode`.

    Raises:
        TypeError, ValueError: arguments that cannot work together, with what was expected.
        ModuleNotFoundError: the extra `jwt` is not installed.
    """

    def __init__(
        self,
        *,
        key: object = None,
        keys: JwkSet | RemoteKeys | None = None,
        jwks_url: str | None = None,
        algorithms: Collection[str] | None = None,
        audience: str | Collection[str] | None = None,
        issuer: str | Collection[str] | None = None,
        leeway: float = 10.0,
        user: Callable[[dict[str, Any]], Any] | type | None = None,
        permissions: str | Callable[[dict[str, Any]], Collection[str]] | None = None,
        require: Collection[str] = ("exp",),
        forbid_use: Collection[str] | Callable[[dict[str, Any]], bool] = (
            *("refresh", "totp", "otp_pending", "mfa_pending"),
            *("reset", "password_reset", "magic"),
        ),
        clock: Callable[[], float] = time.time,
    ) -> None:
        if (key is not None) + (keys is not None) + (jwks_url is not None) != 1:
            raise TypeError("Jwt: expected one of key, keys and jwks_url")
        pyjwt()
        named = None if algorithms is None else checked_algorithms(algorithms)
        self._keys = RemoteKeys(jwks_url) if jwks_url is not None else keys
        self._key = None if self._keys is not None else key_of(key)
        self._algorithms = self._accepted(named)
        self._audience = _one_or_more("audience", audience)
        self._issuer = _one_or_more("issuer", issuer)
        if not 0 <= leeway <= _MAX_LEEWAY:
            raise ValueError(f"Jwt leeway: expected 0 to 300 seconds, got {leeway!r}")
        self._leeway = float(leeway)
        self._require = list(_one_or_more("require", require) or ())
        self._user = user
        self._permissions = permissions
        self._forbid = forbid_use
        self._clock = clock
        if not callable(forbid_use):
            self._forbid = frozenset(
                n.casefold() for n in _one_or_more("forbid_use", forbid_use) or ()
            )
        self.user_type: type = _type_of(user)

    async def __call__(self, token: str) -> Identity[Any]:
        """Return who the token says the peer is.

        Raises:
            BadCredentials: the token is not good for that.
        """
        claims = await self.claims(token)
        user = self._convert(claims)
        if inspect.isawaitable(user):
            user = await user
        identity = Identity(
            user, self.expiry_of(claims), self._permissions_of(claims), claims.get("info")
        )
        if user is None and self._user is None:
            raise NobodysCredentials(
                "JWT: its sub names no user, and optional is not set", identity
            )
        if user is None or user is False:
            raise BadCredentials("JWT: there is no such user")
        return identity

    async def claims(self, token: str) -> dict[str, Any]:
        """Return the claims of a good token.

        Raises:
            BadCredentials: it is not good.
        """
        algorithm, kid = self._read_header(token)
        key = await self._find(kid, algorithm)
        if key is None:
            raise BadCredentials("JWT: signed with an unknown key")
        claims = self._decode(token, key.limited_to(self._algorithms))
        if self._is_for_something_else(claims):
            raise BadCredentials("JWT: it is a token for something else")
        return claims

    def expiry_of(self, claims: Mapping[str, Any]) -> float | None:
        """Return the Unix time until which a token with these claims is good; None: for ever."""
        return claims["exp"] + self._leeway if "exp" in claims else None

    def encode(self, claims: Mapping[str, Any], *, lifetime: float = 900.0) -> str:
        """Return a signed token, where the key is a secret: for tests, and for your own logins.

        Claims that are not given are added where they are known: `exp` after `lifetime` seconds,
        and `aud` and `iss` where there is one.

        Raises:
            TypeError: the key signs nothing; claims that are no JSON.
        """
        if self._key is None or not self._key.is_symmetric:
            raise TypeError("Jwt.encode: expected a Jwt with a secret, got one that only verifies")
        known: dict[str, Any] = {"exp": int(self._clock() + lifetime)}
        for name, values in (("aud", self._audience), ("iss", self._issuer)):
            known |= {name: values[0]} if values and len(values) == 1 else {}
        algorithm = self._algorithms[0]
        headers = {"kid": self._key.kid} if self._key.kid is not None else None
        secret = filled(self._key.material)
        token = pyjwt().encode({**known, **claims}, secret, algorithm, headers)
        return str(token)

    def __repr__(self) -> str:
        return f"Jwt(algorithms={list(self._algorithms)!r})"

    def _accepted(self, named: tuple[str, ...] | None) -> tuple[str, ...]:
        if isinstance(self._keys, RemoteKeys):
            if named is None or any(name.startswith("HS") for name in named):
                raise ValueError(
                    f"Jwt algorithms: expected those of public keys with jwks_url, got {named!r}"
                )
            return named
        if self._keys is not None and not isinstance(self._keys, JwkSet):
            raise TypeError(f"Jwt keys: expected a JwkSet, got {type(self._keys).__name__}")
        known = self._keys.keys if self._keys is not None else (self._key,)
        return accepted_algorithms([each for each in known if each is not None], named)

    # --- the token ------------------------------------------------------------------------------

    def _read_header(self, token: object) -> tuple[str, str | None]:
        """Return `alg` and `kid`: the only things that are used before the signature is good."""
        if not isinstance(token, str) or not _COMPACT.fullmatch(sound(token, "JWT")):
            raise BadCredentials("JWT: expected three parts in base64url, got something else")
        header = _object(token.partition(".")[0])
        if "crit" in header or "b64" in header:
            raise BadCredentials("JWT: the header has an extension")
        algorithm, kid = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or algorithm not in self._algorithms:
            raise BadCredentials("JWT: its algorithm is not one of those that are accepted")
        if kid is not None and not (isinstance(kid, str) and 0 < len(kid) <= _MAX_KID):
            raise BadCredentials("JWT: its kid is no str, empty or too long")
        return algorithm, kid

    async def _find(self, kid: str | None, algorithm: str) -> Key | None:
        if isinstance(self._keys, RemoteKeys):
            return await self._keys.find(kid, algorithm)
        if self._keys is not None:
            return self._keys.find(kid, algorithm)
        own = self._key.kid if self._key is not None else None
        return None if kid is not None and own is not None and kid != own else self._key

    def _decode(self, token: str, key: Key) -> dict[str, Any]:
        jwt = pyjwt()
        material = filled(key.material) if key.is_symmetric else key.material
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                material,
                algorithms=list(key.algorithms),
                audience=self._audience,
                issuer=self._issuer,
                leeway=self._leeway,
                options={"require": self._require, "enforce_minimum_key_length": True},
            )
        except jwt.ExpiredSignatureError as error:
            raise ExpiredCredentials(f"JWT: {_reason(error)}") from None
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise BadCredentials(f"JWT: {_reason(error)}") from None
        if not all(_is_time(claims[name]) for name in _TIMES if name in claims):
            raise BadCredentials("JWT: a time in it is no number")
        return claims

    # --- the claims -----------------------------------------------------------------------------

    def _is_for_something_else(self, claims: dict[str, Any]) -> bool:
        if callable(self._forbid):
            return bool(self._forbid(claims))
        uses = [str(claims.get(name)).casefold() for name in _USES]
        uses += [name.casefold() for name, value in claims.items() if value]
        return any(_without_token(use) in self._forbid or use in self._forbid for use in uses)

    def _convert(self, claims: dict[str, Any]) -> Any:
        if self._user is None:
            return claims.get("sub") or None
        if not isinstance(self._user, type):
            return self._user(claims)
        try:
            return msgspec.convert(claims, self._user)
        except msgspec.ValidationError:
            raise BadCredentials("JWT: its claims do not make a user") from None

    def _permissions_of(self, claims: dict[str, Any]) -> Collection[str]:
        if self._permissions is None:
            return ()
        if not isinstance(self._permissions, str):
            return self._permissions(claims)
        found = claims.get(self._permissions, ())
        names = found.split() if isinstance(found, str) else found
        if not isinstance(names, list | tuple) or not all(isinstance(n, str) for n in names):
            raise BadCredentials("JWT: its permissions are no list of str")
        return names


def _one_or_more(what: str, value: str | Collection[str] | None) -> list[str] | None:
    if value is None:
        return None
    values = [value] if isinstance(value, str) else list(value)
    if not all(isinstance(each, str) and each for each in values):
        raise TypeError(f"Jwt {what}: expected a str or several, got {value!r}")
    if not values and what in ("audience", "issuer"):
        raise ValueError(f"Jwt {what}: expected a str or several, got none; None stands for any")
    return values


def _type_of(user: object) -> type:
    if user is None:
        return str
    if isinstance(user, type):
        if isinstance(msgspec.inspect.type_info(user), msgspec.inspect.CustomType):
            raise TypeError(
                f"Jwt user: expected a Struct, a dataclass or a TypedDict, got {user.__name__}; "
                "give a function that makes it of the claims"
            )
        return user
    if not callable(user):
        raise TypeError(f"Jwt user: expected a function of the claims or a type, got {user!r}")
    return user_type(user)


def _object(segment: str) -> dict[str, Any]:
    try:
        found = json.loads(urlsafe_b64decode(segment + "=="))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise BadCredentials("JWT: the header cannot be read")
    return found


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15


def _without_token(use: str) -> str:
    return use.removesuffix("token").rstrip("_- ")


def _reason(error: Exception) -> str:
    # Not the error's own text, which may hold parts of the token.
    words = re.sub(r"(?<!^)([A-Z])", r" \1", type(error).__name__.removesuffix("Error"))
    return words.lower()
