"""The HTTP side of an application on Granian's RSGI."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import httpx
import pytest

from tests.contract.harness import cookie_of
from tests.contract.process import HOST
from tests.contract.sockets import NO_TLS
from tests.wire.rsgi_server import RsgiServer, running

APPLICATION = "tests.wire.rsgi_application:app"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RsgiServer]:
    with running(APPLICATION, tmp_path_factory.mktemp("rsgi") / "log") as server:
        yield server


@pytest.fixture
def id() -> str:
    return uuid4().hex


@pytest.fixture
async def client(server: RsgiServer) -> AsyncIterator[httpx.AsyncClient]:
    url = f"http://{server.authority}"
    async with httpx.AsyncClient(
        base_url=url, trust_env=False, timeout=10, verify=NO_TLS
    ) as client:
        yield client


async def test_the_session_that_a_page_writes_is_read_by_the_next(server: RsgiServer) -> None:
    response = await server.request("POST", "/login", json={"name": "Ada"})
    assert response.json() == {"name": "Ada"}
    response = await server.request("GET", "/whoami", headers=cookie_of(response.headers))
    assert response.json() == {"name": "Ada"}


async def test_a_form_is_read(server: RsgiServer) -> None:
    response = await server.request("POST", "/login", data={"name": "Ada"})
    assert response.json() == {"name": "Ada"}


async def test_a_body_that_does_not_fit_is_answered_with_422(server: RsgiServer) -> None:
    assert (await server.request("POST", "/login", json={"name": 1})).status_code == 422


async def test_an_unknown_path_is_404(server: RsgiServer) -> None:
    assert (await server.request("GET", "/unknown")).status_code == 404


async def test_the_scope_is_that_of_asgi(server: RsgiServer) -> None:
    headers = [("x-tag", "a"), ("x-tag", "b")]
    response = await server.request("GET", "/raw/about/a%20b?q=1", headers=headers)
    seen = response.json()
    assert seen.pop("client")[0] == HOST
    assert seen == {
        "url": f"http://{server.authority}/raw/about/a b?q=1",
        "http_version": "1.1",
        "tags": ["a", "b"],
        "state": {"greeting": "hello"},
    }


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
async def test_an_upload_with_a_known_length_arrives(server: RsgiServer, size: int) -> None:
    response = await server.request("POST", "/raw/sizes", content=bytes(size))
    assert response.text == str(size)


async def test_an_upload_of_unknown_length_arrives(server: RsgiServer) -> None:
    async def produce() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield bytes(1000)
            await asyncio.sleep(0)

    response = await server.request("POST", "/raw/sizes", content=produce())
    assert response.text == "50000"


@pytest.mark.parametrize(
    ("header", "begun"),
    [("Content-Length: 100", b"abc"), ("Transfer-Encoding: chunked", b"3\r\nabc\r\n")],
)
async def test_an_upload_that_is_interrupted_is_not_taken_for_a_whole_one(
    server: RsgiServer, id: str, header: str, begun: bytes
) -> None:
    _, writer = await asyncio.open_connection(HOST, server.port)
    lines = (f"POST /raw/sizes?id={id} HTTP/1.1", f"Host: {server.authority}", header)
    writer.write("\r\n".join((*lines, "", "")).encode() + begun)
    await writer.drain()
    writer.close()
    ((kind, size),) = await server.notes(id, 1)
    assert kind == "interrupted"
    assert size <= 3


async def test_a_response_in_pieces_arrives_piece_by_piece(
    server: RsgiServer, client: httpx.AsyncClient, id: str
) -> None:
    async with client.stream("GET", f"/raw/pieces?id={id}&count=5") as response:
        assert response.headers["x-kind"] == "stream"
        pieces = response.aiter_bytes()
        assert await anext(pieces) == b"0,"
        await server.request("POST", f"/open/{id}")
        assert b"".join([piece async for piece in pieces]) == b"1,2,3,4,"
    assert await server.notes(id, 1) == [["ended"]]


async def test_a_client_that_leaves_ends_the_response_in_pieces(
    server: RsgiServer, client: httpx.AsyncClient, id: str
) -> None:
    async with client.stream("GET", f"/raw/pieces?id={id}&count=1000000000") as response:
        assert await anext(response.aiter_bytes()) == b"0,"
        await server.request("POST", f"/open/{id}")
    assert await server.notes(id, 1) == [["ended"]]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_handler_that_waits_learns_that_the_client_has_gone(
    server: RsgiServer, id: str, method: str
) -> None:
    _, writer = await asyncio.open_connection(HOST, server.port)
    lines = (f"{method} /raw/poll?id={id} HTTP/1.1", f"Host: {server.authority}")
    writer.write("\r\n".join((*lines, "Content-Length: 2", "", "")).encode() + b"{}")
    await writer.drain()
    writer.close()
    assert await server.notes(id, 1) == [["gone"]]


async def test_head_is_answered_with_the_headers_of_get(server: RsgiServer, id: str) -> None:
    got = await server.request("GET", "/raw/file")
    head = await server.request("HEAD", "/raw/file")
    assert head.headers["content-length"] == got.headers["content-length"] == str(len(got.content))
    assert head.content == b""
    assert (await server.request("HEAD", f"/raw/pieces?id={id}&count=1")).content == b""


async def test_a_file_arrives_whole(server: RsgiServer) -> None:
    response = await server.request("GET", "/raw/file")
    assert response.text.startswith('"""What the RSGI tests serve')
    assert response.headers["etag"]


async def test_repeated_headers_and_text_beyond_ascii_arrive(server: RsgiServer) -> None:
    response = await server.request("GET", "/raw/cookies")
    assert len(response.headers.get_list("set-cookie")) == 2
    raw = dict(response.headers.raw)
    assert raw[b"x-name"].decode() == "caf\u00e9"


async def test_a_wrong_content_length_does_not_break_the_next_response(
    client: httpx.AsyncClient,
) -> None:
    for _ in range(3):
        assert (await client.get("/raw/wrong-length")).content == b"abcdef"


async def test_no_content_has_no_body(server: RsgiServer) -> None:
    assert (await server.request("GET", "/raw/status?code=204")).status_code == 204


@pytest.mark.parametrize("code", [0, 99, 101, 600, 1000, 70000])
async def test_a_status_that_is_none_is_answered_with_500_and_harms_nobody(
    server: RsgiServer, code: int
) -> None:
    pid = await server.pid()
    assert (await server.request("GET", f"/raw/status?code={code}")).status_code == 500
    assert await server.pid() == pid


async def test_a_header_that_cannot_be_sent_is_answered_with_500(server: RsgiServer) -> None:
    response = await server.request("GET", "/raw/smuggle")
    assert response.status_code == 500
    assert "set-cookie" not in response.headers


async def test_an_error_is_answered_with_500_and_logged(server: RsgiServer) -> None:
    response = await server.request("GET", "/raw/explode")
    assert response.status_code == 500
    assert "secret" not in response.text
    assert await server.pid()
    assert "a secret of HTTP" in server.output
