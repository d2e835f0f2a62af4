from __future__ import annotations

import pytest

from bench.wire import CLOSE, client_frame, read_frame, upgrade_request


def unmasked(frame: bytes, start: int) -> bytes:
    key, body = frame[start : start + 4], frame[start + 4 :]
    return bytes(byte ^ key[i % 4] for i, byte in enumerate(body))


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0, b"\x81\x80"),
        (125, b"\x81\xfd"),
        (126, b"\x81\xfe\x00\x7e"),
        (65535, b"\x81\xfe\xff\xff"),
        (65536, b"\x81\xff\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_a_client_frame_is_masked_and_has_the_shortest_length(size: int, head: bytes) -> None:
    payload = bytes(i % 256 for i in range(size))
    frame = client_frame(payload)
    assert frame.startswith(head)
    assert unmasked(frame, len(head)) == payload


def test_the_close_frame_says_1000() -> None:
    assert CLOSE[0] == 0x88
    assert unmasked(CLOSE, 2) == b"\x03\xe8"


@pytest.mark.parametrize("size", [0, 125, 126, 65536])
def test_a_server_frame_is_read_once_it_is_whole(size: int) -> None:
    length = (
        bytes((size,))
        if size < 126
        else b"\x7e" + size.to_bytes(2, "big")
        if size < 65536
        else b"\x7f" + size.to_bytes(8, "big")
    )
    data = b"\x82" + length + b"x" * size
    assert all(read_frame(data[:cut]) is None for cut in (0, 1, len(data) - 1))
    assert read_frame(data + b"more") == (2, b"x" * size, len(data))


def test_a_masked_frame_is_not_a_servers() -> None:
    with pytest.raises(ValueError, match="expected a server's frame"):
        read_frame(client_frame(b"hello"))


def test_the_handshake_offers_no_extension() -> None:
    request = upgrade_request(8000, "/echo?a=1").decode()
    assert request.startswith("GET /echo?a=1 HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n")
    assert request.endswith("\r\n\r\n")
    assert "Extensions" not in request
