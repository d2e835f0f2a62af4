"""How many are connected, in all, from each address and as each user; and who is one too many.

Pure: the time is given. One census serves one process: several workers count for themselves.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Hashable
from ipaddress import IPv6Address, ip_address
from typing import Any, Final

import msgspec

from ..settings import Settings
from .buckets import Bucket, Buckets, burst_of

__all__ = ["Census", "Limits", "Place", "Refusal", "descriptor_share", "place_of"]

_FALLBACK: Final = 16_384
"""Connections where the system does not say how many descriptors a process may have."""
_RETRY: Final = 5.0
"""Seconds after which a refused peer may try again, where nothing tells them better."""


class Refusal(msgspec.Struct, frozen=True):
    """Why a peer is turned away, in words for its answer, the log and the metrics."""

    reason: str
    """The setting that was met, such as `max_connections`."""
    status: int
    """503 when everybody is turned away, 429 when it is about this address or this user."""
    retry_after: float
    """Seconds."""

    @property
    def text(self) -> str:
        """What the peer is told; no number says how full the server is."""
        return "the server is busy" if self.status == 503 else "too many connections"

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Retry-After in whole seconds, at least 1 (RFC 9110 section 10.2.3)."""
        return [("retry-after", str(max(1, math.ceil(self.retry_after))))]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a census allows; None is no limit. The meanings are those of the settings."""

    max_connections: int | None = None
    max_connections_per_address: int | None = None
    max_connections_per_user: int | None = None
    max_unauthenticated: int | None = None
    handshake_rate: float | None = None
    handshake_rate_per_address: float | None = None

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """Read them from settings; "auto" is worked out of the process's descriptors as of now."""
        found = {name: getattr(settings, name) for name in cls.__struct_fields__}
        if found["max_connections"] == "auto":
            found["max_connections"] = descriptor_share()
        if found["max_unauthenticated"] == "auto":
            most = found["max_connections"]
            found["max_unauthenticated"] = None if most is None else max(1, most // 2)
        return cls(**found)


class Place:
    """One connection in the census, from its admission until it is released."""

    __slots__ = ("address", "is_authenticated", "is_released", "user")

    def __init__(self, address: str, is_authenticated: bool) -> None:
        self.address = address
        """What is counted as one address; see `place_of`."""
        self.is_authenticated = is_authenticated
        self.user: Hashable = None
        self.is_released = False


class Census:
    """Counts open connections and turns away who would be one too many.

    `admit` gives a place or a refusal; the place is kept by the connection and given back with
    `release`, which counts once however often it is called. A refused peer is counted nowhere.

    Args:
        limits: what is allowed.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.open = 0
        """Connections, from their handshake to their end."""
        self.unauthenticated = 0
        """Those of them that still have to say who they are."""
        self.refused: Counter[str] = Counter()
        """Refusals by reason, the names of settings: few, whatever peers do."""
        self._addresses: dict[str, int] = {}
        self._users: dict[Hashable, int] = {}
        rate, each = limits.handshake_rate, limits.handshake_rate_per_address
        self._handshakes = None if rate is None else Bucket(rate, burst_of(rate))
        self._by_address = None if each is None else Buckets(each, burst_of(each))

    def __repr__(self) -> str:
        return f"<Census: {self.open} open, {self.unauthenticated} unauthenticated>"

    def admit(
        self, address: str | None, now: float, *, is_authenticated: bool = True
    ) -> Place | Refusal:
        """Take a place for a handshake from `address`; None is a peer without one.

        With `is_authenticated=False` it counts as one that has to say who it is, until
        `authenticate`. The limits of one address are judged first, so that what it is refused
        takes nothing from the others. `now` is in seconds of a monotonic clock.
        """
        place = Place(place_of(address), is_authenticated)
        refusal = self._judge(place, now)
        if refusal is not None:
            return refusal
        self.open += 1
        self.unauthenticated += not is_authenticated
        _join(self._addresses, place.address)
        return place

    def authenticate(self, place: Place, user: Hashable) -> Refusal | None:
        """The peer has said who it is: count it as this user's, None being nobody in particular.

        It may be called again, with the same user or another. A refusal leaves the count as it was:
        end the connection, and release its place. A place that was released counts as nobody's.
        """
        if place.is_released:
            return None
        if user != place.user:
            most = self.limits.max_connections_per_user
            if user is not None and _is_met(most, self.of_user(user)):
                return self._refuse("max_connections_per_user")
            self._change_user(place, user)
        self._note_authenticated(place)
        return None

    def release(self, place: Place) -> None:
        """Give a place back; it counts once, whoever calls it and how often."""
        if place.is_released:
            return
        place.is_released = True
        self.open -= 1
        _leave(self._addresses, place.address)
        self._change_user(place, None)
        self._note_authenticated(place)

    def of_address(self, address: str | None) -> int:
        """Return the open connections from `address` (IPv6: from its /64)."""
        return self._addresses.get(place_of(address), 0)

    def of_user(self, user: Hashable) -> int:
        """Return the open connections of `user`."""
        return self._users.get(user, 0)

    @property
    def is_empty(self) -> bool:
        """Whether nobody is connected, and nothing is kept of those who were."""
        return not (self.open or self.unauthenticated or self._addresses or self._users)

    def _judge(self, place: Place, now: float) -> Refusal | None:
        limits = self.limits
        if _is_met(limits.max_connections_per_address, self._addresses.get(place.address, 0)):
            return self._refuse("max_connections_per_address")
        if _is_met(limits.max_connections, self.open):
            return self._refuse("max_connections")
        if not place.is_authenticated and _is_met(limits.max_unauthenticated, self.unauthenticated):
            return self._refuse("max_unauthenticated")
        return self._judge_rate(place.address, now)

    def _judge_rate(self, address: str, now: float) -> Refusal | None:
        if self._by_address is not None and (wait := self._by_address.take(address, 1, now)):
            return self._refuse("handshake_rate_per_address", wait)
        if self._handshakes is not None and (wait := self._handshakes.take(1, now)):
            return self._refuse("handshake_rate", wait)
        return None

    def _refuse(self, reason: str, retry_after: float = _RETRY) -> Refusal:
        self.refused[reason] += 1
        return Refusal(reason, 429 if "_per_" in reason else 503, retry_after)

    def _change_user(self, place: Place, user: Hashable) -> None:
        if place.user is not None:
            _leave(self._users, place.user)
        if user is not None:
            _join(self._users, user)
        place.user = user

    def _note_authenticated(self, place: Place) -> None:
        self.unauthenticated -= not place.is_authenticated
        place.is_authenticated = True


def _is_met(most: int | None, count: int) -> bool:
    return most is not None and count >= most


@functools.lru_cache(maxsize=1024)
def place_of(address: str | None) -> str:
    """Return what counts as one address: of IPv6 the /64, which is what one customer gets.

    An IPv4 address in IPv6 spelling is the IPv4 address. What is no address, such as the name of a
    Unix socket, is itself, and None is the empty text.
    """
    if not address:
        return ""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv6Address):
        mapped = found.ipv4_mapped
        return str(mapped) if mapped else f"{IPv6Address(int(found) >> 64 << 64)}/64"
    return str(found)


def descriptor_share() -> int:
    """Return nine tenths of the descriptors that this process may have, as of now.

    The rest is for files, databases and the sockets of those who are turned away. Where the system
    has no such limit (Windows), or it is infinite, it is 16,384.
    """
    try:
        import resource
    except ModuleNotFoundError:
        return _FALLBACK
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _FALLBACK if soft == resource.RLIM_INFINITY else max(1, soft * 9 // 10)


def _join(counts: dict[Any, int], key: Hashable) -> None:
    counts[key] = counts.get(key, 0) + 1


def _leave(counts: dict[Any, int], key: Hashable) -> None:
    """Count one less, and keep nothing of a key that nobody has."""
    if counts[key] == 1:
        del counts[key]
    else:
        counts[key] -= 1
