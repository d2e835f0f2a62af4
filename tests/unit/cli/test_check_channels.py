"""`wirework check` says of each channel what clients may do there."""

from __future__ import annotations

import json

from wirework import App, Jwt
from wirework.cli.check import ChannelReport, check, to_json, to_text

JWT = Jwt(key="not-for-production-" * 2, algorithms=["HS256"])


def application() -> App:
    app = App()
    chat = app.channel("chat:{room}")

    @chat.on_subscribe
    async def enter(room: str) -> bool:
        return True

    @chat.on_publish
    async def say(text: str) -> bool:
        return True

    app.channel("news")
    app.channel("with-token", token=JWT)
    app.channel("both:{n:int}", token=JWT).on_subscribe(enter_both)
    return app


async def enter_both(n: int) -> bool:
    return n > 0


def channels() -> dict[str, ChannelReport]:
    return {each.name: each for each in check("m:app", application()).channels}


def test_who_lets_clients_in_and_judges_what_they_say_is_named_with_its_place() -> None:
    found = channels()["chat:{room}"]
    assert found.subscribe.startswith(f"as {__name__}.application.<locals>.enter says")
    assert found.publish.startswith(f"as {__name__}.application.<locals>.say says")
    line = enter_both.__code__.co_firstlineno
    assert channels()["both:{n:int}"].subscribe.endswith(f"test_check_channels.py:{line}")


def test_a_channel_without_functions_is_closed_to_clients() -> None:
    assert channels()["news"] == ChannelReport(
        name="news", subscribe="no client", publish="no client"
    )


def test_tokens_are_told() -> None:
    assert channels()["with-token"].subscribe == "clients with a token"
    both = channels()["both:{n:int}"].subscribe
    assert both.startswith(f"clients with a token, as {__name__}.enter_both says")


def test_channels_are_in_the_text_and_in_the_json() -> None:
    report = check("m:app", application())
    lines = to_text(report)
    at = lines.index("channel news")
    assert lines[at + 1 : at + 3] == ["  subscribe: no client", "  publish: no client"]
    names = [each["name"] for each in json.loads(to_json(report))["channels"]]
    assert names == ["chat:{room}", "news", "with-token", "both:{n:int}"]
