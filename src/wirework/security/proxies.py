"""Who the client is behind proxies: what `Forwarded` and `X-Forwarded-*` say, where they count.

Anybody can send these headers, so they count only where the peer on the socket is a trusted proxy,
and then only the part that trusted proxies have written. Pure: headers in, answer out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from ..errors import SettingsError
from ..types import Scope
from .forwarded import read_forwarded

__all__ = ["ALL_HEADERS", "Client", "Proxies"]

ALL_HEADERS: Final = ("forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host")
"""What proxies say about the client."""

_Address: TypeAlias = IPv4Address | IPv6Address
_Network: TypeAlias = IPv4Network | IPv6Network
_Headers: TypeAlias = Iterable[tuple[bytes, bytes]]

_MAX_ITEMS: Final = 64
_SCHEMES: Final = {"http": False, "ws": False, "https": True, "wss": True}
_HOST: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._-]+)(?::[0-9]{1,5})?")
_NODE: Final = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::([0-9]{1,5}))?|([0-9.]+):([0-9]{1,5})")


class _Claim(NamedTuple):
    """What trusted proxies say about the client; None where they say nothing."""

    address: tuple[str, int] | None = None
    is_secure: bool | None = None
    host: str | None = None

    def is_same(self, other: _Claim) -> bool:
        """Whether both name the same client; not every proxy tells the port."""
        return (self.address or ("",))[0] == (other.address or ("",))[0]


class Client(msgspec.Struct, frozen=True):
    """What is believed of the client; None is what the socket and the request say themselves."""

    address: tuple[str, int] | None = None
    """Address and port; port 0 where the proxy does not tell it."""
    is_secure: bool | None = None
    """Whether the client speaks TLS."""
    host: str | None = None
    """The host that the client asked for, with its port if it named one."""
    problem: str = ""
    """Why nothing is believed although a proxy is trusted: two headers contradict each other."""

    @property
    def is_unchanged(self) -> bool:
        """Whether nothing is to be corrected."""
        return self.address is None and self.is_secure is None and self.host is None


_NOTHING: Final = Client()


class Proxies:
    """Trusted proxies, and what they say.

    The client is found by walking from the proxy on the socket towards the client: each trusted
    proxy's word about its own peer is taken, and the first that is not trusted is the client. Where
    a word is missing, malformed or hidden (`unknown`, `_name`), the walk ends at the proxy that
    gave it. Scheme and host are those that the proxy next to the client wrote. Where a request has
    `Forwarded` and `X-Forwarded-For`, they have to name the same client, because most proxies write
    one and pass the other on as it came; otherwise neither is believed.

    Args:
        trusted: addresses (`10.0.0.5`), networks (`10.0.0.0/8`) and `unix`, which stands for peers
            without an address (Unix sockets). Default none: nothing is ever believed.
        headers: what is read; name those alone that your proxies write or remove. Default all.

    Raises:
        SettingsError: an entry that is none of these, an unknown header; also `*` and `/0`, with
            which everybody could claim to be anybody.
    """

    def __init__(self, trusted: Sequence[str] = (), headers: Sequence[str] = ALL_HEADERS) -> None:
        if isinstance(trusted, str):
            raise SettingsError(f"trusted proxies: expected a list, got the str {trusted!r}")
        networks = [_read_entry(entry) for entry in trusted if entry != "unix"]
        self._networks = tuple(networks)
        self._has_unix = "unix" in trusted
        self._headers = frozenset(headers)
        unknown = self._headers.difference(ALL_HEADERS)
        if unknown:
            known = ", ".join(ALL_HEADERS)
            raise SettingsError(f"proxy header: expected one of {known}, got {min(unknown)!r}")

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._networks) or self._has_unix

    def trusts(self, address: str | None) -> bool:
        """Whether the peer with this address is one of them; None is a peer without an address."""
        if not address:
            return self._has_unix
        if not self._networks:
            return False
        found = _read_address(address)
        return found is not None and any(found in network for network in self._networks)

    def client(self, address: str | None, headers: _Headers) -> Client:
        """Return what is believed of the client of a request. Never raises.

        `address` is that of the peer on the socket, `headers` are all of the request's, in order,
        their names in lower case.
        """
        if not self.trusts(address):
            return _NOTHING
        lines = self._lines(headers)
        one, other = self._forwarded(lines), self._x_forwarded(lines)
        if {"forwarded", "x-forwarded-for"} <= lines.keys() and not one.is_same(other):
            return Client(problem="Forwarded and X-Forwarded-For name different clients")
        return Client(
            one.address or other.address,
            _agreed(one.is_secure, other.is_secure),
            _agreed(one.host, other.host),
        )

    def correct(self, scope: Scope) -> Scope:
        """Return the scope as the client's own request would have made it.

        It is `scope` itself where nothing is to be corrected, a copy otherwise. Changed are
        `client`, `scheme` and the `host` header. Never raises, and corrects a corrected scope no
        further.
        """
        peer = scope.get("client")
        found = self.client(peer[0] if peer else None, scope.get("headers") or ())
        return scope if found.is_unchanged else _corrected(scope, found)

    # --- reading --------------------------------------------------------------------------------

    def _lines(self, headers: _Headers) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for raw, value in headers:
            name = raw.decode("latin-1")
            if name in self._headers:
                found.setdefault(name, []).append(value.decode("latin-1"))
        return found

    def _forwarded(self, lines: dict[str, list[str]]) -> _Claim:
        hops = read_forwarded(lines.get("forwarded", ()))
        node, steps = self._walk([hop.node for hop in hops])
        if not hops:
            return _Claim()
        hop = hops[-steps]
        return _Claim(node, _SCHEMES.get(hop.proto.lower()), _read_host(hop.host))

    def _x_forwarded(self, lines: dict[str, list[str]]) -> _Claim:
        node, steps = self._walk(_items(lines, "x-forwarded-for"))
        proto = _at(_items(lines, "x-forwarded-proto"), steps)
        host = _at(_items(lines, "x-forwarded-host"), steps)
        return _Claim(node, _SCHEMES.get(proto.lower()), _read_host(host))

    def _walk(self, nodes: list[str]) -> tuple[tuple[str, int] | None, int]:
        """Walk from the last node over trusted proxies; return where it ends, and the steps."""
        last, steps = None, 1
        for steps in range(1, len(nodes) + 1):
            found = _read_node(nodes[-steps])
            if found is None:
                break
            last = found
            if not self.trusts(found[0]):
                break
        return last, steps


def _agreed(one: Any, other: Any) -> Any:
    """Return what both say, or the one that says something; None where they differ."""
    if one is None or other is None:
        return other if one is None else one
    return one if one == other else None


def _corrected(scope: Scope, found: Client) -> Scope:
    corrected = dict(scope)
    if found.address is not None:
        corrected["client"] = found.address
    if found.is_secure is not None:
        scheme = "ws" if scope.get("type") == "websocket" else "http"
        corrected["scheme"] = scheme + "s" * found.is_secure
    if found.host is not None:
        others = [pair for pair in scope["headers"] if pair[0] != b"host"]
        corrected["headers"] = [(b"host", found.host.encode("ascii")), *others]
    return corrected


def _read_entry(entry: object) -> _Network:
    """Return an entry of the list as a network."""
    expected = "an address such as 10.0.0.5, a network such as 10.0.0.0/8, or unix"
    try:
        network = ip_network(entry) if isinstance(entry, str) else None
    except ValueError:
        network = None
    if network is None or network.prefixlen == 0:
        is_everybody = entry == "*" or network is not None
        hint = "; so everybody could claim to be anybody" if is_everybody else ""
        raise SettingsError(f"trusted proxy: expected {expected}, got {entry!r}{hint}")
    return network


def _read_address(text: str) -> _Address | None:
    """Return an address; an IPv4 address in IPv6 spelling is the IPv4 address."""
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


def _read_node(text: str) -> tuple[str, int] | None:
    """Return address and port of `a.b.c.d`, `a.b.c.d:port`, `a::b`, `[a::b]` or `[a::b]:port`."""
    match = _NODE.fullmatch(text)
    host, port = (match[1] or match[3], match[2] or match[4]) if match else (text, None)
    found = None if "%" in host else _read_address(host)
    if found is None or int(port or 0) > 65535:
        return None
    return str(found), int(port or 0)


def _read_host(text: str) -> str | None:
    return text if _HOST.fullmatch(text) else None


def _items(lines: dict[str, list[str]], name: str) -> list[str]:
    """Return the items of a list header, over all its lines (RFC 9110 section 5.6.1).

    The first one may be a rest that was not split: nobody has more proxies than that.
    """
    whole = ",".join(lines.get(name, ()))
    items = (item.strip(" \t") for item in whole.rsplit(",", _MAX_ITEMS))
    return [item for item in items if item]


def _at(items: list[str], steps: int) -> str:
    """Return what the proxy so many steps away wrote; the first one where not every proxy did."""
    return items[-min(steps, len(items))] if items else ""
