"""A session in a store: pages and sockets write it, on every transport."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from .differences import close_code, expected
from .harness import Server, closed, cookie_of, refused


async def logged_in(server: Server, cookie: Mapping[str, str] | None = None) -> Mapping[str, str]:
    """Return the cookie that a login has set."""
    data = {"name": "Ada"}
    response = await server.request("POST", "/kept/login", data=data, headers=dict(cookie or {}))
    return cookie_of(response.headers)


async def seen_by_page(server: Server, cookie: Mapping[str, str]) -> Any:
    """Return the session that a page reads."""
    return (await server.request("GET", "/kept/whoami", headers=dict(cookie))).json()


@pytest.mark.parametrize(("path", "key"), [("/kept/put", "said"), ("/kept/loop", "last")])
async def test_a_page_sees_what_a_socket_writes_after_the_answer(
    server: Server, path: str, key: str
) -> None:
    cookie = await logged_in(server)
    async with server.connect(path, headers=[*cookie.items()]) as peer:
        for text in ("one", "two"):
            await peer.send(text)
            assert await peer.receive() == text
            assert await seen_by_page(server, cookie) == {"name": "Ada", key: text}


async def test_two_sockets_of_one_session_write_beside_each_other(server: Server) -> None:
    cookie = await logged_in(server)
    headers = [*cookie.items()]
    async with (
        server.connect("/kept/put", headers=headers) as one,
        server.connect("/kept/loop", headers=headers) as two,
    ):
        for peer, text in ((one, "a"), (two, "b")):
            await peer.send(text)
            assert await peer.receive() == text
    assert await seen_by_page(server, cookie) == {"name": "Ada", "said": "a", "last": "b"}


async def test_a_session_that_begins_before_the_answer_goes_on_after_it(server: Server) -> None:
    async with server.connect("/kept/visit") as peer:
        await peer.send("hello")
        assert await peer.receive() == "hello"
        if not expected(server, "headers on accept", True):
            assert "set-cookie" not in peer.headers
            return
        cookie = cookie_of(peer.headers)
    assert await seen_by_page(server, cookie) == {"visits": 1, "said": "hello"}


async def test_a_login_leaves_the_old_id_without_a_session(server: Server) -> None:
    old = await logged_in(server)
    new = await logged_in(server, old)
    assert new != old
    assert await seen_by_page(server, old) == {}
    assert await seen_by_page(server, new) == {"name": "Ada"}


async def test_a_logout_ends_the_sockets_of_the_session(server: Server) -> None:
    cookie = await logged_in(server)
    async with server.connect("/kept/put", headers=[*cookie.items()]) as peer:
        response = await server.request("POST", "/kept/logout", headers=dict(cookie))
        assert response.json() == 1
        assert (await closed(peer)).code == close_code(server, 4401)
    assert await seen_by_page(server, cookie) == {}
    assert (await refused(server, "/kept/guarded", [*cookie.items()])).status == expected(
        server, "denial response", 401
    )


async def test_a_recheck_ends_a_connection_whose_session_was_deleted(server: Server) -> None:
    cookie = await logged_in(server)
    async with server.connect("/kept/guarded", headers=[*cookie.items()]) as peer:
        await peer.send("hello")
        assert await peer.receive() == "hello, Ada"
        await server.request("POST", "/kept/forget", headers=dict(cookie))
        assert (await closed(peer)).code == close_code(server, 4401)


async def test_a_handler_that_writes_to_an_ended_session_ends_with_the_reason(
    server: Server,
) -> None:
    cookie = await logged_in(server)
    async with server.connect("/kept/loop", headers=[*cookie.items()]) as peer:
        await server.request("POST", "/kept/forget", headers=dict(cookie))
        await peer.send("too late")
        end = await closed(peer)
        assert end.code == close_code(server, 1008)
        assert end.reason == expected(
            server, "reason of the server's close", "The session has ended."
        )
    assert await seen_by_page(server, cookie) == {}
