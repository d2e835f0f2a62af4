"""Dialects: what is said in them is the same over every transport."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .differences import Behaviour, close_code, expected
from .harness import Peer, Server, closed, seen
from .speaking import GREETING, TOKEN
from .tongues import TONGUES, Tongue

WITH_SECRETS = {
    "typed": {"type": "auth", "data": {"token": TOKEN}},
    "state": {"token": TOKEN},
}


END: Behaviour = "a message that says the close"


@pytest.fixture(params=["add", "total"])
def word(request: pytest.FixtureRequest) -> str:
    """A function of fields, and one of a whole payload, which may take the short way."""
    return str(request.param)


@pytest.fixture(params=TONGUES)
def tongue(request: pytest.FixtureRequest) -> Tongue:
    """Every dialect in turn."""
    return TONGUES[request.param]


async def heard(peer: Peer) -> Any:
    return json.loads(await peer.receive())


async def ends(
    server: Server, peer: Peer, tongue: Tongue, code: int, reason: str, *, said: str = ""
) -> bool:
    """Whether the connection ends so; `said`: what a message says of it instead of the reason."""
    if expected(server, END, False):
        assert tongue.heard(await peer.receive()) == tongue.verdict(code, said or reason)
    close = await closed(peer)
    assert close.reason == expected(server, "reason of the server's close", reason)
    return close.code == close_code(server, code)


async def goes_on(server: Server, peer: Peer, tongue: Tongue) -> bool:
    """Whether the next call is answered; or the end is normal, where a call has its own."""
    if tongue.ends_with_its_call:
        return await ends(server, peer, tongue, 1000, "", said="done")
    await peer.send(tongue.call("add", a=2, b=2))
    return bool(tongue.value(await peer.receive()) == 4)


async def goes_on_after_no_call(server: Server, peer: Peer, tongue: Tongue) -> bool:
    """Whether the next call is answered; or the end tells that a first one was expected."""
    if tongue.ends_with_its_call:
        return await ends(server, peer, tongue, 1007, "no first message")
    return await goes_on(server, peer, tongue)


async def test_a_call_is_answered(server: Server, tongue: Tongue, word: str, id: str) -> None:
    async with server.connect(tongue.path(word, id)) as peer:
        await peer.send(tongue.call(word, a=1, b=2))
        assert tongue.value(await peer.receive()) == 3
        assert await goes_on(server, peer, tongue)


async def test_what_does_not_fit_is_answered(
    server: Server, tongue: Tongue, word: str, id: str
) -> None:
    async with server.connect(tongue.path(word, id)) as peer:
        await peer.send(tongue.call(word, a="one"))
        assert tongue.complaint(await peer.receive()) == "validation"
        assert await goes_on(server, peer, tongue)


async def test_what_is_no_json_is_answered(server: Server, tongue: Tongue, id: str) -> None:
    async with server.connect(tongue.path("add", id)) as peer:
        await peer.send('{"a": ')
        assert tongue.complaint(await peer.receive()) == "malformed"
        assert await goes_on_after_no_call(server, peer, tongue)


async def test_a_frame_of_the_wrong_kind_is_answered(
    server: Server, tongue: Tongue, word: str, id: str
) -> None:
    async with server.connect(tongue.path(word, id)) as peer:
        await peer.send(tongue.call(word, a=1, b=2).encode())
        answer = await peer.receive()
        if tongue.name == "status":  # it reads both kinds
            assert tongue.value(answer) == 3
        else:
            assert tongue.complaint(answer) == "wrong_frame"
        assert await goes_on_after_no_call(server, peer, tongue)


@pytest.mark.parametrize("name", ["typed", "state", "status", "htmx"])
async def test_pipelined_messages_are_answered_in_order_good_and_bad_alike(
    server: Server, name: str, word: str, id: str
) -> None:
    tongue = TONGUES[name]
    bad = {3: tongue.call(word, a="x"), 5: "{", 7: tongue.call(word)}
    async with server.connect(tongue.path(word, id)) as peer:
        for number in range(200):
            await peer.send(bad.get(number % 10, tongue.call(word, a=number)))
        for number in range(200):
            frame = await peer.receive()
            if number % 10 in bad:
                assert tongue.complaint(frame) in ("validation", "malformed")
            else:
                assert tongue.value(frame) == number + 1


@pytest.mark.parametrize(("word", "code"), [("fail", "internal"), ("reject", "sold_out")])
async def test_an_error_is_answered_and_tells_no_secret(
    server: Server, tongue: Tongue, id: str, word: str, code: str
) -> None:
    async with server.connect(tongue.path(word, id)) as peer:
        await peer.send(tongue.call(word, a=1))
        frame = await peer.receive()
        assert tongue.complaint(frame) == code
        assert "a secret" not in str(frame)
        if tongue.ends_with_its_call:
            assert await goes_on(server, peer, tongue)
        else:
            await peer.send(tongue.call(word, a=1))
            assert tongue.complaint(await peer.receive()) == code


async def test_a_stream_arrives_in_order(server: Server, tongue: Tongue, id: str) -> None:
    async with server.connect(tongue.path("count", id)) as peer:
        await peer.send(tongue.call("count", to=50))
        frames = [await peer.receive() for _ in range(50)]
        assert [tongue.value(frame) for frame in frames] == list(range(50))
        if tongue.name == "typed":
            assert [json.loads(frame)["seq"] for frame in frames] == list(range(50))
            assert await heard(peer) == {"type": "end", "id": 7, "data": {"count": 50}}
    assert ["stopped"] in await seen(server, id, 1)


async def test_a_stream_ends_where_its_peer_goes(server: Server, tongue: Tongue, id: str) -> None:
    async with server.connect(tongue.path("count", id)) as peer:
        await peer.send(tongue.call("count", to=10**9))
        for number in range(3):
            assert tongue.value(await peer.receive()) == number
    entries = await seen(server, id, 2)
    assert [entry[0] for entry in entries] == ["stopped", "disconnect"]


async def test_a_stream_is_cancelled_by_its_number_and_the_next_call_is_answered(
    server: Server, id: str
) -> None:
    tongue = TONGUES["typed"]
    async with server.connect(tongue.path("count", id)) as peer:
        await peer.send(tongue.call("count", to=10**9))
        assert tongue.value(await peer.receive()) == 0
        await peer.send('{"type": "cancel", "id": 7}')
        count = 1
        while (said := await heard(peer))["type"] == "count":
            assert said["seq"] == count
            count += 1
        assert said == {"type": "end", "id": 7, "data": {"count": count}}
        assert await seen(server, id, 1) == [["stopped"]]
        assert await goes_on(server, peer, tongue)


async def test_the_verdict_of_a_close_is_its_code_or_else_a_message(
    server: Server, tongue: Tongue, id: str
) -> None:
    async with server.connect(tongue.path("part", id)) as peer:
        await peer.send(tongue.call("part", code=4403, reason="not for you"))
        assert await ends(server, peer, tongue, 4403, "not for you")
    assert await seen(server, id, 1) == [["disconnect", 4403]]


@pytest.mark.parametrize("name", ["typed", "state"])
async def test_what_the_server_says_by_itself_has_a_name(
    server: Server, name: str, id: str
) -> None:
    async with server.connect(TONGUES[name].path("greet", id)) as peer:
        await peer.send(json.dumps({"typed": {"type": "greet"}, "state": {"state": "greet"}}[name]))
        key = {"typed": "type", "state": "state"}[name]
        assert await heard(peer) == {key: "greeting", "data": GREETING}


@pytest.mark.parametrize("name", ["typed", "status", "htmx", "named"])
async def test_what_the_server_sends_without_a_name_arrives(
    server: Server, name: str, id: str
) -> None:
    tongue = TONGUES[name]
    async with server.connect(tongue.path("push", id)) as peer:
        await peer.send(tongue.call("push", a=5))
        assert tongue.value(await peer.receive()) == 5


async def test_the_server_asks_and_the_client_answers(server: Server, id: str) -> None:
    tongue = TONGUES["typed"]
    async with server.connect(tongue.path("ask", id)) as peer:
        for answer, told in (
            ({"data": 5}, 5),
            ({"error": {"code": "busy", "message": "not now"}}, ["busy", "not now"]),
        ):
            await peer.send(tongue.call("ask"))
            question = await heard(peer)
            assert (question["type"], question["data"]) == ("how many?", GREETING)
            await peer.send(json.dumps({"type": "answer", "ask": question["ask"], **answer}))
            assert tongue.value(await peer.receive()) == told
        await peer.send(tongue.call("ask"))
        ask = (await heard(peer))["ask"]
        await peer.send(json.dumps({"type": "answer", "ask": ask, "data": "many"}))
        assert tongue.value(await peer.receive())[0] == "validation"


async def test_what_on_ready_asks_is_answered_before_ready_is_said(server: Server) -> None:
    async with server.connect("/speak/welcome") as peer:
        question = await heard(peer)
        assert question["type"] == "who are you?"
        await peer.send(json.dumps({"type": "answer", "ask": question["ask"], "data": "Ada"}))
        assert await heard(peer) == {"type": "ready", "data": "welcome, Ada"}


async def test_a_heartbeat_is_answered_before_and_during_a_call(server: Server, id: str) -> None:
    async with server.connect(TONGUES["named"].path("count", id)) as peer:
        await peer.send('{"__pp": "ping"}')
        assert await heard(peer) == {"__pp": "pong"}
        await peer.send('{"to": 1000000000}')
        assert await heard(peer) == 0
        await peer.send('{"__pp": "ping"}')
        while (said := await heard(peer)) != {"__pp": "pong"}:
            assert isinstance(said, int)
    async with server.connect(TONGUES["typed"].path("add", id)) as peer:
        await peer.send('{"type": "ping", "id": "p"}')
        assert await heard(peer) == {"type": "pong", "id": "p"}


async def test_a_name_that_no_function_has_is_answered(server: Server, id: str) -> None:
    for name in ("typed", "state"):
        tongue = TONGUES[name]
        async with server.connect(tongue.path("nobody", id)) as peer:
            await peer.send(tongue.call("nobody"))
            assert tongue.complaint(await peer.receive()) == "not_found"
            assert await goes_on(server, peer, tongue)
    async with server.connect(TONGUES["named"].path("nobody", id)) as peer:
        assert await heard(peer) == {"error": "no message is called 'nobody'"}
        assert await ends(server, peer, TONGUES["named"], 4404, "no such endpoint")


@pytest.mark.parametrize("name", WITH_SECRETS)
async def test_the_first_message_says_who_the_peer_is(server: Server, name: str, id: str) -> None:
    tongue = TONGUES[name]
    async with server.connect(f"/speak/secret/{name}?id={id}") as peer:
        await peer.send(json.dumps(WITH_SECRETS[name]))
        await peer.send(tongue.call("who"))
        ready = {"typed": {"type": "ready"}, "state": {"state": "initialised", "data": {}}}
        assert await heard(peer) == ready[name]
        assert tongue.value(await peer.receive()) == "Ada"


@pytest.mark.parametrize("way", ["a wrong token", "no token"])
@pytest.mark.parametrize("name", WITH_SECRETS)
async def test_who_is_not_known_is_told_once_and_closed_with_4401(
    server: Server, name: str, way: str, id: str
) -> None:
    wrong = json.dumps(WITH_SECRETS[name]).replace(TOKEN, "another")
    call = TONGUES[name].call("who")
    async with server.connect(f"/speak/secret/{name}?id={id}") as peer:
        await peer.send(wrong if way == "a wrong token" else call)
        await peer.send(call)
        said = await heard(peer)
        text = "Could not validate credentials."
        if name == "state":
            assert said == {"state": "error", "error": text}
        else:
            assert (said["type"], said["code"]) == ("error", "not_authenticated")
        assert await ends(server, peer, TONGUES[name], 4401, "not authenticated")
    assert await seen(server, id, 1) == [["disconnect", 4401]]


@pytest.mark.parametrize("name", WITH_SECRETS)
async def test_who_does_not_say_who_it_is_in_time_is_closed_with_4401(
    server: Server, name: str
) -> None:
    async with server.connect(f"/speak/hurried/{name}") as peer:
        assert await ends(server, peer, TONGUES[name], 4401, "not authenticated in time")
