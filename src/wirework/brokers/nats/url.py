"""What a NATS address says."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from ...errors import SettingsError
from .layout import Layout

__all__ = ["Address"]

_PREFIX: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_OPTIONS: Final = ("credentials", "replicas", "storage")


class Address(NamedTuple):
    """Servers, how to get in, and how to store.

    Args:
        servers: one URL each, with the user and password or token, if there is one.
        options: for nats-py's `connect`.
        layout: names of subjects and streams.
    """

    servers: list[str]
    options: dict[str, Any]
    layout: Layout

    @classmethod
    def of(cls, url: str, prefix: str) -> Address:
        """Read `nats://user:password@host1:port,host2:port?replicas=3&storage=memory`.

        Raises:
            SettingsError: it cannot be read; the text repeats no part of it before the `?`.
        """
        if not _PREFIX.fullmatch(prefix):
            raise SettingsError(
                f"broker: prefix: expected letters, digits, _ and -, at most 64, got {prefix!r}"
            )
        parts = urlsplit(url)
        login, _, hosts = parts.netloc.rpartition("@")
        before = f"{login}@" if login else ""
        servers = [f"{parts.scheme}://{before}{host}" for host in hosts.split(",") if host]
        if not servers or parts.path.strip("/") or not all(map(_is_host, servers)):
            raise SettingsError(
                "broker: expected nats://user:password@host:port,host:port?replicas=1, "
                "got an address without a host, with a path or with a port that is none"
            )
        given = dict(parse_qsl(parts.query, keep_blank_values=True))
        return cls(servers, _login(given), _layout(given, prefix))


def _is_host(server: str) -> bool:
    try:
        parts = urlsplit(server)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _login(given: dict[str, str]) -> dict[str, Any]:
    unknown = [name for name in given if name not in _OPTIONS]
    if unknown:
        raise SettingsError(
            f"broker: expected of nats:// the options {', '.join(_OPTIONS)}, got {unknown[0]!r}"
        )
    return {"user_credentials": given["credentials"]} if "credentials" in given else {}


def _layout(given: dict[str, str], prefix: str) -> Layout:
    replicas, storage = given.get("replicas", "1"), given.get("storage", "file")
    if replicas not in ("1", "2", "3", "4", "5"):
        raise SettingsError(f"broker: replicas: expected 1 to 5, got {replicas!r}")
    if storage not in ("file", "memory"):
        raise SettingsError(f"broker: storage: expected 'file' or 'memory', got {storage!r}")
    return Layout(prefix, int(replicas), storage)
