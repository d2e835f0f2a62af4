"""Judges the request that asks for a WebSocket (RFC 6455 section 4.2.1). Pure."""

from __future__ import annotations

import binascii
import re
from hashlib import sha1
from typing import Final, NamedTuple

from ..head import HOST

__all__ = ["BadUpgrade", "Upgrade", "accept_key", "read_upgrade"]

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CHARACTERS: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_TOKEN: Final = re.compile(_CHARACTERS + rb"+")
_FIELDS: Final = re.compile(rb"(?:" + _CHARACTERS + rb"++:[^\x00-\x08\x0a-\x1f\x7f]*+\r\n)*+")
_TARGET: Final = re.compile(rb"/[\x21\x24-\x7e]*")


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
    fields: dict[bytes, bytes]
    """The headers by name; values of several of one name are joined by commas."""
    key: bytes
    subprotocols: list[str]

    @property
    def extensions(self) -> bytes:
        """All values of Sec-WebSocket-Extensions."""
        return self.fields.get(b"sec-websocket-extensions", b"")


def read_upgrade(request: bytes) -> Upgrade:
    """Read the head of a request, from the request line to the empty line.

    Spellings that browsers and proxies use are all right: `Connection: keep-alive, Upgrade` in any
    case and any order, spread over several headers.

    Raises:
        BadUpgrade: what is wrong, with the status for the answer.
    """
    head, _, _ = request.partition(b"\r\n\r\n")
    line, _, rest = head.partition(b"\r\n")
    headers = _read_headers(rest + b"\r\n" if rest else rest)
    method, target = _read_line(line)
    if method != b"GET":
        raise BadUpgrade("expected the method GET", 405, (("allow", "GET"),))
    fields = dict(headers)
    if len(fields) != len(headers):
        fields = _joined(headers)
    _check_fields(fields)
    path, _, query = target.partition(b"?")
    return Upgrade(path, query, headers, fields, _read_key(fields), _read_subprotocols(fields))


def accept_key(key: bytes) -> bytes:
    """Return the Sec-WebSocket-Accept that answers `key` (RFC 6455 section 4.2.2)."""
    return binascii.b2a_base64(sha1(key + _GUID).digest(), newline=False)


def _read_line(line: bytes) -> tuple[bytes, bytes]:
    parts = line.split(b" ")
    if len(parts) != 3 or parts[2] != b"HTTP/1.1":
        raise BadUpgrade("expected an HTTP/1.1 request line")
    if not _TARGET.fullmatch(parts[1]):
        raise BadUpgrade("expected a path as the request target")
    return parts[0], parts[1]


def _read_headers(block: bytes) -> list[tuple[bytes, bytes]]:
    if not _FIELDS.fullmatch(block):
        raise BadUpgrade("malformed header")
    headers = []
    for line in block.split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        headers.append((name.lower(), value.strip(b" \t")))
    return headers


def _joined(headers: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Return the headers by name, some of which come several times."""
    fields: dict[bytes, bytes] = {}
    for name, value in headers:
        fields[name] = value if name not in fields else fields[name] + b", " + value
    return fields


def _tokens(fields: dict[bytes, bytes], name: bytes) -> list[bytes]:
    values = fields.get(name, b"").split(b",")
    return [value.strip(b" \t") for value in values if value.strip(b" \t")]


def _has_token(fields: dict[bytes, bytes], name: bytes, token: bytes) -> bool:
    return fields.get(name, b"").lower() == token or token in [
        each.lower() for each in _tokens(fields, name)
    ]


def _check_fields(fields: dict[bytes, bytes]) -> None:
    if not HOST.fullmatch(fields.get(b"host", b"")):
        raise BadUpgrade("expected one Host header, with one host")
    if not _has_token(fields, b"upgrade", b"websocket"):
        raise BadUpgrade("expected Upgrade: websocket")
    if not _has_token(fields, b"connection", b"upgrade"):
        raise BadUpgrade("expected Connection: Upgrade")
    if b"transfer-encoding" in fields or fields.get(b"content-length", b"").strip(b"0, "):
        raise BadUpgrade("a request for a WebSocket has no body")
    if fields.get(b"sec-websocket-version") != b"13":
        version = (("sec-websocket-version", "13"),)
        raise BadUpgrade("expected Sec-WebSocket-Version: 13", 426, version)


def _read_key(fields: dict[bytes, bytes]) -> bytes:
    key = fields.get(b"sec-websocket-key", b"")
    try:
        if len(binascii.a2b_base64(key, strict_mode=True)) == 16:
            return key
    except binascii.Error:
        pass
    raise BadUpgrade("expected one Sec-WebSocket-Key of 16 bytes in base64")


def _read_subprotocols(fields: dict[bytes, bytes]) -> list[str]:
    if b"sec-websocket-protocol" not in fields:
        return []
    tokens = _tokens(fields, b"sec-websocket-protocol")
    if not all(_TOKEN.fullmatch(token) for token in tokens):
        raise BadUpgrade("malformed Sec-WebSocket-Protocol")
    return list(dict.fromkeys(token.decode("ascii") for token in tokens))
