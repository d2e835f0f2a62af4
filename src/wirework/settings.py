"""Settings: one frozen, checked object from arguments, environment and a file."""

from __future__ import annotations

import difflib
import json
import os
import reprlib
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import msgspec

from . import _rules as rules
from .errors import SettingsError

__all__ = ["Settings"]

_PREFIX = "WIREWORK_"
_CONFIG = "WIREWORK_CONFIG"
_CASPIAN = "caspian.config.json"
_SPREAD = 5.0

_Overflow = Literal["close", "drop_oldest", "drop_newest", "latest"]
_SameSite = Literal["lax", "strict", "none"]
_Refusal = Literal["status", "close"]


class Settings(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Everything that can be set, checked where it is given.

    `Settings(...)` takes arguments alone; `load` reads the environment and a file too. Every
    way in makes the same checks, and an object that exists holds only values that can be used.

    Raises:
        SettingsError: a value of the wrong type or out of range; it says what was expected,
            what came and from where.
        TypeError: an unknown name in `Settings(...)` itself; `load`, `of`, `replace` and `App`
            raise SettingsError for it, and name the nearest known one.
    """

    websocket: Annotated[bool, rules.FLAG] = True
    """The feature gate: when False every handshake is refused with 403. Default True."""

    debug: Annotated[bool, rules.FLAG] = False
    """Show exception text in dialects' error replies. Default False."""

    secret_key: Annotated[str | None, rules.SECRET] = None
    """Signs the session cookie; None means no sessions. Never part of `repr`. Default None."""

    json: Annotated[str, rules.NAME] = "msgspec"
    """Name of the JSON adapter for sockets and HTTP replies. Default "msgspec"."""

    max_message_size: Annotated[int, rules.SIZE] = 64 * 1024
    """Bytes of the largest message taken, after decompression; over it 1009. Default 65,536."""

    max_json_depth: Annotated[int | None, rules.LIMIT] = None
    """Arrays and objects inside each other in JSON that is taken; what is deeper is malformed;
    None: as deep as the parsers go, about 1,000. Default None."""

    max_body_size: Annotated[int, rules.SIZE] = 1024 * 1024
    """Bytes of the largest HTTP body that parameters are filled from; over it 413. Default
    1,048,576."""

    max_header_bytes: Annotated[int, rules.SIZE] = 64 * 1024
    """Bytes of the largest head of a request with `wirework run`; over it 431. Default 65,536."""

    max_header_count: Annotated[int, rules.COUNT] = 256
    """Headers of a request with `wirework run`; over it 431. Default 256."""

    compression: Annotated[bool, rules.FLAG] = False
    """Compress messages on the native transport where the client can. Default False."""

    compression_threshold: Annotated[int, rules.SIZE] = 1024
    """Bytes from which on a message is compressed. Default 1,024."""

    inbox_frames: Annotated[int, rules.COUNT] = 64
    """Frames waiting for a handler before reading from the socket stops. Default 64."""

    inbox_bytes: Annotated[int, rules.SIZE] = 1024 * 1024
    """Bytes (of text: characters) waiting before reading stops. Default 1,048,576."""

    message_rate: Annotated[float | None, rules.RATE] = None
    """Messages a second that a connection may send, on average; None: no limit. Default None."""

    message_burst: Annotated[int | None, rules.LIMIT] = None
    """Messages that it may send at once; None: as many as in a second. Default None."""

    byte_rate: Annotated[int | None, rules.SIZE_OR_NONE] = None
    """Bytes a second that a connection may send, on average; None: no limit. Default None."""

    byte_burst: Annotated[int | None, rules.SIZE_OR_NONE] = None
    """Bytes that it may send at once, at least `max_message_size`; None: as many as in a second.
    Default None."""

    outbox_frames: Annotated[int, rules.COUNT] = 1000
    """Frames waiting for a slow peer before `overflow` decides. Default 1,000."""

    outbox_bytes: Annotated[int, rules.SIZE] = 1024 * 1024
    """Bytes waiting for a slow peer before `overflow` decides. Default 1,048,576."""

    overflow: Annotated[_Overflow, rules.one_of(_Overflow)] = "close"
    """What a full outbox does: "close" the connection with 1013, "drop_oldest", "drop_newest",
    or keep the "latest" per channel. Default "close"."""

    write_stall_timeout: Annotated[float, rules.SECONDS] = 5.0
    """Seconds without progress in writing before the connection ends with 1013. Default 5.0."""

    handshake_timeout: Annotated[float, rules.SECONDS] = 10.0
    """Seconds that answering a handshake may take before it is refused. Default 10.0."""

    auth_timeout: Annotated[float, rules.SECONDS] = 10.0
    """Seconds until a connection that has to say who it is, or whose first message has to come,
    is closed with 4401 or 4408. Default 10.0."""

    auth_refusal: Annotated[_Refusal, rules.one_of(_Refusal)] = "status"
    """How a handshake without good credentials ends: with an HTTP "status", which no script in a
    browser sees, or accepted and closed with a "close" code, which they see. Default "status"."""

    handler_timeout: Annotated[float | None, rules.INTERVAL] = None
    """Seconds that handling one message may take; None: no limit. Default None."""

    stall_warning: Annotated[float | None, rules.INTERVAL] = 1.0
    """Seconds after which an event loop that does not turn is reported in the log, with the code
    that it is in; None: never. Default 1.0."""

    heartbeat_interval: Annotated[float | None, rules.INTERVAL] = 25.0
    """Seconds of silence before a ping, where the transport can ping; None: never. Default 25.0."""

    heartbeat_timeout: Annotated[float, rules.SECONDS] = 10.0
    """Seconds after a ping without any frame before the peer counts as gone. Default 10.0."""

    idle_timeout: Annotated[float | None, rules.INTERVAL] = None
    """Seconds without a message from the peer before 4408; None: no limit. Default None."""

    max_connections: Annotated[int | Literal["auto"] | None, rules.LIMIT_OR_AUTO] = "auto"
    """Open connections of one process; over it 503. "auto": nine tenths of the descriptors that it
    may have; None: no limit. Default "auto"."""

    max_connections_per_address: Annotated[int | None, rules.LIMIT] = None
    """Open connections from one address (IPv6: one /64); over it 429; None: no limit. Default
    None."""

    max_connections_per_user: Annotated[int | None, rules.LIMIT] = None
    """Open connections of one user; over it 429, or 4429 once accepted; None: no limit. Default
    None."""

    max_unauthenticated: Annotated[int | Literal["auto"] | None, rules.LIMIT_OR_AUTO] = "auto"
    """Open connections that still have to say who they are; over it 503. "auto": half of
    `max_connections`; None: no limit. Default "auto"."""

    handshake_rate: Annotated[float | None, rules.RATE] = None
    """Handshakes a second of one process; over it 503; None: no limit. Default None."""

    handshake_rate_per_address: Annotated[float | None, rules.RATE] = None
    """Handshakes a second from one address (IPv6: one /64); over it 429; None: no limit. Default
    None."""

    broker: Annotated[str, rules.URL] = "memory://"
    """What carries channels between processes: `memory://` for one process, `redis://...` or
    `nats://...`. Default "memory://"."""

    broker_timeout: Annotated[float, rules.SECONDS] = 5.0
    """Seconds within which the broker must answer. Default 5.0."""

    broker_prefix: Annotated[str, rules.NAME] = "wirework"
    """What all names at the broker begin with; applications that share one and should not hear each
    other have different ones. Default "wirework"."""

    max_channels: Annotated[int, rules.COUNT] = 128
    """Channels that a client may be subscribed to on one connection. Default 128."""

    history_limit: Annotated[int, rules.COUNT] = 300
    """Publications that are read at once; a client that returns and has missed more is told the
    rest page by page. Default 300."""

    presence_grace: Annotated[float, rules.SECONDS_OR_ZERO] = 15.0
    """Seconds after which a user whose last connection has ended counts as gone. Default 15.0."""

    presence_lease: Annotated[float, rules.SECONDS] = 60.0
    """Seconds after which those who were present on a worker that died are gone. Default 60.0."""

    allowed_origins: Annotated[tuple[str, ...], rules.ORIGINS] = ()
    """Origins taken beside the same origin, as `scheme://host[:port]`; `*.` before the host stands
    for its sub-domains, `*` for every origin, `null` for pages without one. Default none."""

    require_origin: Annotated[bool, rules.FLAG] = False
    """Refuse handshakes without an Origin header (not from browsers) too. Default False."""

    trusted_proxies: Annotated[tuple[str, ...], rules.PROXIES] = ()
    """Addresses and networks of proxies that are believed when they say who the client is, and
    "unix" for peers without an address. Default none."""

    proxy_headers: Annotated[tuple[str, ...], rules.PROXY_HEADERS] = (
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
    )
    """Headers of theirs that are read. Default all four."""

    session_cookie: Annotated[str, rules.COOKIE_NAME] = "session"
    """Name of the session cookie. Default "session"."""

    session_max_age: Annotated[int | None, rules.MAX_AGE] = 14 * 24 * 60 * 60
    """Seconds that a session lives; None until the browser closes. Default 14 days."""

    session_path: Annotated[str, rules.COOKIE_PATH] = "/"
    """Path that the session cookie is sent for. Default "/"."""

    session_domain: Annotated[str | None, rules.COOKIE_DOMAIN] = None
    """Domain that the session cookie is sent to; None for exactly this host. Default None."""

    session_same_site: Annotated[_SameSite, rules.one_of(_SameSite)] = "lax"
    """SameSite of the session cookie: "lax", "strict" or "none". Default "lax"."""

    session_https_only: Annotated[bool | Literal["auto"], rules.FLAG_OR_AUTO] = "auto"
    """Send the session cookie over HTTPS alone (Secure). "auto": where the request that it answers
    came over TLS, as the server or a trusted proxy says. Default "auto"."""

    drain_timeout: Annotated[float, rules.SECONDS] = 25.0
    """Seconds at shutdown for handlers that run; then they are cancelled. Default 25.0."""

    drain_spread: Annotated[float, rules.SECONDS_OR_ZERO] = _SPREAD
    """Seconds at shutdown over which closes are spread, at most `drain_timeout`; 0: all at once.

    Default 5.0; where `drain_timeout` is less, that.
    """

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = _checked(name, getattr(self, name), "")
            msgspec.structs.force_setattr(self, name, value)
        spread, timeout = self.drain_spread, self.drain_timeout
        if spread > timeout and spread != _SPREAD:
            raise SettingsError(
                f"drain_spread: expected at most drain_timeout ({timeout} s), got {spread}"
            )

    @classmethod
    def load(
        cls,
        file: str | os.PathLike[str] | None = None,
        environ: Mapping[str, str] = os.environ,
        **overrides: object,
    ) -> Settings:
        """Read settings: `overrides` win over `environ`, that over `file`, that over defaults.

        Without `file`, the variable WIREWORK_CONFIG may name one. A file is JSON when its name
        ends in `.json` and TOML otherwise; the settings are its top level or its `wirework`
        table, in a `pyproject.toml` `[tool.wirework]`. Of a `caspian.config.json` only
        `websocket` is read. In TOML, which has no null, the string "none" stands for None.

        Variables are `WIREWORK_` and the name in capitals: flags are true/false, yes/no, on/off
        or 1/0, sizes may end in KiB, MiB or GiB, lists are separated by commas.

        Raises:
            SettingsError: an unknown name, with the nearest known one; a value that cannot be
                used; a file that is missing, unreadable or malformed, with line and column.
        """
        file = file if file is not None else environ.get(_CONFIG) or None
        found = _from_file(Path(file)) if file is not None else {}
        return cls(**{**found, **_from_environ(environ), **_from_arguments(overrides)})

    @classmethod
    def of(cls, mapping: Mapping[str, object]) -> Settings:
        """Make settings from a mapping of names to values, with the checks of `load`."""
        return cls(**_from_arguments(mapping))

    def replace(self, **changes: object) -> Settings:
        """Return settings that differ in `changes`, with the checks of `load`."""
        return type(self).of({**msgspec.structs.asdict(self), **changes})

    def __repr__(self) -> str:
        shown = (f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({', '.join(shown)})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        shown = (name for name in self.__struct_fields__ if not _rules()[name].is_secret)
        return [(name, getattr(self, name)) for name in shown]


@cache
def _rules() -> dict[str, rules.Rule]:
    hints = get_type_hints(Settings, include_extras=True)
    return {name: hints[name].__metadata__[0] for name in Settings.__struct_fields__}


def _checked(name: str, value: object, source: str) -> Any:
    rule = _rules()[name]
    try:
        return rule.accept(value)
    except ValueError:
        got = f"a {type(value).__name__}" if rule.is_secret else reprlib.repr(value)
        origin = f" (from {source})" if source else ""
        message = f"{name}: expected {rule.expected}, got {got}{origin}"
        raise SettingsError(message) from None


def _reject_unknown(name: str, known: Iterable[str], source: str) -> None:
    names = list(known)
    if name not in names:
        nearest = difflib.get_close_matches(name, names, n=1, cutoff=0)[0]
        message = f"unknown setting {name} (from {source}); the nearest known one is {nearest}"
        raise SettingsError(message)


def _from_arguments(given: Mapping[str, object]) -> dict[str, Any]:
    return _from_mapping(given, "an argument")


def _from_mapping(given: Mapping[str, object], source: str) -> dict[str, Any]:
    for name in given:
        _reject_unknown(name, _rules(), source)
    return {name: _checked(name, value, source) for name, value in given.items()}


def _from_environ(environ: Mapping[str, str]) -> dict[str, Any]:
    known = {_PREFIX + name.upper(): name for name in _rules()}
    values = {}
    for variable, text in environ.items():
        if variable.startswith(_PREFIX) and variable != _CONFIG:
            _reject_unknown(variable, [*known, _CONFIG], "the environment")
            name = known[variable]
            values[name] = _checked(name, _parsed(_rules()[name], text), variable)
    return values


def _parsed(rule: rules.Rule, text: str) -> object:
    try:
        return rule.parse(text)
    except ValueError:
        return text


def _from_file(path: Path) -> dict[str, Any]:
    document = _document(path)
    if path.name == _CASPIAN:
        document = {key: document[key] for key in ("websocket",) if key in document}
    elif path.name == "pyproject.toml":
        document = _table(_table(document, "tool", path), "wirework", path)
    elif "wirework" in document:
        for name in _rules().keys() & document.keys():
            raise SettingsError(f"{path}: expected {name} inside the wirework table, got it beside")
        document = _table(document, "wirework", path)
    return _from_mapping(document, str(path))


def _table(document: dict[str, Any], key: str, path: Path) -> dict[str, Any]:
    table = document.get(key, {})
    if not isinstance(table, dict):
        raise SettingsError(f"{path}: {key}: expected a table, got {reprlib.repr(table)}")
    return table


def _document(path: Path) -> dict[str, Any]:
    text = _text(path)
    kind = "JSON" if path.suffix == ".json" else "TOML"
    try:
        document = json.loads(text) if kind == "JSON" else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        end = f"line {text.count(chr(10)) + 1}, column {len(text) - text.rfind(chr(10))}"
        problem = str(error).replace("end of document", end)
        raise SettingsError(f"{path}: expected {kind}, got: {problem}") from None
    if not isinstance(document, dict):
        got = reprlib.repr(document)
        raise SettingsError(f"{path}: line 1, column 1: expected an object, got {got}")
    return document


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path}: cannot read the settings: {error.strerror}") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        place = f"line {before.count(10) + 1}, column {error.start - before.rfind(10)}"
        raise SettingsError(f"{path}: {place}: expected UTF-8, got {error.reason}") from None
