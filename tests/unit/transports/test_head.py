"""What no handshake may have, whatever the server lets pass."""

from __future__ import annotations

import pytest

from wirework.transports.head import fault_of

HOST = (b"host", b"example.com:80")
GOOD: dict[str, list[tuple[bytes, bytes]]] = {
    "one host": [HOST],
    "no host, which no origin is equal to": [],
    "an address": [(b"host", b"[::1]:8000")],
    "no body": [HOST, (b"content-length", b"0")],
}
BAD: dict[str, list[tuple[bytes, bytes]]] = {
    "two hosts": [HOST, HOST],
    "an empty host": [(b"host", b"")],
    "a list of hosts": [(b"host", b"a, b")],
    "a user": [(b"host", b"a@b")],
    "a path": [(b"host", b"a/b")],
    "a line break": [(b"host", b"a\n")],
    "a length": [HOST, (b"content-length", b"5")],
    "chunks": [HOST, (b"transfer-encoding", b"chunked")],
}


@pytest.mark.parametrize("name", GOOD)
def test_an_ordinary_head_may_pass(name: str) -> None:
    assert fault_of(GOOD[name]) is None


@pytest.mark.parametrize("name", BAD)
def test_an_ambiguous_host_and_a_body_may_not(name: str) -> None:
    assert fault_of(BAD[name])
