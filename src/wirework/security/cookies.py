"""The signed cookies of sessions: the session itself, or the id of one that a store holds.

A session in its cookie has the format of Starlette's `SessionMiddleware`: base64 of its JSON,
signed together with the time of signing by itsdangerous. Applications that share the key and the
cookie's name read each other's sessions.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from itsdangerous import BadSignature, TimestampSigner

from ..errors import SessionError, SettingsError
from .sessions import Session

if TYPE_CHECKING:
    from starlette.datastructures import Secret

__all__ = ["IdCookie", "SessionCookie", "SignedCookie"]

_MAX_READ: Final = 8192
# Seconds that the clock of another server that signs with the same key may be ahead.
_MAX_SKEW: Final = 60
# RFC 6265bis section 5.6: a user agent ignores a cookie whose name and value are larger together.
_MAX_WRITTEN: Final = 4096
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_ATTRIBUTE: Final = re.compile(r"[ -:<-~]+")
_EPOCH: Final = "Thu, 01 Jan 1970 00:00:00 GMT"


class _Signer(TimestampSigner):
    def __init__(self, secret_key: str, clock: Callable[[], float], **options: Any) -> None:
        super().__init__(secret_key, **options)
        self._clock = clock

    def get_timestamp(self) -> int:
        return int(self._clock())


class SignedCookie:
    """Reads signed text from a request's cookies and writes it to a Set-Cookie header.

    Whoever knows `secret_key` can write any session. Have at least 32 random characters
    (`secrets.token_urlsafe(32)`); that is not enforced, so that a key in use elsewhere can be
    shared. A new key ends all sessions.

    Args:
        secret_key: the key, a str or Starlette's Secret; not empty.
        name: name of the cookie, a token of RFC 6265. Default "session".
        max_age: seconds that a session lives after it was last written; with None it ends with the
            browser, and a copied cookie never does. Default 14 days.
        path: requests below this path carry it. Default "/".
        domain: this domain and those below it get the cookie; None for exactly this host.
        same_site: "lax" (default), "strict" or "none"; the last one needs `https_only=True`.
        https_only: have browsers send it over TLS only (Secure); "auto": where `is_https` is said
            of the request that it answers. Default "auto".
        clock: Unix time in seconds.

    Raises:
        SettingsError: one of these cannot work; the message says what was expected.
    """

    _signing: ClassVar[dict[str, Any]] = {}
    """How it is signed, where that is not itsdangerous' default."""

    def __init__(
        self,
        secret_key: str | Secret,
        *,
        name: str = "session",
        max_age: int | None = 14 * 24 * 60 * 60,
        path: str = "/",
        domain: str | None = None,
        same_site: Literal["lax", "strict", "none"] = "lax",
        https_only: bool | Literal["auto"] = "auto",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self._max_age = max_age
        self._path = path
        self._flags = f"httponly; samesite={same_site}"
        self._domain = f"; domain={domain}" if domain is not None else ""
        self._https_only = https_only
        self._check(same_site, https_only, domain)
        self._signer = _Signer(_read_key(secret_key), clock, **self._signing)

    def read(self, cookies: Mapping[str, str]) -> bytes | None:
        """Return what was signed, None if there is nothing that can be trusted; never raises."""
        value = cookies.get(self.name, "")
        if not value or len(value) > _MAX_READ:
            return None
        try:
            signed, signed_at = self._signer.unsign(value, return_timestamp=True)
        except (BadSignature, ValueError, OverflowError, OSError):
            return None
        return None if self._is_expired(signed_at.timestamp()) else signed

    def sign(self, content: bytes) -> str:
        """Return the cookie's value that says `content`."""
        return self._signer.sign(content).decode()

    def write(self, value: str, *, is_https: bool = False) -> str:
        """Return the Set-Cookie header that gives the cookie this value."""
        lifetime = f"Max-Age={self._max_age}; " if self._max_age is not None else ""
        return self._header(value, lifetime, is_https)

    def erase(self, *, is_https: bool = False) -> str:
        """Return the Set-Cookie header that deletes the cookie."""
        return self._header("null", f"expires={_EPOCH}; ", is_https)

    def _is_expired(self, signed_at: float) -> bool:
        age = self._signer.get_timestamp() - signed_at
        return self._max_age is not None and not -_MAX_SKEW <= age <= self._max_age

    def _header(self, value: str, lifetime: str, is_https: bool) -> str:
        is_secure = is_https if self._https_only == "auto" else self._https_only
        flags = f"{self._flags}{'; secure' if is_secure else ''}{self._domain}"
        return f"{self.name}={value}; path={self._path}; {lifetime}{flags}"

    def _check(self, same_site: str, https_only: object, domain: str | None) -> None:
        if not _TOKEN.fullmatch(self.name):
            raise _wrong("name", "a token of RFC 6265", self.name)
        if self._max_age is not None and self._max_age < 1:
            raise _wrong("max_age", "seconds >= 1 or None", self._max_age)
        if not self._path.startswith("/") or not _ATTRIBUTE.fullmatch(self._path):
            raise _wrong("path", "an ASCII path that begins with '/', without ';'", self._path)
        if domain is not None and not _ATTRIBUTE.fullmatch(domain):
            raise _wrong("domain", "an ASCII domain name or None", domain)
        if same_site not in ("lax", "strict", "none"):
            raise _wrong("same_site", "'lax', 'strict' or 'none'", same_site)
        if same_site == "none" and https_only is not True:
            raise _wrong("same_site", "https_only=True beside it, or browsers drop it", same_site)


class SessionCookie(SignedCookie):
    """Reads the session from a request's cookies and writes it to a Set-Cookie header.

    Args and errors are those of `SignedCookie`.
    """

    def load(self, cookies: Mapping[str, str]) -> Session:
        """The session in these cookies, empty if there is none that can be trusted.

        Tampered, expired, signed with another key, larger than 8 KiB, not an object: all of that is
        an empty session. Never raises.
        """
        signed = self.read(cookies)
        if signed is None:
            return Session()
        try:
            text = b64decode(signed).decode()
            data: Any = json.loads(text)
        except (ValueError, RecursionError):
            return Session()
        if not isinstance(data, dict) or not data:
            return Session()
        session = Session(data)
        session.stored = text
        return session

    def header(self, session: Session, *, is_https: bool = False) -> str | None:
        """The value of Set-Cookie that brings the client up to date, None if it is already.

        An empty session deletes a cookie that held a valid one.

        Raises:
            SessionError: a value is not JSON, or the cookie is larger than the 4,096 bytes that
                browsers keep.
        """
        if not session:
            return self.erase(is_https=is_https) if session.stored else None
        text = _encode(session)
        if not session.modified and text == session.stored:
            return None
        value = self.sign(b64encode(text.encode()))
        size = len(self.name) + len(value)
        if size > _MAX_WRITTEN:
            raise SessionError(
                f"the session takes {size} bytes as a cookie, browsers keep {_MAX_WRITTEN}; "
                "store the data on the server and only its key in the session"
            )
        return self.write(value, is_https=is_https)


class IdCookie(SignedCookie):
    """Reads and writes the id of a session that a store holds; args are those of `SignedCookie`."""

    _signing: ClassVar[dict[str, Any]] = {
        "salt": b"wirework.session",
        "key_derivation": "hmac",
        "digest_method": hashlib.sha256,
    }

    def id_in(self, cookies: Mapping[str, str]) -> str:
        """Return the id in these cookies, empty if there is none that can be trusted."""
        return (self.read(cookies) or b"").decode("ascii", "replace")

    def header(self, id: str, *, is_https: bool = False) -> str:
        """Return the Set-Cookie header that carries `id`."""
        return self.write(self.sign(id.encode()), is_https=is_https)


def _wrong(name: str, expected: str, got: object) -> SettingsError:
    return SettingsError(f"session cookie, {name}: expected {expected}, got {got!r}")


def _read_key(secret_key: object) -> str:
    # str(bytes) would be "b'...'": a key that nobody else derives from the same bytes.
    key = "" if secret_key is None or isinstance(secret_key, bytes) else str(secret_key)
    if not key.strip():
        got = "an empty one" if isinstance(secret_key, str) else f"{type(secret_key).__name__}"
        raise SettingsError(
            f"secret_key: expected a str that is not empty, got {got}; "
            "make one with secrets.token_urlsafe(32)"
        )
    return key


def _encode(session: Session) -> str:
    try:
        return json.dumps(session)
    except (TypeError, ValueError, RecursionError) as error:
        raise SessionError(f"the session holds a value that is not JSON: {error}") from error
