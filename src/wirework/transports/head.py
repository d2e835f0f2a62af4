"""What no handshake may have, whatever the server lets pass (RFC 9112, 3.2 and 6.1). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

__all__ = ["HOST", "fault_of"]

HOST: Final = re.compile(rb"[0-9A-Za-z\-._~!$&'()*+;=%:\[\]]+")
"""One host, and perhaps its port."""


def fault_of(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return what is wrong with the headers of a handshake; None if they may pass.

    A second or a malformed Host would leave open which site is meant; what a body holds, a
    server before this one may have taken for a request of its own.
    """
    has_host = False
    for name, value in headers:
        if name == b"host":
            if has_host or not HOST.fullmatch(value):
                return "expected one Host header, with one host"
            has_host = True
        elif name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0, ")):
            return "a request for a WebSocket has no body"
    return None
