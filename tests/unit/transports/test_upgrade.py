"""The request that asks for a WebSocket, as bytes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wirework.transports.native.upgrade import BadUpgrade, accept_key, read_upgrade

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
LINES = {
    "Host": "testserver",
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}


def request(*more: str, start: str = "GET / HTTP/1.1", **changes: Any) -> bytes:
    """Return a request; `changes` replace header values (underscores for hyphens), None drops."""
    replaced = {name.replace("_", "-"): value for name, value in changes.items()}
    lines = {**LINES, **replaced}
    kept = [f"{name}: {value}" for name, value in lines.items() if value is not None]
    return "\r\n".join((start, *kept, *more, "", "")).encode("latin-1")


def refusal(data: bytes) -> BadUpgrade:
    with pytest.raises(BadUpgrade) as caught:
        read_upgrade(data)
    return caught.value


def test_the_answer_to_a_key_is_that_of_the_rfc() -> None:
    assert accept_key(KEY.encode()) == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_a_request_is_taken_apart_and_its_headers_keep_their_order() -> None:
    found = read_upgrade(
        request(
            "X-B:  two\t",
            "X-A: one",
            "x-b:",
            "Sec-WebSocket-Protocol: v2, v1",
            "Sec-WebSocket-Protocol: v1,v0",
            "Sec-WebSocket-Extensions: a; b=1",
            "Sec-WebSocket-Extensions: c",
            start="GET /a%20b?x=1?y HTTP/1.1",
        )
    )
    assert (found.raw_path, found.query_string) == (b"/a%20b", b"x=1?y")
    assert found.headers[0] == (b"host", b"testserver")
    assert found.headers[5:8] == [(b"x-b", b"two"), (b"x-a", b"one"), (b"x-b", b"")]
    assert found.subprotocols == ["v2", "v1", "v0"]
    assert found.extensions == b"a; b=1, c"
    assert found.key == KEY.encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"Connection": "keep-alive, Upgrade"},
        {"Connection": "keep-alive,,UPGRADE ,"},
        {"Upgrade": "WebSocket"},
        {"Upgrade": "h2c, websocket"},
        {"Host": "[::1]:8000"},
        {"Host": "xn--bcher-kva.example:80"},
    ],
)
def test_every_spelling_that_the_rfc_allows_is_right(changes: dict[str, Any]) -> None:
    assert read_upgrade(request(**changes)).raw_path == b"/"


@pytest.mark.parametrize(
    "changes",
    [
        {"Host": None},
        {"Host": ""},
        {"Host": "user@host"},
        {"Host": "a, b"},
        {"Host": "a/b"},
        {"Connection": None},
        {"Connection": "keep-alive"},
        {"Upgrade": "websockets"},
        {"Upgrade": None},
        {"Sec_WebSocket_Key": None},
        {"Sec_WebSocket_Key": ""},
        {"Sec_WebSocket_Key": "dGhlIHNhbXBsZQ=="},
        {"Sec_WebSocket_Key": KEY[:-2] + " ="},
        {"Sec_WebSocket_Protocol": "a b"},
        {"Sec_WebSocket_Protocol": "é"},
        {"Content_Length": "5"},
        {"Transfer_Encoding": "chunked"},
        {"X-A": "a\x00"},
        {"X-A": "a\x7f"},
        {"X A": "a"},
        {"": "a"},
    ],
)
def test_what_is_wrong_is_refused_with_400(changes: dict[str, Any]) -> None:
    assert refusal(request(**changes)).status == 400


@pytest.mark.parametrize(
    "line",
    ["GET / HTTP/1.0", "GET /", "GET  / HTTP/1.1", "GET x HTTP/1.1", "GET /\xe9 HTTP/1.1", ""],
)
def test_a_request_line_that_is_not_right_is_refused(line: str) -> None:
    assert refusal(request(start=line)).status == 400


def test_another_method_and_another_version_are_told_what_is_right() -> None:
    method = refusal(request(start="POST / HTTP/1.1"))
    assert (method.status, method.headers) == (405, (("allow", "GET"),))
    for version in ("8", "", "13, 13", None):
        found = refusal(request(Sec_WebSocket_Version=version))
        assert (found.status, found.headers) == (426, (("sec-websocket-version", "13"),))


@given(st.binary(max_size=300))
def test_no_bytes_do_worse_than_a_refusal(data: bytes) -> None:
    assert refusal(data).status in (400, 405, 426)
    assert refusal(request().rstrip(b"\r\n") + b"\r\nX-A: \x00" + data).status == 400
