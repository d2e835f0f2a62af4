"""Requests: the server asks the client, and every way in which the answer does not come."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from tests.unit.applications import Gate, talking
from tests.unit.session.talk import ask, error, heard, message, plain, send, value
from wirework import App, ConnectionClosed, RequestFailed, StateError, WebSocket
from wirework.dialects import Htmx, NamedSockets, Raw, State, Status, Typed


class Guess(msgspec.Struct):
    number: int


class Quiz:
    """An application that asks its client, and keeps what came of it."""

    def __init__(self, dialect: Any = None, **options: Any) -> None:
        self.app = App()
        self.desk = self.app.events("/", dialect=dialect or Typed(), **options)
        self.sockets: list[WebSocket] = []
        self.outcomes: list[Any] = []

        @self.desk.on_connect
        async def on_connect(ws: WebSocket) -> None:
            self.sockets.append(ws)

        @self.desk.on("play")
        async def play(ws: WebSocket, timeout: float | None = None) -> Any:
            return await self.ask(ws, timeout=timeout)

        @self.desk.on("rest")
        async def rest() -> str:
            return "rested"

    async def ask(self, ws: WebSocket, kind: Any = Guess, timeout: float | None = None) -> Any:
        seconds = 5.0 if timeout is None else timeout
        try:
            outcome = await ws.request("guess", {"to": 3}, type=kind, timeout=seconds)
        except Exception as failure:
            outcome = failure
            self.outcomes.append(outcome)
            raise
        self.outcomes.append(outcome)
        return outcome


def guess(ask: int) -> dict[str, Any]:
    """Return the request as the client hears it."""
    return {"type": "guess", "ask": ask, "data": {"to": 3}}


def answer(ask: Any, data: Any = None, **keys: Any) -> str:
    """Return the frame that answers a request."""
    return message("answer", data, ask=ask, **keys)


# --- answered -----------------------------------------------------------------------------------


async def test_a_handler_asks_its_own_client_and_gets_the_answer_in_the_type() -> None:
    quiz = Quiz()
    async with talking(quiz.app) as ws:
        for number in (1, 2):
            assert await ask(ws, "play") == guess(number)
            send(ws, answer(number, {"number": number}))
            assert await ws.receive_json() == value("play", {"number": number})
    assert quiz.outcomes == [Guess(1), Guess(2)]


async def test_other_messages_wait_for_the_handler_that_asks_and_the_answer_passes_them() -> None:
    quiz = Quiz()
    async with talking(quiz.app) as ws:
        send(ws, message("play", id=1), message("rest", id=2), message("rest", id=3))
        assert await ws.receive_json() == guess(1)
        send(ws, message("rest", id=4), answer(1, {"number": 2}))
        assert [said["id"] for said in await heard(ws, 4)] == [1, 2, 3, 4]


async def test_the_answer_may_be_in_the_inbox_before_anybody_listens() -> None:
    quiz = Quiz()
    async with talking(quiz.app) as ws:
        send(ws, message("play", id=1), answer(1, {"number": 1}), message("rest", id=2))
        # an answer that comes before its request answers nothing
        assert await heard(ws, 1) == [guess(1)]
        send(ws, answer(1, {"number": 2}))
        assert await heard(ws, 2) == [value("play", {"number": 2}), value("rest", "rested", id=2)]


async def test_another_task_asks_while_the_connection_is_idle() -> None:
    quiz = Quiz()
    async with talking(quiz.app) as ws:
        asking = [asyncio.create_task(quiz.ask(quiz.sockets[0], int)) for _ in range(3)]
        assert await heard(ws, 3) == [guess(1), guess(2), guess(3)]
        send(ws, answer(3, 30), answer(1, 10), answer(2, 20))
        assert await asyncio.gather(*asking) == [10, 20, 30]


async def test_handlers_of_one_connection_ask_at_the_same_time() -> None:
    quiz = Quiz(concurrency=2)
    async with talking(quiz.app) as ws:
        send(ws, message("play", id="a"), message("play", id="b"))
        asks = [said["ask"] for said in await heard(ws, 2)]
        send(ws, *[answer(each, {"number": each}) for each in reversed(asks)])
        assert {said["id"]: said["data"]["number"] for said in await heard(ws, 2)} == {
            "a": asks[0],
            "b": asks[1],
        }


@pytest.mark.parametrize("is_flat", [False, True], ids=["data", "flat"])
async def test_an_answer_is_whatever_json_the_type_takes(is_flat: bool) -> None:
    quiz = Quiz(Typed(flat=is_flat))
    async with talking(quiz.app) as ws:
        for number, (kind, data, expected) in enumerate(
            [
                (Any, None, None),
                (int | None, None, None),
                (list[int], [1, 2], [1, 2]),
                (dict[str, int], {"a": 1}, {"a": 1}),
                (Guess, {"number": 1, "more": 2}, Guess(1)),
                (str, "text", "text"),
                (bool, False, False),
            ],
            start=1,
        ):
            asking = asyncio.create_task(quiz.ask(quiz.sockets[0], kind))
            await ws.receive_json()
            send(ws, answer(number, data))
            assert await asking == expected


# --- not answered -------------------------------------------------------------------------------


async def test_what_does_not_fit_the_type_fails_the_request_and_nothing_else() -> None:
    quiz = Quiz()
    async with talking(quiz.app) as ws:
        assert await ask(ws, "play") == guess(1)
        send(ws, answer(1, {"number": "two"}))
        assert plain(await ws.receive_json()) == error("internal", "play")
        assert await ask(ws, "rest", id=2) == value("rest", "rested", id=2)
    failure = quiz.outcomes[0]
    assert isinstance(failure, RequestFailed)
    assert failure.code == "validation"
    assert failure.details[0]["loc"] == ["number"]


async def test_the_clients_error_is_raised_with_its_code_message_and_details() -> None:
    quiz = Quiz()
    async with talking(quiz.app) as ws:
        asking = asyncio.create_task(quiz.ask(quiz.sockets[0]))
        await ws.receive_json()
        told = {"code": "tired", "message": "not now", "details": [1]}
        send(ws, answer(1, {"number": 3}, error=told))
        with pytest.raises(RequestFailed, match="tired: not now") as caught:
            await asking
        assert caught.value.details == [1]


@pytest.mark.parametrize(
    "wrong",
    [answer(2, {"number": 1}), answer("1", {"number": 1}), answer(-1, {"number": 1})],
    ids=["unknown", "text", "negative"],
)
async def test_an_answer_to_nobodys_request_is_dropped(wrong: str) -> None:
    quiz = Quiz()
    async with talking(quiz.app) as ws:
        assert await ask(ws, "play") == guess(1)
        send(ws, wrong, answer(1, {"number": 7}))
        assert await ws.receive_json() == value("play", {"number": 7})


async def test_the_first_answer_counts_and_a_second_one_is_dropped() -> None:
    quiz = Quiz()
    async with talking(quiz.app) as ws:
        assert await ask(ws, "play") == guess(1)
        send(ws, answer(1, {"number": 1}), answer(1, {"number": 2}))
        assert await ws.receive_json() == value("play", {"number": 1})
        send(ws, answer(1, {"number": 3}))
        assert await ask(ws, "play") == guess(2)
        send(ws, answer(1, {"number": 4}), answer(2, {"number": 5}))
        assert await ws.receive_json() == value("play", {"number": 5})


async def test_no_answer_in_time_is_a_timeout_and_a_late_answer_is_dropped() -> None:
    quiz = Quiz()
    async with talking(quiz.app) as ws:
        assert await ask(ws, "play", {"timeout": 0}) == guess(1)
        assert plain(await ws.receive_json()) == error("internal", "play")
        send(ws, answer(1, {"number": 1}))
        assert await ask(ws, "play") == guess(2)
        send(ws, answer(2, {"number": 2}))
        assert await ws.receive_json() == value("play", {"number": 2})
    assert [type(outcome) for outcome in quiz.outcomes] == [TimeoutError, Guess]


async def test_an_answer_that_is_none_is_told_so_when_its_turn_comes() -> None:
    quiz = Quiz()
    async with talking(quiz.app) as ws:
        assert await ask(ws, "play") == guess(1)
        send(ws, answer(None), answer([1]), answer(1, error="no"), answer(1, {"number": 2}))
        assert await ws.receive_json() == value("play", {"number": 2})
        said = await heard(ws, 3)
        assert [plain(each) for each in said] == [error("malformed", id=None)] * 3


async def test_an_answer_without_a_request_is_dropped() -> None:
    quiz = Quiz()
    async with talking(quiz.app) as ws:
        send(ws, answer(1, {"number": 1}))
        assert await ask(ws, "rest") == value("rest", "rested")


# --- the end ------------------------------------------------------------------------------------


async def test_the_end_of_the_connection_reaches_everybody_who_asks() -> None:
    quiz = Quiz()
    async with talking(quiz.app) as ws:
        asking = [asyncio.create_task(quiz.ask(quiz.sockets[0])) for _ in range(2)]
        send(ws, message("play", id=1))
        await heard(ws, 3)
        await ws.close(4001, "bye")
        outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["4001 bye"] * 2
    assert [type(outcome) for outcome in quiz.outcomes] == [ConnectionClosed] * 3


async def test_our_own_close_reaches_who_asks_too() -> None:
    quiz = Quiz()
    async with talking(quiz.app) as ws:
        asking = asyncio.create_task(quiz.ask(quiz.sockets[0]))
        await ws.receive_json()
        await quiz.sockets[0].close(4002)
        await ws.assert_closed(4002)
        with pytest.raises(ConnectionClosed):
            await asking


async def test_a_request_after_the_end_raises_at_once() -> None:
    quiz = Quiz()
    async with talking(quiz.app):
        pass
    with pytest.raises(ConnectionClosed):
        await quiz.ask(quiz.sockets[0])


async def test_a_request_that_its_asker_gives_up_leaves_nothing_behind() -> None:
    quiz = Quiz()
    async with talking(quiz.app) as ws:
        asking = asyncio.create_task(quiz.ask(quiz.sockets[0]))
        assert await ws.receive_json() == guess(1)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        send(ws, answer(1, {"number": 1}))
        assert await ask(ws, "play") == guess(2)
        send(ws, answer(2, {"number": 2}))
        assert await ws.receive_json() == value("play", {"number": 2})


# --- misuse -------------------------------------------------------------------------------------


async def test_no_more_than_a_thousand_requests_wait() -> None:
    quiz = Quiz()
    quiz.app.settings = quiz.app.settings.replace(outbox_frames=2000)
    async with talking(quiz.app) as ws:
        socket = quiz.sockets[0]
        asking = [asyncio.create_task(quiz.ask(socket, int)) for _ in range(1000)]
        await heard(ws, 1000)
        with pytest.raises(StateError, match="1000 wait for an answer already"):
            await socket.request("guess")
        send(ws, *[answer(number, number) for number in range(1, 1001)])
        assert sum(await asyncio.gather(*asking)) == 500500
        assert await ask(ws, "play") == guess(1001)


async def test_data_that_cannot_be_said_fails_before_anything_is_sent() -> None:
    quiz = Quiz()
    async with talking(quiz.app) as ws:
        for name, data in (("guess", object()), ("ping", 1)):
            with pytest.raises(TypeError):
                await quiz.sockets[0].request(name, data)
        assert await ask(ws, "rest") == value("rest", "rested")


@pytest.mark.parametrize(
    "dialect", [Raw(), Status(), State(), Htmx(), NamedSockets()], ids=lambda each: each.name
)
async def test_dialects_without_requests_say_so(dialect: Any) -> None:
    app = App()
    gate, failures = Gate(), list[str]()

    async def handler(ws: WebSocket) -> None:
        try:
            await ws.request("guess")
        except StateError as failure:
            failures.append(str(failure))
        gate.reached.set()

    if dialect.has_names:
        app.events("/", dialect=dialect).on("play")(handler)
    else:
        app.ws("/", dialect=dialect)(handler)
    async with talking(app, "/?name=play") as ws:
        await ws.send_json({"state": "play"})
        await gate.reached.wait()
    assert failures == [f"request: the dialect {dialect.name} has no requests"]


async def test_a_connection_handler_has_no_requests() -> None:
    app = App()
    failures: list[str] = []

    @app.websocket("/")
    async def handler(ws: WebSocket) -> None:
        try:
            await ws.request("guess")
        except StateError as failure:
            failures.append(str(failure))
        await ws.accept()

    async with talking(app):
        assert failures == ["request: the route has no dialect"]


async def test_nobody_can_answer_before_the_handshake_is() -> None:
    app = App()
    desk = app.events("/", dialect=Typed())
    failures: list[str] = []

    @desk.on_connect
    async def on_connect(ws: WebSocket) -> None:
        with pytest.raises(StateError) as caught:
            await ws.request("guess")
        failures.append(str(caught.value))
        await ws.accept()
        failures.append(await ws.request("guess", type=str))

    async with talking(app) as ws:
        assert await ws.receive_json() == {"type": "guess", "ask": 1}
        send(ws, answer(1, "after the acceptance"))
    assert failures == [
        "request: the handshake is not answered; ask in on_ready, or accept",
        "after the acceptance",
    ]


async def test_the_end_reaches_who_asks_while_on_connect_runs() -> None:
    app = App()
    desk = app.events("/", dialect=Typed())
    outcomes: list[Any] = []
    gate = Gate()

    @desk.on_connect
    async def on_connect(ws: WebSocket) -> None:
        await ws.accept()
        gate.reached.set()
        try:
            await ws.request("guess")
        except ConnectionClosed as end:
            outcomes.append(end.code)
            raise

    async with talking(app) as ws:
        await gate.reached.wait()
        assert await ws.receive_json() == {"type": "guess", "ask": 1}
        await ws.close(4001)
    assert outcomes == [4001]
