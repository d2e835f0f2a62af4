"""The examples with channels, driven in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from examples import answers, cursors, dashboard, talk
from wirework.testing import TestClient, TestWebSocket

ANA = {"name": "Ana"}


async def ask(ws: TestWebSocket, word: str, channel: str, **data: Any) -> Any:
    """Ask, and return what the server says then."""
    await ws.send_json({"type": f"channel.{word}", "id": 1, "data": {"channel": channel, **data}})
    return await ws.receive_json()


async def subscribe(ws: TestWebSocket, channel: str, **data: Any) -> dict[str, Any]:
    answer = await ask(ws, "subscribe", channel, **data)
    assert answer["type"] == "channel.subscribed", answer
    told: dict[str, Any] = answer["data"]
    return told


# --- chat -----------------------------------------------------------------------------------------


async def test_who_comes_back_to_the_talk_gets_what_was_said_meanwhile() -> None:
    async with TestClient(talk.app) as client:
        async with client.connect("/ws", session=ANA) as ws:
            position = (await subscribe(ws, "talk"))["position"]
        for text in ("one", "two"):
            await talk.app.publish("talk", talk.Line("Ben", text))
        async with client.connect("/ws", session=ANA) as ws:
            told = await subscribe(ws, "talk", since=position)
            assert told["recovered"]
            said = [each["data"] for each in told["publications"]]
            assert said == [{"name": "Ben", "text": "one"}, {"name": "Ben", "text": "two"}]


async def test_a_line_has_the_name_of_who_is_logged_in_and_is_said_once() -> None:
    async with TestClient(talk.app) as client, client.connect("/ws", session=ANA) as ws:
        await subscribe(ws, "talk")
        line = {"name": "Eve", "text": " hello "}
        heard = await ask(ws, "publish", "talk", data=line, idempotency_key="1")
        assert heard["data"]["data"] == {"name": "Ana", "text": "hello"}
        first = await ws.receive_json()
        assert await ask(ws, "publish", "talk", data=line, idempotency_key="1") == first


@pytest.mark.parametrize(
    ("text", "code"), [("", "validation"), ("  ", "empty"), ("x" * 501, "validation")]
)
async def test_a_line_that_does_not_fit_is_refused(text: str, code: str) -> None:
    async with TestClient(talk.app) as client, client.connect("/ws", session=ANA) as ws:
        await subscribe(ws, "talk")
        answer = await ask(ws, "publish", "talk", data={"text": text})
        assert (answer["type"], answer["code"]) == ("error", code)


async def test_without_login_nobody_talks() -> None:
    async with TestClient(talk.app) as client, client.connect("/ws") as ws:
        assert (await ws.receive_json())["code"] == "not_authenticated"
        await ws.assert_closed(4401)


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
        client.connect("/ws") as ana,
        client.connect("/ws") as ben,
    ):
        you = (await subscribe(ana, "cursors", data=ANA))["data"]["you"]
        for x in (0.25, 0.5):
            point = {"x": x, "y": 1}
            published = await ask(ana, "publish", "cursors", data=point)
            assert published["type"] == "channel.published"  # and not the point itself
        (known,) = (await subscribe(ben, "cursors", data={"name": "Ben"}))["publications"]
        assert known["data"] == {"x": 0.5, "y": 1}
        assert known["by"] == {"connection": you, "info": ANA}
        joined = await ana.receive_json()
        assert (joined["type"], joined["data"]["member"]["info"]) == (
            "channel.joined",
            {"name": "Ben"},
        )
        await ben.close()
        assert (await ana.receive_json())["type"] == "channel.left"


@pytest.mark.parametrize("name", ["", "x" * 21, None])
async def test_who_has_no_good_name_does_not_point(name: object) -> None:
    async with TestClient(cursors.app) as client, client.connect("/ws") as ws:
        answer = await ask(ws, "subscribe", "cursors", data={"name": name})
        assert (answer["type"], answer["code"]) == ("error", "validation")


# --- dashboard ------------------------------------------------------------------------------------


async def test_a_dashboard_gets_the_newest_reading_of_each_sensor() -> None:
    async with TestClient(dashboard.app) as client:
        for sensor, celsius in (("garden", 7), ("kitchen", 20), ("garden", 8)):
            report = {"sensor": sensor, "celsius": celsius}
            assert (await client.post("/report", data=report)).status_code == 204
        async with client.connect("/ws") as ws:
            assert "20.0 °C" in await ws.receive_text()
            assert "8.0 °C" in await ws.receive_text()
            await ws.assert_silent()


@pytest.mark.parametrize(("sensor", "celsius"), [("attic", 7), ("garden", 99), ("garden", "warm")])
async def test_a_reading_that_does_not_fit_is_refused(sensor: str, celsius: object) -> None:
    async with TestClient(dashboard.app) as client:
        report = {"sensor": sensor, "celsius": celsius}
        assert (await client.post("/report", data=report)).status_code == 422
        async with client.connect("/ws") as ws:
            await ws.assert_silent()
