"""Frames and answers, as bytes."""

from __future__ import annotations

import pytest

from wirework.transports.native.frames import (
    SHORT_TEXT,
    close_frame,
    control_frame,
    frame_header,
    response,
    switching,
)


@pytest.mark.parametrize(
    ("size", "header"),
    [
        (0, "8100"),
        (125, "817d"),
        (126, "817e007e"),
        (65535, "817effff"),
        (65536, "817f0000000000010000"),
    ],
)
def test_a_length_takes_as_few_bytes_as_it_can(size: int, header: str) -> None:
    assert frame_header(1, size).hex() == header


def test_the_headers_of_short_frames_are_made_beforehand() -> None:
    assert list(SHORT_TEXT) == [frame_header(1, size) for size in range(126)]


def test_control_frames_carry_what_they_are_given() -> None:
    assert control_frame(9, b"hello") == b"\x89\x05hello"
    assert close_frame(1000, "é") == b"\x88\x04\x03\xe8\xc3\xa9"
    assert close_frame(None) == b"\x88\x00"


def test_an_acceptance_ends_with_an_empty_line() -> None:
    assert switching(b"KEY", "chat", [("x-a", "é")]) == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: KEY\r\nSec-WebSocket-Protocol: chat\r\nx-a: \xe9\r\n\r\n"
    )


def test_a_refusal_has_its_own_length_and_closes_whatever_the_headers_say() -> None:
    given = [("Content-Length", "99"), ("Connection", "keep-alive"), ("Date", "now"), ("x-a", "b")]
    lines = response(418, given, b"tea").split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 418 I'm a Teapot"
    assert sorted(lines[1:-2]) == [
        b"Date: now",
        b"connection: close",
        b"content-length: 3",
        b"content-type: text/plain; charset=utf-8",
        b"x-a: b",
    ]
    assert lines[-2:] == [b"", b"tea"]
    assert response(599, [], b"").startswith(b"HTTP/1.1 599 \r\n")


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb", "a\rb", "a\x00b"])
def test_a_header_that_would_become_two_is_an_error(value: str) -> None:
    words = "expected a value without line breaks"
    for headers in ([("x-a", value)], [(value, "a")]):
        with pytest.raises(ValueError, match=words):
            switching(b"KEY", None, headers)
        with pytest.raises(ValueError, match=words):
            response(200, headers, b"")
    with pytest.raises(ValueError, match=words):
        switching(b"KEY", value, [])
