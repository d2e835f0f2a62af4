"""Which pages may open a connection: the Origin header against the request and an allow-list.

Browsers let any page open a WebSocket to any host and send that host's cookies along (RFC 6455
section 10.2); the server alone can refuse. This is that check. It is pure: text in, verdict out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import AddressValueError, IPv6Address
from typing import Final, NamedTuple

import msgspec

from ..errors import SettingsError

__all__ = ["OriginPolicy", "OriginVerdict"]

_AUTHORITY: Final = r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?"
_HOST: Final = re.compile(_AUTHORITY, re.IGNORECASE | re.ASCII)
_ORIGIN: Final = re.compile(rf"([a-z][a-z0-9+.-]*)://{_AUTHORITY}", re.IGNORECASE | re.ASCII)
_WILDCARD: Final = re.compile(r"([^:/]+://)\*\.(.+)", re.DOTALL)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_TLS: Final = frozenset({"wss", "https"})
_EXPECTED: Final = "'https://host[:port]', 'https://*.domain[:port]', 'null' or '*'"


class OriginVerdict(msgspec.Struct, frozen=True):
    """Whether the origin is allowed (also as its truth value), and why, for log and answer."""

    allowed: bool
    reason: str

    def __bool__(self) -> bool:
        return self.allowed


class _Origin(NamedTuple):
    scheme: str
    host: str
    port: int | None


class OriginPolicy:
    """Allows the request's own origin and those listed, refuses all others.

    Own origin: host and port of Origin equal those of the Host header, where a port that is not
    given is the default of the Origin's scheme; case and one trailing dot of a host do not count,
    IPv6 addresses are compared as addresses, international names in the punycode that browsers
    send. The schemes must agree too, with one exception: an `https` page is the own origin of a
    request that looks like plain `ws`, as it does behind a proxy that ends TLS and does not tell.
    Nothing is lost by it: browsers do not let an `https` page open `ws`, and only the owner of the
    host can serve that page. The reverse, an `http` page on a `wss` request, is refused: anybody on
    the network path can forge that page, and a policy that compares hosts only lets it in. Behind
    such a proxy it can be told apart only if the server learns the scheme (`X-Forwarded-Proto`);
    otherwise have browsers never load the page by `http` (HSTS).

    The Host header is the client's word. A hostile page whose DNS name is pointed at this server
    (DNS rebinding) has its own name in both headers and passes, without the cookies of the real
    name: a server in a private network that trusts whoever reaches it must check host names too.

    Args:
        allowed: `https://app.example.com[:port]`: exactly this one; other schemes such as
            `capacitor://localhost` are fine. `https://*.example.com[:port]`: all sub-domains at any
            depth, not `example.com` itself. `null`: pages without an origin (sandboxed frames,
            files): anybody can make one. `*`: every origin, still without `null`. Default none.
        require_origin: refuse requests without Origin, which browsers never send. Default False.

    Raises:
        SettingsError: an entry that no browser could ever match.
    """

    __slots__ = ("_any", "_exact", "_null", "_require", "_suffixes", "allowed")

    def __init__(self, allowed: Sequence[str] = (), require_origin: bool = False) -> None:
        if isinstance(allowed, str):
            raise SettingsError(f"allowed origins: expected a list, got the str {allowed!r}")
        self._require = require_origin
        self.allowed = tuple(str(entry) for entry in allowed)
        """The list as it was given."""
        entries = frozenset(self.allowed)
        self._any = "*" in entries
        self._null = "null" in entries
        listed = [_read_entry(entry) for entry in sorted(entries - {"*", "null"})]
        self._exact = frozenset(origin for origin in listed if not origin.host.startswith("."))
        self._suffixes = tuple(origin for origin in listed if origin.host.startswith("."))

    @property
    def requires_origin(self) -> bool:
        """Whether requests without an Origin header are refused."""
        return self._require

    def check(self, origin_values: Sequence[str], host: str | None, scheme: str) -> OriginVerdict:
        """Judge one request. Never raises.

        `origin_values` are the values of all its Origin headers, `host` is its Host header,
        `scheme` is `ws`, `wss`, `http` or `https` as far as the server knows.
        """
        if not origin_values:
            return OriginVerdict(not self._require, "there is no Origin header")
        if len(origin_values) > 1:
            return OriginVerdict(False, f"expected one Origin header, got {len(origin_values)}")
        text = origin_values[0]
        if text == "null":
            return OriginVerdict(self._null, f"'null' is {'' if self._null else 'not '}listed")
        origin = _read_origin(text)
        if origin is None:
            return OriginVerdict(False, f"malformed Origin {_show(text)}")
        return self._judge(origin, host, scheme)

    def _judge(self, origin: _Origin, host: str | None, scheme: str) -> OriginVerdict:
        if self._is_listed(origin):
            return OriginVerdict(True, "the origin is listed")
        if _is_own(origin, host, scheme):
            return OriginVerdict(True, "the origin is the request's own")
        own = f"{scheme} to {_show(host)}" if host is not None else "no Host header"
        said = f"the origin {_show(_write(origin))} is neither listed nor the request's own ({own})"
        return OriginVerdict(False, said)

    def _is_listed(self, origin: _Origin) -> bool:
        if self._any or origin in self._exact:
            return True
        return any(
            origin.host.endswith(suffix) and (origin.scheme, origin.port) == (scheme, port)
            for scheme, suffix, port in self._suffixes
        )


def _is_own(origin: _Origin, host: str | None, scheme: str) -> bool:
    found = _HOST.fullmatch(host or "")
    if found is None or origin.scheme not in _DEFAULT_PORTS:
        return False
    if origin.scheme == "http" and scheme in _TLS:
        return False
    return _make(origin.scheme, found[1], found[2]) == origin


def _read_origin(text: str) -> _Origin | None:
    """The normal form of a serialised origin (RFC 6454 section 6.2), None if it is not one."""
    found = _ORIGIN.fullmatch(text)
    return _make(found[1], found[2], found[3]) if found else None


def _make(scheme: str, host: str, port: str | None) -> _Origin | None:
    scheme = scheme.lower()
    name = _normalise_host(host.lower())
    number = int(port) if port is not None else _DEFAULT_PORTS.get(scheme)
    if name is None or (number is not None and not 1 <= number <= 65535):
        return None
    return _Origin(scheme, name, number)


def _normalise_host(host: str) -> str | None:
    if host.startswith("["):
        try:
            return f"[{IPv6Address(host[1:-1]).compressed}]"
        except AddressValueError:
            return None
    host = host.removesuffix(".")
    return host if all(host.split(".")) else None


def _read_entry(entry: str) -> _Origin:
    """An entry of the allow-list; the host of a wildcard begins with a dot."""
    wildcard = _WILDCARD.fullmatch(entry)
    origin = _read_origin(wildcard[1] + wildcard[2] if wildcard else entry)
    if origin is None or origin.scheme in ("ws", "wss") or (wildcard and "[" in origin.host):
        raise SettingsError(f"allowed origin {entry!r}: expected {_EXPECTED}{_hint(entry)}")
    return origin._replace(host="." + origin.host) if wildcard else origin


def _hint(entry: str) -> str:
    scheme, separator, rest = entry.partition("://")
    if not separator:
        return "; the scheme is missing"
    if scheme.lower() in ("ws", "wss"):
        return "; it is the page's address that counts, which is http or https"
    if "/" in rest:
        return "; an origin has no path, not even '/'"
    if not rest.isascii():
        return "; write the host in punycode (xn--...)"
    return ""


def _write(origin: _Origin) -> str:
    is_default = origin.port == _DEFAULT_PORTS.get(origin.scheme)
    return f"{origin.scheme}://{origin.host}" + ("" if is_default else f":{origin.port}")


def _show(text: str) -> str:
    return ascii(text if len(text) <= 100 else text[:100] + "...")
