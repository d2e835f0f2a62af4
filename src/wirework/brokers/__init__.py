"""Brokers: what carries publications, history and presence between the workers."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from ..errors import SettingsError
from .base import Broker, Keep, Member, Message, Page, Position, Publication, Published, Roll
from .memory import MemoryBroker

__all__ = [
    "Broker",
    "Keep",
    "Member",
    "MemoryBroker",
    "Message",
    "Page",
    "Position",
    "Publication",
    "Published",
    "Roll",
    "broker_of",
]

_SERVED: Final = {
    "redis": "RedisBroker",
    "rediss": "RedisBroker",
    "redis+unix": "RedisBroker",
    "redis+sentinel": "RedisBroker",
    "rediss+sentinel": "RedisBroker",
    "redis+cluster": "RedisBroker",
    "rediss+cluster": "RedisBroker",
    "nats": "NatsBroker",
    "tls": "NatsBroker",
}
"""Class of each scheme that has a server behind it."""
_MODULES: Final = {"RedisBroker": "redis", "NatsBroker": "nats"}
"""Module of each class: also the name of the extra that brings its drivers."""
_DRIVERS: Final = {"redis", "hiredis", "nats"}


def broker_of(url: str, *, timeout: float = 5.0, prefix: str = "wirework") -> Broker:
    """Return the broker that `url` names; it connects when it is started.

    Args:
        url: `memory://`, `redis://`, `redis+unix://`, `redis+sentinel://`, `redis+cluster://` or
            `nats://`; with TLS `rediss://`, `rediss+sentinel://`, `rediss+cluster://`, `tls://`.
        timeout: seconds within which the server must answer each call. Default 5.
        prefix: what all keys and subjects begin with; applications that share a server and should
            not hear each other have different ones. Default "wirework".

    Raises:
        SettingsError: an unknown scheme, an address that cannot be read, or a driver that is not
            installed; it says which. It does not repeat the address, which may hold a password.
    """
    scheme, separator, _ = url.partition("://")
    if scheme == "memory" and separator:
        return MemoryBroker()
    if scheme not in _SERVED or not separator:
        known = ", ".join(f"{each}://" for each in ("memory", *_SERVED))
        got = f"{scheme}://" if separator else "a text without ://"
        raise SettingsError(f"broker: expected one of {known}, got {got}")
    name = _SERVED[scheme]
    broker: Broker = _class_of(name)(url, timeout=timeout, prefix=prefix)
    return broker


def _class_of(name: str) -> type:
    extra = _MODULES[name]
    try:
        found: type = getattr(import_module(f".{extra}", __name__), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _DRIVERS:
            raise
        raise SettingsError(
            f"broker: {extra}:// needs a driver: pip install 'wirework[{extra}]'"
        ) from error
    return found
