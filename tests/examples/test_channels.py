"""The examples with channels, driven in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from examples import answers, centrifugo, cursors, dashboard, npm, react, talk
from wirework.testing import TestClient, TestWebSocket

PATH = "/connection/websocket"
ANA = {"name": "Ana"}


async def ask(ws: TestWebSocket, word: str, channel: str, **data: Any) -> Any:
    """Ask in the words of the dialect Typed, and return what the server says then."""
    await ws.send_json({"type": f"channel.{word}", "id": 1, "data": {"channel": channel, **data}})
    return await ws.receive_json()


async def subscribe(ws: TestWebSocket, channel: str, **data: Any) -> dict[str, Any]:
    answer = await ask(ws, "subscribe", channel, **data)
    assert answer["type"] == "channel.subscribed", answer
    told: dict[str, Any] = answer["data"]
    return told


async def call(ws: TestWebSocket, command: str, **data: Any) -> Any:
    """Ask as centrifuge does, and return what the server says then."""
    await ws.send_json({"id": 1, command: data})
    return await ws.receive_json()


@asynccontextmanager
async def connected(client: TestClient, token: str = "") -> AsyncIterator[TestWebSocket]:
    async with client.connect(PATH) as ws:
        assert "client" in (await call(ws, "connect", token=token))["connect"]
        yield ws


async def enter(ws: TestWebSocket, channel: str, **data: Any) -> dict[str, Any]:
    told: dict[str, Any] = (await call(ws, "subscribe", channel=channel, **data))["subscribe"]
    return told


# --- chat -----------------------------------------------------------------------------------------


@asynccontextmanager
async def talker(client: TestClient) -> AsyncIterator[TestWebSocket]:
    async with connected(client, centrifugo.new_token("Ana")) as ws:
        yield ws


async def say(ws: TestWebSocket, text: str, id: str = "1") -> Any:
    return await call(ws, "rpc", method="talk.say", data={"id": id, "text": text})


async def test_who_comes_back_to_the_talk_gets_what_was_said_meanwhile() -> None:
    async with TestClient(talk.app) as client:
        async with talker(client) as ws:
            told = await enter(ws, "talk")
        for text in ("one", "two"):
            await talk.app.publish("talk", talk.Line("Ben", text))
        async with talker(client) as ws:
            since = {"offset": told["offset"], "epoch": told["epoch"]}
            told = await enter(ws, "talk", recover=True, **since)
            assert told["recovered"]
            said = [each["data"] for each in told["publications"]]
            assert said == [{"name": "Ben", "text": "one"}, {"name": "Ben", "text": "two"}]


async def test_a_line_has_the_name_of_who_is_logged_in_and_is_said_once() -> None:
    async with TestClient(talk.app) as client, talker(client) as ws:
        await enter(ws, "talk")
        heard = await say(ws, " hello ")
        assert heard["push"]["pub"]["data"] == {"name": "Ana", "text": "hello"}
        first = await ws.receive_json()
        assert await say(ws, " hello ") == first == {"id": 1, "rpc": {"data": None}}
        assert "push" in await say(ws, " hello ", "2")


@pytest.mark.parametrize(
    ("text", "id", "code", "word"),
    [
        ("", "1", 107, "validation"),
        ("  ", "1", 400, "empty"),
        ("x" * 501, "1", 107, "validation"),
        ("hello", "", 107, "validation"),
        ("hello", "1 Ben", 107, "validation"),
    ],
    ids=["nothing", "blank", "too long", "no id", "id with a space"],
)
async def test_a_line_that_does_not_fit_is_refused(
    text: str, id: str, code: int, word: str
) -> None:
    async with TestClient(talk.app) as client, talker(client) as ws:
        error = (await say(ws, text, id))["error"]
        assert (error["code"], word in error["message"]) == (code, True)


async def test_without_login_nobody_talks() -> None:
    async with TestClient(talk.app) as client:
        assert (await client.post("/token")).status_code == 401
        async with connected(client) as ws:
            assert (await call(ws, "subscribe", channel="talk"))["error"]["code"] == 101
            assert (await say(ws, "hello"))["error"]["code"] == 103


async def test_a_token_is_for_who_is_logged_in() -> None:
    async with TestClient(talk.app) as client:
        await client.post("/login", data=ANA)
        answer = await client.post("/token")
        async with connected(client, answer.json()["token"]) as ws:
            await enter(ws, "talk")
            assert (await say(ws, "hello"))["push"]["pub"]["data"] == {**ANA, "text": "hello"}


async def test_a_forged_token_is_no_good() -> None:
    async with TestClient(talk.app) as client, client.connect(PATH) as ws:
        answer = await call(ws, "connect", token=centrifugo.new_token("Ana") + "x")
        assert answer["error"]["code"] == 101
        await ws.assert_closed(3500)


# --- token stream ---------------------------------------------------------------------------------


async def test_every_token_is_read_once_from_wherever_a_page_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def model(question: str) -> AsyncIterator[str]:
        for word in ("It", " ", "depends"):
            yield word

    monkeypatch.setattr(answers, "model", model)
    async with TestClient(answers.app) as client, client.connect("/ws") as ws:
        asked = (await client.post("/ask", data={"question": "why?"})).json()
        channel = asked["channel"]
        told = (await subscribe(ws, **asked))["publications"]
        texts = [each["data"].get("text", "") for each in told]
        assert "".join(texts) == "It depends"
        assert [each["data"].get("is_last", False) for each in told] == [False] * 3 + [True]
        await ask(ws, "unsubscribe", channel)
        rest = (await subscribe(ws, channel, since=told[1]["position"]))["publications"]
        assert rest == told[2:]


async def test_an_answer_ends_also_where_the_model_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    async def model(question: str) -> AsyncIterator[str]:
        yield "It"
        raise RuntimeError("out of order")

    monkeypatch.setattr(answers, "model", model)
    async with TestClient(answers.app):
        answer = answers.app.channel_named("answer:00000000-0000-4000-8000-000000000000")
        with pytest.raises(RuntimeError, match="out of order"):
            await answers.write(answer, "why?")
        assert [each.data.is_last for each in await answer.history()] == [False, True]


async def test_an_empty_question_is_not_asked() -> None:
    async with TestClient(answers.app) as client:
        assert (await client.post("/ask", data={"question": ""})).status_code == 422


# --- cursors --------------------------------------------------------------------------------------


async def test_a_point_reaches_the_others_and_whoever_comes_later() -> None:
    async with (
        TestClient(cursors.app) as client,
        connected(client) as ana,
        connected(client) as ben,
    ):
        await enter(ana, "cursors", data=ANA)
        for x in (0.25, 0.5):
            point = {"x": x, "y": 1}
            published = await call(ana, "publish", channel="cursors", data=point)
            assert "publish" in published  # and not the point itself
        (known,) = (await enter(ben, "cursors", data={"name": "Ben"}))["publications"]
        assert known["data"] == {"x": 0.5, "y": 1}
        assert known["info"]["chan_info"] == ANA
        joined = (await ana.receive_json())["push"]
        assert joined["join"]["info"]["chan_info"] == {"name": "Ben"}
        await ben.close()
        assert "leave" in (await ana.receive_json())["push"]


@pytest.mark.parametrize("name", ["", "x" * 21, None])
async def test_who_has_no_good_name_does_not_point(name: object) -> None:
    async with TestClient(cursors.app) as client, connected(client) as ws:
        answer = await call(ws, "subscribe", channel="cursors", data={"name": name})
        assert answer["error"]["code"] == 107


# --- tables ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Ana", "Guest"])
async def test_a_table_that_there_is_hears_what_is_said_at_it(name: str) -> None:
    async with TestClient(react.app) as client, connected(client) as ws:
        await enter(ws, "table:window")
        line = {"text": "hello"} if name == "Guest" else {"text": "hello", "name": name}
        heard = await call(ws, "publish", channel="table:window", data=line)
        assert heard["push"]["pub"]["data"] == {"text": "hello", "name": name}


async def test_a_table_that_there_is_not_is_refused() -> None:
    async with TestClient(react.app) as client, connected(client) as ws:
        assert (await call(ws, "subscribe", channel="table:roof"))["error"]["code"] == 103


# --- dashboard ------------------------------------------------------------------------------------


async def test_a_dashboard_gets_the_newest_reading_of_each_sensor() -> None:
    async with TestClient(dashboard.app) as client:
        for sensor, celsius in (("garden", 7), ("kitchen", 20), ("garden", 8)):
            report = {"sensor": sensor, "celsius": celsius}
            assert (await client.post("/report", data=report)).status_code == 204
        async with connected(client) as ws:
            told = (await enter(ws, "readings"))["publications"]
        assert [each["data"] for each in told] == [
            {"sensor": "kitchen", "celsius": 20},
            {"sensor": "garden", "celsius": 8},
        ]


@pytest.mark.parametrize(("sensor", "celsius"), [("attic", 7), ("garden", 99), ("garden", "warm")])
async def test_a_reading_that_does_not_fit_is_refused(sensor: str, celsius: object) -> None:
    async with TestClient(dashboard.app) as client:
        report = {"sensor": sensor, "celsius": celsius}
        assert (await client.post("/report", data=report)).status_code == 422
        async with connected(client) as ws:
            assert "publications" not in await enter(ws, "readings")


# --- the pages ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "example", [cursors, dashboard, react, talk], ids=lambda each: each.__name__
)
async def test_what_a_page_loads_of_npm_is_served_or_the_page_says_what_to_run(
    example: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with TestClient(example.app) as client:
        for name in example.FILES:
            assert f'src="/npm/{name}"' in (await client.get("/")).text
            assert (await client.get(f"/npm/{name}")).status_code == 200
        monkeypatch.setattr(npm, "NODE_MODULES", tmp_path)
        assert npm.REMEDY in (await client.get("/")).text
