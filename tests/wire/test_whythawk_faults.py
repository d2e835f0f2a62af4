"""What Whythawk gets wrong, each by the name of what is right here, over real sockets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest

from tests.contract.harness import Peer, closed
from tests.wire.native import NATIVE, until
from tests.wire.serving import serving
from wirework import App, Close, Depends, FirstMessage, Reply
from wirework.dialects import State

TRANSPORTS = {"asgi": "websockets-sansio", "native": NATIVE}
INITIALISED = {"state": "initialised", "data": {}}
NO_WAY_IN = {"state": "error", "error": "Could not validate credentials."}


class Template:
    """The document's session, with a count of open database sessions."""

    def __init__(self, **settings: Any) -> None:
        self.app = App(**settings)
        self.open = 0
        self.ends: list[int] = []
        socket = self.app.events("/socket", dialect=State(), auth=FirstMessage(verify=self.verify))

        async def get_db() -> AsyncIterator[int]:
            self.open += 1
            try:
                yield self.open
            finally:
                self.open -= 1

        Db = Annotated[int, Depends(get_db)]

        @socket.on("startThings")
        async def start_things(db: Db) -> dict[str, int]:
            return {"open": db}

        @socket.on("fail")
        async def fail(db: Db) -> None:
            raise RuntimeError("a secret")

        @socket.on("count")
        async def count(number: int) -> int:
            return number

        @socket.on("save")
        async def save(db: Db) -> Reply:
            return Reply({}, then=Close(1000))

        @socket.on_disconnect
        async def leave(code: int) -> None:
            self.ends.append(code)

    async def verify(self, token: str) -> str | None:
        if token == "crash":
            raise RuntimeError("a secret")
        return "ana" if token == "good" else None


@pytest.fixture(params=TRANSPORTS.values(), ids=[*TRANSPORTS])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def ask(peer: Peer, message: Any) -> Any:
    await peer.send(message if isinstance(message, str | bytes) else json.dumps(message))
    return json.loads(await peer.receive())


async def begin(peer: Peer) -> None:
    assert await ask(peer, {"token": "good"}) == INITIALISED


@pytest.mark.parametrize("token", ["bad", "", None], ids=["bad", "empty", "none"])
async def test_a_bad_token_is_told_once_and_closed_with_4401(
    token: str | None, transport: str
) -> None:
    template = Template()
    async with serving(template.app, transport) as server, server.connect("/socket") as peer:
        assert await ask(peer, {"token": token}) == NO_WAY_IN
        assert (await closed(peer)).args == (4401, "not authenticated")
    assert template.ends == [4401]


async def test_a_failing_check_of_the_token_is_our_fault_and_tells_nothing(transport: str) -> None:
    async with serving(Template().app, transport) as server, server.connect("/socket") as peer:
        answer = await ask(peer, {"token": "crash"})
        assert (answer["state"], answer["error"]) == ("error", "internal error")
        assert (await closed(peer)).code == 1011


async def test_whoever_sends_no_token_in_time_is_closed_with_4401(transport: str) -> None:
    app = Template(auth_timeout=0.1).app
    async with serving(app, transport) as server, server.connect("/socket") as peer:
        assert (await closed(peer)).args == (4401, "not authenticated in time")


@pytest.mark.parametrize(
    ("frame", "code"),
    [("{", "malformed"), ("[]", "malformed"), (b"{}", "wrong_frame"), ('{"a":1}', "malformed")],
    ids=["no JSON", "an array", "binary", "neither state nor token"],
)
async def test_what_cannot_be_read_is_answered_and_the_session_goes_on(
    frame: str | bytes, code: str, transport: str
) -> None:
    async with serving(Template().app, transport) as server, server.connect("/socket") as peer:
        await begin(peer)
        answer = await ask(peer, frame)
        assert (answer["state"], answer["data"]["code"]) == ("error", code)
        assert (await ask(peer, {"state": "startThings"}))["state"] == "startThings"


async def test_what_does_not_fit_is_answered_in_words_and_the_session_goes_on(
    transport: str,
) -> None:
    async with serving(Template().app, transport) as server, server.connect("/socket") as peer:
        await begin(peer)
        answer = await ask(peer, {"state": "count", "data": {"number": "5"}})
        assert answer["error"] == "number: Input should be a valid integer"
        answer = await ask(peer, {"state": "count", "data": {"number": 0}})
        assert answer == {"state": "count", "data": 0}


async def test_an_exception_is_told_without_its_text_and_the_session_goes_on(
    transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    template = Template()
    async with serving(template.app, transport) as server, server.connect("/socket") as peer:
        await begin(peer)
        answer = await ask(peer, {"state": "fail"})
        data = {"state": "fail", "code": "internal"}
        assert answer == {"state": "error", "error": "internal error", "data": data}
        assert (await ask(peer, {"state": "startThings"}))["data"] == {"open": 1}
    assert "a secret" in caplog.text


async def test_a_session_that_waits_holds_no_database_session(transport: str) -> None:
    template = Template()
    async with serving(template.app, transport) as server, server.connect("/socket") as peer:
        await begin(peer)
        for _ in range(2):
            assert (await ask(peer, {"state": "startThings"}))["data"] == {"open": 1}
            assert template.open == 0
        assert await ask(peer, {"state": "save"}) == {"state": "save", "data": {}}
        assert template.open == 0
        assert (await closed(peer)).code == 1000
    await until(lambda: template.ends == [1000])
