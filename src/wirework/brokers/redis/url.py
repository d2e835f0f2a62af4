"""Where Redis is: what a URL says."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from ...errors import SettingsError

__all__ = ["SCHEMES", "Address", "Target", "target_of"]

Kind = Literal["single", "sentinel", "cluster"]

SCHEMES: Final[Mapping[str, tuple[Kind, bool]]] = {
    "redis": ("single", False),
    "rediss": ("single", True),
    "redis+unix": ("single", False),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}
"""What each scheme means, and whether it is TLS."""
_PORTS: Final = {"single": 6379, "sentinel": 26379, "cluster": 6379}
_TLS_OPTIONS: Final = {"ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs"}
_SENTINEL_OPTIONS: Final = {"sentinel_username", "sentinel_password"}


class Address(NamedTuple):
    """A server's; without a port, the path of its socket."""

    host: str
    port: int = 0

    def __str__(self) -> str:
        if not self.port:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Target(NamedTuple):
    """What to connect to, and as whom."""

    kind: Kind
    addresses: tuple[Address, ...]
    user: str = ""
    password: str = ""
    database: int = 0
    tls: ssl.SSLContext | None = None
    service: str = ""
    """What the Sentinels call the master."""
    sentinel_user: str = ""
    sentinel_password: str = ""

    def __repr__(self) -> str:
        return f"<Target {self.kind} {', '.join(map(str, self.addresses))}>"

    @property
    def of_sentinels(self) -> Target:
        """How to talk to the Sentinels themselves."""
        return Target(
            "single", self.addresses, self.sentinel_user, self.sentinel_password, tls=self.tls
        )


def target_of(url: str) -> Target:
    """Return what `url` says.

    Raises:
        SettingsError: it cannot be read; the text says what is wrong, and holds no password.
    """
    try:
        pieces = urlsplit(url)
    except ValueError as error:
        raise SettingsError("broker: the URL cannot be read") from error
    if pieces.scheme not in SCHEMES:
        known = ", ".join(f"{each}://" for each in SCHEMES)
        raise SettingsError(f"broker: expected one of {known}, got {pieces.scheme}://")
    kind, is_tls = SCHEMES[pieces.scheme]
    is_socket = pieces.scheme == "redis+unix"
    credentials, _, hosts = pieces.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    options = _options(pieces.query, kind, is_tls, is_socket)
    service, database = _path(pieces.path, kind, is_socket, options)
    return Target(
        kind,
        (Address(unquote(pieces.path)),) if is_socket else _addresses(hosts, _PORTS[kind]),
        unquote(user),
        unquote(password),
        database,
        _tls(options) if is_tls else None,
        service,
        options.get("sentinel_username", ""),
        options.get("sentinel_password", ""),
    )


def _options(query: str, kind: Kind, is_tls: bool, is_socket: bool) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    known = _TLS_OPTIONS if is_tls else set()
    known = known | (_SENTINEL_OPTIONS if kind == "sentinel" else set())
    known = known | ({"db"} if kind != "cluster" else set())
    for name in options:
        if name not in known:
            allowed = ", ".join(sorted(known)) or "none"
            raise SettingsError(f"broker: expected options of the URL among {allowed}, got {name}")
    if is_socket and not query.isascii():
        raise SettingsError("broker: expected an ASCII query in the URL")
    return options


def _path(path: str, kind: Kind, is_socket: bool, options: Mapping[str, str]) -> tuple[str, int]:
    steps = [] if is_socket else [unquote(step) for step in path.split("/") if step]
    service = ""
    if kind == "sentinel":
        if not steps:
            raise SettingsError(
                "broker: expected redis+sentinel://host,host/service, got no service"
            )
        service = steps.pop(0)
    number = options.get("db", steps.pop(0) if steps else "0")
    if steps or not number.isdecimal() or (kind == "cluster" and number != "0"):
        raise SettingsError("broker: expected at most the number of a database in the URL's path")
    if is_socket and not path.strip("/"):
        raise SettingsError("broker: expected redis+unix:///path/of/socket, got no path")
    return service, int(number)


def _addresses(hosts: str, port: int) -> tuple[Address, ...]:
    return tuple(_address(each, port) for each in (hosts or "localhost").split(","))


def _address(text: str, port: int) -> Address:
    try:
        pieces = urlsplit(f"//{text}")
        host, found = pieces.hostname, pieces.port
    except ValueError as error:
        raise SettingsError("broker: expected host:port in the URL") from error
    return Address(host or "localhost", port if found is None else found)


def _tls(options: Mapping[str, str]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=options.get("ssl_ca_certs"))
        if "ssl_certfile" in options:
            context.load_cert_chain(options["ssl_certfile"], options.get("ssl_keyfile"))
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"broker: the certificates cannot be read: {error}") from error
    required = options.get("ssl_cert_reqs", "required")
    if required not in ("required", "none"):
        raise SettingsError(f"broker: expected ssl_cert_reqs=required or none, got {required}")
    if required == "none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
