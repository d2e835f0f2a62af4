from __future__ import annotations

import pytest

from bench.speech import CENTRIFUGO, FASTHTML, PLAIN, SOCKET_IO, TEXT, TYPED, Speech

MOVED = b'{"sum": 42, "text": "' + TEXT[:32].encode() + b'"}'


def test_the_text_is_64_bytes() -> None:
    assert len(TEXT.encode()) == 64


@pytest.mark.parametrize("speech", [PLAIN, FASTHTML, SOCKET_IO, TYPED, CENTRIFUGO])
def test_each_kind_of_peer_has_a_path_and_a_message_for_each_endpoint(speech: Speech) -> None:
    assert set(speech.paths) == set(speech.messages) == {"echo", "json", "fanout"}


@pytest.mark.parametrize("speech", [PLAIN, FASTHTML, SOCKET_IO, TYPED, CENTRIFUGO])
def test_a_reply_is_known_by_what_it_carries(speech: Speech) -> None:
    assert speech.is_reply("echo", speech.messages["echo"])
    assert speech.is_reply("json", MOVED)
    assert not speech.is_reply("echo", b"Internal Server Error")
    assert not speech.is_reply("json", b'{"error": {"code": "validation"}}')
