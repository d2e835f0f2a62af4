"""What is kept of an upgrade request: a scope on demand."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.transports.test_upgrade import request
from wirework.handshake import Handshake
from wirework.transports.native.request import NativeRequest
from wirework.transports.native.upgrade import read_upgrade


class Config:
    asgi_version = "3.0"

    def __init__(self, root_path: str) -> None:
        self.root_path = root_path


class Socket:
    def get_extra_info(self, name: str) -> Any:
        return {"peername": ("127.0.0.1", 5000), "sockname": ("127.0.0.1", 80)}.get(name)


def handshake(
    root_path: str = "", state: dict[str, Any] | None = None, **options: Any
) -> Handshake:
    head = request(
        "Origin: http://a",
        "Cookie: a=1",
        "Sec-WebSocket-Protocol: v2, v1",
        start="GET /a%20b?x=1 HTTP/1.1",
        **options,
    )
    config, state = Config(root_path), {"pool": 1} if state is None else state
    kept = NativeRequest(head, read_upgrade(head), config, state, Socket())
    kept.compact()
    return Handshake(kept)


@pytest.mark.parametrize("root_path", ["", "/api"], ids=["without root", "with root"])
@pytest.mark.parametrize("is_asked_first", [True, False], ids=["asked", "not asked"])
def test_a_handshake_tells_the_same_with_its_scope_and_without(
    root_path: str, is_asked_first: bool
) -> None:
    found = handshake(root_path)
    if is_asked_first:
        assert found.scope["path"] == f"{root_path}/a b"
    assert found.path == "/a b"
    assert found.query["x"] == "1"
    assert found.query_string == "x=1"
    assert found.values("origin") == ["http://a"]
    assert found.values("x-none") == []
    assert found.header("Origin") == "http://a"
    assert found.cookies == {"a": "1"}
    assert found.client == ("127.0.0.1", 5000)
    assert found.scheme == "ws"
    assert found.subprotocols == ("v2", "v1")
    assert found.state == {"pool": 1}
    assert str(found.url) == f"ws://testserver{root_path}/a b?x=1"


def test_the_scope_is_one_dictionary_that_has_what_was_set_before() -> None:
    found = handshake()
    session: Any = {"user": 7}
    assert not found.has_session
    found.path_params = {"id": 1}
    found.session = session
    found.lend_state({"pool": 2, "more": 3})
    assert found.state == {"pool": 1, "more": 3}
    scope = found.scope
    assert scope is found.scope
    assert type(scope) is dict
    assert scope["path_params"] is found.path_params
    assert scope["session"] is session
    assert scope["state"] == {"pool": 1, "more": 3}
    found.path_params = {"id": 2}
    assert scope["path_params"] == {"id": 2}
    assert found.has_session
    assert found.session is session
