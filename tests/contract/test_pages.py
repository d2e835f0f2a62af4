"""HTTP beside the sockets, and one lifespan for both."""

from __future__ import annotations

from .differences import expected
from .harness import Server, cookie_of, seen


async def test_http_is_served_on_the_same_port_with_the_same_session(server: Server) -> None:
    response = await server.request("POST", "/login", data={"name": "Ada"})
    assert response.json() == {"name": "Ada"}
    response = await server.request("GET", "/whoami", headers=cookie_of(response.headers))
    assert response.json() == {"name": "Ada"}
    assert (await server.request("GET", "/nowhere")).status_code == 404


async def test_a_socket_path_asked_for_over_http_is_not_found(server: Server) -> None:
    assert (await server.request("GET", "/echo")).status_code == 404


async def test_the_lifespan_began_once(server: Server) -> None:
    for _ in range(2):
        async with server.connect("/echo"):
            pass
    assert await seen(server, "lifespan", 0) == expected(server, "lifespan", [["startup"]])
