"""The upgrade request of an idle connection: its bytes, and no more until somebody asks."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from ...handshake import route_path
from ...types import Scope
from .upgrade import Upgrade, read_upgrade

__all__ = ["NativeRequest"]


class NativeRequest:
    """What an ASGI scope is made of; a scope would take ten times the memory.

    Args:
        head: the bytes of the request.
        upgrade: what was read in them.
        config: Uvicorn's.
        app_state: what the lifespan yielded.
        transport: tells the addresses.
    """

    __slots__ = (
        "_app_state",
        "_config",
        "_head",
        "_upgrade",
        "client",
        "path",
        "scheme",
        "server",
    )

    def __init__(
        self, head: bytes, upgrade: Upgrade, config: Any, app_state: dict[str, Any], transport: Any
    ) -> None:
        self._head = head
        self._upgrade: Upgrade | None = upgrade
        self._config = config
        self._app_state = app_state
        tell = transport.get_extra_info
        self.client = _address(tell("peername"))
        self.server = _address(tell("sockname"))
        self.scheme = "ws" if tell("sslcontext") is None else "wss"
        root, path = config.root_path, unquote(upgrade.raw_path.decode("ascii"))
        self.path = route_path({"path": root + path, "root_path": root}) if root else path
        """The path below the mount point, percent-decoded."""

    @property
    def upgrade(self) -> Upgrade:
        """What was read in the request."""
        return self._upgrade or read_upgrade(self._head)

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """All headers in order, names in lower case."""
        return self.upgrade.headers

    def values(self, name: str) -> list[str]:
        """Return the values of all headers called `name`, which is in lower case."""
        wanted, upgrade = name.encode("latin-1"), self._upgrade or read_upgrade(self._head)
        if wanted not in upgrade.fields:
            return []
        return [value.decode("latin-1") for each, value in upgrade.headers if each == wanted]

    @property
    def query_string(self) -> bytes:
        """The query as it was sent."""
        return self.upgrade.query_string

    @property
    def state(self) -> dict[str, Any]:
        """A copy of what the lifespan yielded."""
        return self._app_state.copy()

    def scope(self) -> Scope:
        """Return a new ASGI scope."""
        upgrade, root = self.upgrade, self._config.root_path
        return {
            "type": "websocket",
            "asgi": {"version": self._config.asgi_version, "spec_version": "2.5"},
            "http_version": "1.1",
            "scheme": self.scheme,
            "server": self.server,
            "client": self.client,
            "root_path": root,
            "path": root + unquote(upgrade.raw_path.decode("ascii")),
            "raw_path": root.encode("ascii") + upgrade.raw_path,
            "query_string": upgrade.query_string,
            "headers": upgrade.headers,
            "subprotocols": upgrade.subprotocols,
            "state": self._app_state.copy(),
            "extensions": {"websocket.http.response": {}},
        }

    def compact(self) -> None:
        """Keep the bytes alone: the request is answered."""
        self._upgrade = None


def _address(address: Any) -> tuple[str, int | None] | None:
    if isinstance(address, (list, tuple)) and len(address) >= 2:
        return str(address[0]), int(address[1])
    return (address, None) if isinstance(address, str) and address else None
