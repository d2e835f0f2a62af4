"""The keys of an issuer of tokens, fetched from its address and kept."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from .keys import JwkSet, Key, pyjwt

__all__ = ["RemoteKeys"]

logger = logging.getLogger("wirework")

_MAX_BYTES: Final = 256 * 1024


class RemoteKeys:
    """The public keys at the `jwks_uri` of an issuer, found by the `kid` of a token.

    They are fetched when a token first needs them, in a thread, by one request at a time for all
    who wait. They are fetched again when they are older than `lifespan`, or when a token names a
    key that is not among them, but never more often than every `cooldown` seconds, whatever
    tokens come and whether it succeeds. While the address does not answer, the keys that are there
    serve for up to `max_age` seconds; after that nobody is let in. Redirects are not followed, and
    an answer over 256 KiB is none. Symmetric keys in it are ignored.

    Args:
        url: `https://...`, or `http://` on this machine alone.
        lifespan: seconds that keys are used without a look. Default 300.
        cooldown: seconds between two requests at least. Default 30.
        max_age: seconds that keys are used while new ones cannot be had. Default 3,600.
        timeout: seconds that one request may take in any of its steps. Default 5.
        fetch: what gets the answer's bytes, in a thread; None: an HTTP request. Default None.
        clock: a clock in seconds that never goes back.

    Raises:
        ValueError: the URL is not of that kind, or a number is not above 0.
        ModuleNotFoundError: the extra `jwt` is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        lifespan: float = 300.0,
        cooldown: float = 30.0,
        max_age: float = 3600.0,
        timeout: float = 5.0,
        fetch: Callable[[], bytes] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        pyjwt()
        _check_url(url)
        for seconds in (lifespan, cooldown, max_age, timeout):
            if not seconds > 0:
                raise ValueError(f"RemoteKeys: expected seconds above 0, got {seconds!r}")
        self.url = url
        self._lifespan, self._cooldown, self._max_age = lifespan, cooldown, max_age
        self._timeout = timeout
        self._get = fetch or self._request
        self._clock = clock
        self._lock = threading.Lock()
        self._fetching: Future[None] | None = None
        self._keys: JwkSet | None = None
        self._fetched_at = 0.0
        self._tried_at: float | None = None

    async def find(self, kid: str | None, algorithm: str) -> Key | None:
        """Return the one key that a token can be signed with; None where there is not just one.

        Waits for a request where one is due, `timeout` seconds at most; never raises.
        """
        age = self._clock() - self._fetched_at
        key = self._known(kid, algorithm)
        if key is not None and age < self._lifespan:
            return key
        await self._refresh()
        return self._known(kid, algorithm)

    def _known(self, kid: str | None, algorithm: str) -> Key | None:
        if self._keys is None or self._clock() - self._fetched_at >= self._max_age:
            return None
        key = self._keys.find(kid, algorithm)
        return None if key is None or key.is_symmetric else key

    async def _refresh(self) -> None:
        with self._lock:
            fetching = self._fetching
            if fetching is None and self._is_due():
                self._tried_at = self._clock()
                fetching = self._fetching = Future()
                threading.Thread(target=self._fetch, args=(fetching,), daemon=True).start()
        if fetching is not None:
            await asyncio.wait([asyncio.wrap_future(fetching)], timeout=self._timeout)

    def _is_due(self) -> bool:
        return self._tried_at is None or self._clock() - self._tried_at >= self._cooldown

    def _fetch(self, fetching: Future[None]) -> None:
        try:
            keys = JwkSet(_object(self._get()))
            self._keys, self._fetched_at = keys, self._clock()
        except Exception as error:
            logger.warning("cannot get the keys at %s: %s", self.url, _cause(error))
        finally:
            with self._lock:
                self._fetching = None
            fetching.set_result(None)

    def _request(self) -> bytes:
        # Loaded here: urllib.request takes long to import, and few applications need it.
        from urllib.error import HTTPError
        from urllib.request import HTTPRedirectHandler, build_opener

        class NoRedirects(HTTPRedirectHandler):
            def redirect_request(self, *args: Any, **options: Any) -> None:
                """Return None: a redirect is an error then."""

        try:
            with build_opener(NoRedirects()).open(self.url, timeout=self._timeout) as response:
                data: bytes = response.read(_MAX_BYTES + 1)
        except HTTPError as error:
            error.close()
            raise
        if len(data) > _MAX_BYTES:
            raise ValueError(f"expected at most {_MAX_BYTES} bytes, got more")
        return data

    def __repr__(self) -> str:
        return f"RemoteKeys({self.url!r})"


def _object(data: bytes) -> dict[str, Any]:
    found = json.loads(data)
    if not isinstance(found, dict):
        raise ValueError(f"expected a JSON object, got {type(found).__name__}")
    return found


def _cause(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:200]!a}"


def _check_url(url: object) -> None:
    problem = "expected https://host/path without a name and a password"
    parts = urlsplit(url) if isinstance(url, str) else None
    if parts is None or not parts.hostname or "@" in parts.netloc:
        raise ValueError(f"jwks_url: {problem}, got a {type(url).__name__} that is not like that")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_here(parts.hostname)):
        raise ValueError(f"jwks_url: {problem}, got {url!r}: whoever is between could send keys")


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
