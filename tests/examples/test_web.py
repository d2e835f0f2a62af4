"""The examples with htmx and FastAPI, driven in this process."""

from __future__ import annotations

import json

import pytest

from examples import demo, fastapi_beside, htmx_chat, htmx_hello, htmx_votes
from wirework.testing import HandshakeRefused, TestClient

HEADERS_2 = {"HEADERS": {"HX-Request": "true"}}
HEADERS_4 = {"headers": {"HX-Request": "true"}}


@pytest.mark.parametrize("headers", [HEADERS_2, HEADERS_4])
async def test_hello_answers_twice_and_escapes_the_name(headers: dict[str, object]) -> None:
    async with TestClient(htmx_hello.app) as client, client.connect("/ws") as ws:
        await ws.send_json({"msg": "<b>you</b>", **headers})
        for word in ("Hello", "Goodbye"):
            html = await ws.receive_text()
            assert f"{word} &lt;b&gt;you&lt;/b&gt;</div>" in html
            assert 'id="notifications"' in html
            assert 'hx-swap-oob="true"' in html


async def test_whoever_logs_in_has_a_name_in_the_chat() -> None:
    async with TestClient(htmx_chat.app) as client:
        assert 'id="login"' in (await client.get("/")).text
        assert (await client.post("/login", data={"name": " Ana "})).status_code == 303
        assert 'id="chat"' in (await client.get("/")).text
        async with client.connect("/ws") as ws:
            assert 'id="messages"' in await ws.receive_text()
            await ws.send_json({"text": "hello", **HEADERS_2})
            assert "<li><b>Ana</b><span>hello</span></li>" in await ws.receive_text()
        await client.post("/logout")
        assert 'id="login"' in (await client.get("/")).text


async def test_a_blank_name_does_not_log_in() -> None:
    async with TestClient(htmx_chat.app) as client:
        await client.post("/login", data={"name": "  "})
        assert 'id="login"' in (await client.get("/")).text


async def test_without_login_the_socket_is_refused() -> None:
    async with TestClient(htmx_chat.app) as client:
        with pytest.raises(HandshakeRefused, match="401"):
            async with client.connect("/ws"):
                pass


async def test_each_member_hears_in_the_words_of_its_own_version() -> None:
    async with (
        TestClient(htmx_chat.app) as client,
        client.connect("/ws", session={"name": "Ben"}) as four,
        client.connect("/ws", session={"name": "Ana"}) as two,
    ):
        await two.receive_text()
        await four.receive_text()
        await four.send_json({"text": "hello", **HEADERS_4})
        said = json.loads(await four.receive_text())
        assert said["target"] == "#messages"
        assert said["swap"].startswith("beforeend")
        assert said["content"] == "<li><b>Ben</b><span>hello</span></li>"
        assert 'hx-swap-oob="beforeend:#messages"' in await two.receive_text()


async def test_markup_in_a_message_and_in_a_name_is_escaped() -> None:
    session = {"name": "<i>Eve</i>"}
    async with TestClient(htmx_chat.app) as client, client.connect("/ws", session=session) as ws:
        await ws.receive_text()
        await ws.send_json({"text": "<script>alert(1)</script>", **HEADERS_2})
        html = await ws.receive_text()
    assert "&lt;i&gt;Eve&lt;/i&gt;" in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<script" not in html


async def test_fastapi_writes_the_session_that_the_socket_reads() -> None:
    async with TestClient(fastapi_beside.app) as client:
        async with client.connect("/ws") as ws:
            assert await ws.receive_text() == "hello stranger"
        await client.post("/name", data={"name": "Ana"})
        async with client.connect("/ws") as ws:
            assert await ws.receive_text() == "hello Ana"
            answer = await client.post("/announce", json={"text": "lunch"})
            assert answer.json() == {"listeners": 1}
            assert await ws.receive_text() == "announced: lunch"
    assert not fastapi_beside.listeners


async def test_fastapis_docs_name_no_other_host() -> None:
    async with TestClient(demo.app) as client:
        for page in ("docs", "redoc"):
            answer = await client.get(f"/fastapi/{page}")
            assert answer.status_code == 200
            assert "https://" not in answer.text
        assert "/announce" in (await client.get("/fastapi/openapi.json")).json()["paths"]


async def test_examples_in_the_demo_share_one_session() -> None:
    async with TestClient(demo.app) as client:
        await client.post("/fastapi/name", data={"name": "Ana"})
        assert 'id="chat"' in (await client.get("/chat/")).text


async def test_votes_go_to_every_page_of_either_version() -> None:
    async with (
        TestClient(htmx_votes.app) as client,
        client.connect("/votes") as two,
        client.connect("/votes") as four,
        client.connect("/votes") as silent,
    ):
        pages = (two, four, silent)
        for ws in pages:
            assert "tea: 0" in await ws.receive_text()
        await two.send_json({"choice": "tea", **HEADERS_2})
        assert ["tea: 1" in await ws.receive_text() for ws in pages] == [True] * 3
        await four.send_json({"choice": "tea", **HEADERS_4})
        assert ["tea: 2" in await ws.receive_text() for ws in pages] == [True] * 3
        assert (await client.post("/reset")).status_code == 204
        assert ["tea: 0" in await ws.receive_text() for ws in pages] == [True] * 3
    assert not htmx_votes.voters


async def test_visitors_are_counted_without_any_message() -> None:
    async with TestClient(htmx_votes.app) as client, client.connect("/visitors") as first:
        assert "<b>1</b> here now" in await first.receive_text()
        async with client.connect("/visitors") as second:
            assert "<b>2</b> here now" in await first.receive_text()
            assert "<b>2</b> here now" in await second.receive_text()
        assert "<b>1</b> here now" in await first.receive_text()
    assert not htmx_votes.visitors
