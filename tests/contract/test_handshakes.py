"""Handshakes: what the client tells, and what the answer carries."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from .differences import expected
from .handlers import FRIEND
from .harness import Server, cookie_of, refused, seen


async def test_the_handler_learns_everything_about_the_request(server: Server) -> None:
    headers = [("X-Tag", "one"), ("x-tag", "two")]
    path = "/about/42/J%C3%BCrgen%20M?q=a&q=b%20c&other="
    async with server.connect(path, headers=headers) as peer:
        about = json.loads(await peer.receive())
    url = httpx.URL(about.pop("url"))
    assert (url.scheme, url.path, url.params.get_list("q")) == (
        "ws",
        "/about/42/Jürgen M",
        ["a", "b c"],
    )
    assert about == {
        "number": 42,
        "name": "Jürgen M",
        "query": ["a", "b c"],
        "tags": expected(server, "repeated request headers", ["one", "two"]),
        "tag": expected(server, "repeated request headers", ["one"])[0],
        "client": "127.0.0.1",
        "greeting": expected(server, "state of the lifespan", "hello"),
    }


async def test_the_agreed_subprotocol_is_in_the_answer(server: Server) -> None:
    async with server.connect("/subprotocol", subprotocols=["chat.v1", "chat.v2"]) as peer:
        agreed = expected(server, "subprotocol", "chat.v2")
        assert json.loads(await peer.receive()) == [agreed, ["chat.v1", "chat.v2"]]
        assert peer.subprotocol == agreed


async def test_without_a_choice_there_is_no_subprotocol(server: Server) -> None:
    async with server.connect("/subprotocol", subprotocols=["chat.v1"]) as peer:
        assert json.loads(await peer.receive()) == [None, ["chat.v1"]]
        assert peer.subprotocol is None
    async with server.connect("/subprotocol") as peer:
        assert json.loads(await peer.receive()) == [None, []]


async def test_headers_given_to_accept_are_in_the_answer(server: Server) -> None:
    async with server.connect("/subprotocol") as peer:
        one, many = peer.headers.get_list("x-one"), peer.headers.get_list("x-many")
    assert one == expected(server, "headers on accept", ["1"])
    assert many == (["a", "b"] if one else [])


async def test_a_session_written_before_accept_travels_in_the_answer(server: Server) -> None:
    async with server.connect("/visit") as peer:
        assert json.loads(await peer.receive()) == {"visits": 1}
        if not expected(server, "headers on accept", True):
            assert "set-cookie" not in peer.headers
            return
        cookie = cookie_of(peer.headers)
    async with server.connect("/visit", headers=[*cookie.items()]) as peer:
        assert json.loads(await peer.receive()) == {"visits": 2}
    response = await server.request("GET", "/whoami", headers=cookie)
    assert response.json() == {"visits": 1}


async def test_a_session_written_over_http_is_read_by_the_socket(server: Server) -> None:
    response = await server.request("POST", "/login", data={"name": "Ada"})
    cookie = cookie_of(response.headers)
    async with server.connect("/visit", headers=[*cookie.items()]) as peer:
        assert json.loads(await peer.receive()) == {"name": "Ada", "visits": 1}


@pytest.mark.parametrize("where", ["handler", "conn"])
async def test_a_refusal_carries_status_headers_and_body(
    server: Server, where: str, id: str
) -> None:
    refusal = await refused(server, f"/refuse/{where}?id={id}")
    assert refusal.status == expected(server, "denial response", 418)
    if refusal.status == 418:
        assert refusal.body == expected(server, "body of a refusal", b"short and stout")
        pot, many = refusal.headers.get_list("x-pot"), refusal.headers.get_list("x-many")
        assert pot == expected(server, "headers of a refusal", ["tea"])
        repeated = expected(server, "repeated headers of a refusal", ["a", "b"])
        assert many == (repeated if pot else [])
    assert await seen(server, id, 0) == []


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/nowhere", 404),
        ("/about/one/x", 404),
        ("/gated", 403),
        ("/refuse/close", 401),
        ("/refuse/never", 500),
        ("/refuse/raise", 500),
        ("/refuse/fail?id=nobody", 500),
    ],
)
async def test_what_is_not_accepted_is_refused_and_the_next_handshake_works(
    server: Server, path: str, status: int
) -> None:
    for _ in range(3):
        refusal = await refused(server, path)
        assert refusal.status == expected(server, "denial response", status)
        assert b"secret" not in refusal.body
    async with server.connect("/echo") as peer:
        await peer.send("still there")
        assert await peer.receive() == "still there"


async def test_a_refusal_carries_the_session(server: Server) -> None:
    refusal = await refused(server, "/refuse/session")
    assert refusal.status == 403
    if not expected(server, "headers of a refusal", True):
        assert "set-cookie" not in refusal.headers
        return
    response = await server.request("GET", "/whoami", headers=cookie_of(refusal.headers))
    assert response.json() == {"refused": True}


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://friend.example.evil"])
async def test_a_foreign_page_is_refused(server: Server, origin: str) -> None:
    assert (await refused(server, "/friends", [("origin", origin)])).status == 403


@pytest.mark.parametrize("origin", [FRIEND, None])
async def test_a_listed_page_and_a_client_without_a_page_may_connect(
    server: Server, origin: str | None
) -> None:
    headers = [("origin", origin)] if origin else []
    async with server.connect("/friends", headers=headers) as peer:
        assert await peer.receive() == "welcome"


async def test_a_handshake_that_is_not_answered_in_time_is_refused(server: Server, id: str) -> None:
    refusal = await refused(server, f"/hasty?id={id}")
    assert refusal.status == expected(server, "denial response", 503)
    assert await seen(server, id, 1) == [["ended"]]


async def test_a_client_that_leaves_during_conn_was_never_connected(
    server: Server, id: str
) -> None:
    knock = await server.knock(f"/hooks/slow-connect?id={id}")
    assert await seen(server, id, 1) == [["connect began"]]
    await knock.abort()
    await server.request("POST", f"/open/{id}")
    hooks: list[Any] = expected(server, "hooks of a client that leaves before the answer", [])
    entries = await seen(server, id, 2 + len(hooks))
    assert entries == [["connect began"], ["connect ended"], *hooks]
    async with server.connect("/echo") as peer:
        await peer.send("still there")
        assert await peer.receive() == "still there"
