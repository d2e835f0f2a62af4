"""Judges the request that asks for a WebSocket (RFC 6455 section 4.2.1). Pure."""

from __future__ import annotations

import base64
import binascii
import re
from hashlib import sha1
from typing import Final, NamedTuple

__all__ = ["BadUpgrade", "Upgrade", "accept_key", "read_upgrade"]

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_BAD_VALUE: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_TARGET: Final = re.compile(rb"/[\x21\x24-\x7e]*")
_HOST: Final = re.compile(rb"[0-9A-Za-z\-._~!$&'()*+;=%:\[\]]+")


class BadUpgrade(Exception):
    """The request is not one for a WebSocket; `status` and `headers` answer it."""

    def __init__(
        self, reason: str, status: int = 400, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.headers = headers


class Upgrade(NamedTuple):
    """A valid request."""

    raw_path: bytes
    query_string: bytes
    headers: list[tuple[bytes, bytes]]
    """In order, names in lower case."""
    key: bytes
    subprotocols: list[str]
    extensions: bytes
    """All values of Sec-WebSocket-Extensions, joined."""


def read_upgrade(request: bytes) -> Upgrade:
    """Read the head of a request, from the request line to the empty line.

    Spellings that browsers and proxies use are all right: `Connection: keep-alive, Upgrade` in any
    case and any order, spread over several headers.

    Raises:
        BadUpgrade: what is wrong, with the status for the answer.
    """
    head, _, _ = request.partition(b"\r\n\r\n")
    line, *lines = head.split(b"\r\n")
    headers = [_read_header(each) for each in lines]
    method, target = _read_line(line)
    if method != b"GET":
        raise BadUpgrade("expected the method GET", 405, (("allow", "GET"),))
    _check_fields(headers)
    path, _, query = target.partition(b"?")
    return Upgrade(
        path,
        query,
        headers,
        _read_key(headers),
        _read_subprotocols(headers),
        b", ".join(_values(headers, b"sec-websocket-extensions")),
    )


def accept_key(key: bytes) -> bytes:
    """Return the Sec-WebSocket-Accept that answers `key` (RFC 6455 section 4.2.2)."""
    return base64.b64encode(sha1(key + _GUID).digest())


def _read_line(line: bytes) -> tuple[bytes, bytes]:
    parts = line.split(b" ")
    if len(parts) != 3 or parts[2] != b"HTTP/1.1":
        raise BadUpgrade("expected an HTTP/1.1 request line")
    if not _TARGET.fullmatch(parts[1]):
        raise BadUpgrade("expected a path as the request target")
    return parts[0], parts[1]


def _read_header(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    value = value.strip(b" \t")
    if not colon or not _TOKEN.fullmatch(name) or _BAD_VALUE.search(value):
        raise BadUpgrade("malformed header")
    return name.lower(), value


def _values(headers: list[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    return [value for each, value in headers if each == name]


def _tokens(headers: list[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    values = b",".join(_values(headers, name)).split(b",")
    return [value.strip(b" \t") for value in values if value.strip(b" \t")]


def _check_fields(headers: list[tuple[bytes, bytes]]) -> None:
    hosts = _values(headers, b"host")
    if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
        raise BadUpgrade("expected one Host header, with one host")
    if b"websocket" not in [each.lower() for each in _tokens(headers, b"upgrade")]:
        raise BadUpgrade("expected Upgrade: websocket")
    if b"upgrade" not in [each.lower() for each in _tokens(headers, b"connection")]:
        raise BadUpgrade("expected Connection: Upgrade")
    lengths = _values(headers, b"content-length")
    if _values(headers, b"transfer-encoding") or any(length.strip(b"0") for length in lengths):
        raise BadUpgrade("a request for a WebSocket has no body")
    if _values(headers, b"sec-websocket-version") != [b"13"]:
        version = (("sec-websocket-version", "13"),)
        raise BadUpgrade("expected Sec-WebSocket-Version: 13", 426, version)


def _read_key(headers: list[tuple[bytes, bytes]]) -> bytes:
    keys = _values(headers, b"sec-websocket-key")
    try:
        if len(keys) == 1 and len(base64.b64decode(keys[0], validate=True)) == 16:
            return keys[0]
    except binascii.Error:
        pass
    raise BadUpgrade("expected one Sec-WebSocket-Key of 16 bytes in base64")


def _read_subprotocols(headers: list[tuple[bytes, bytes]]) -> list[str]:
    tokens = _tokens(headers, b"sec-websocket-protocol")
    if not all(_TOKEN.fullmatch(token) for token in tokens):
        raise BadUpgrade("malformed Sec-WebSocket-Protocol")
    return list(dict.fromkeys(token.decode("ascii") for token in tokens))
