"""`before` and `after`: around every message of a path, its errors and its streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import pytest

from tests.unit.applications import Gate, Journal, talking
from tests.unit.session.talk import ask, end, error, heard, message, plain, send, value
from wirework import App, Call, Close, Depends, Refuse, Reject, Reply, WebSocket
from wirework.dialects import Typed
from wirework.session import session
from wirework.testing import HandshakeRefused


class Desk:
    """Events whose hooks note what they see."""

    def __init__(self, **options: Any) -> None:
        self.app = App()
        self.desk = self.app.events("/", dialect=Typed(), **options)
        self.log: list[Any] = []

        @self.desk.on("do")
        async def do(what: str = "value") -> Any:
            self.log.append("do")
            if what == "reject":
                raise Reject("no")
            if what == "fail":
                raise KeyError(what)
            return Close(4000) if what == "close" else what

        @self.desk.on("count")
        async def count(n: int) -> AsyncIterator[int]:
            for number in range(n):
                self.log.append(number)
                yield number

        @self.desk.on("fall")
        def fall() -> Iterator[int]:
            yield 0
            raise Reject("fell")


async def test_hooks_run_in_the_order_of_their_registration_around_the_function() -> None:
    desk = Desk()
    for hook in (desk.desk.before, desk.desk.after):
        for number in (1, 2):
            hook(lambda name=hook.__name__, number=number: desk.log.append(f"{name} {number}"))
    async with talking(desk.app) as ws:
        assert await ask(ws, "do") == value("do", "value")
    assert desk.log == ["before 1", "before 2", "do", "after 1", "after 2"]


async def test_hooks_that_are_added_late_count_for_connections_that_are_open() -> None:
    desk = Desk()
    async with talking(desk.app) as ws:
        assert await ask(ws, "do") == value("do", "value")
        desk.desk.before(lambda: desk.log.append("before"))
        assert await ask(ws, "do") == value("do", "value")
    assert desk.log == ["do", "before", "do"]


async def test_before_sees_the_message_and_the_connection() -> None:
    desk = Desk()

    @desk.desk.before
    async def before(message: Call, ws: WebSocket) -> str:
        desk.log.append((message.name, message.id, ws.accepted))
        return "does not count"

    async with talking(desk.app) as ws:
        assert await ask(ws, "do", id=7) == value("do", "value", id=7)
    assert desk.log == [("do", 7, True), "do"]


@pytest.mark.parametrize("failure", [Reject("closed"), KeyError("secret")], ids=["reject", "error"])
async def test_what_before_raises_is_answered_and_the_function_does_not_run(
    failure: Exception,
) -> None:
    desk = Desk()

    @desk.desk.before
    async def before(message: Call) -> None:
        if message.id == 1:
            raise failure

    async with talking(desk.app) as ws:
        code = "closed" if isinstance(failure, Reject) else "internal"
        assert plain(await ask(ws, "do")) == error(code, "do")
        assert await ask(ws, "do", id=2) == value("do", "value", id=2)
    assert desk.log == ["do"]


async def test_a_message_that_before_refuses_does_not_count_for_after_gates() -> None:
    desk = Desk()
    is_open = [False]

    @desk.desk.before
    async def before(message: Call) -> None:
        if message.name == "do" and not is_open[0]:
            raise Reject("closed")

    @desk.desk.on("next", after="do")
    async def next_one() -> None: ...

    async with talking(desk.app) as ws:
        assert plain(await ask(ws, "do")) == error("closed", "do")
        assert plain(await ask(ws, "next")) == error("not_ready", "next")
        is_open[0] = True
        assert await ask(ws, "do") == value("do", "value")
        assert await ask(ws, "next") == value("next")


async def test_before_may_end_the_connection() -> None:
    desk = Desk()

    @desk.desk.before
    async def before() -> None:
        raise Close(4003, "banned")

    async with talking(desk.app) as ws:
        send(ws, message("do", id=1), message("do", id=2))
        await ws.assert_closed(4003, "banned")
    assert desk.log == []


async def test_no_hook_runs_for_messages_that_reach_no_function() -> None:
    desk = Desk()
    desk.desk.before(lambda: desk.log.append("before"))
    desk.desk.after(lambda: desk.log.append("after"))
    async with talking(desk.app) as ws:
        assert plain(await ask(ws, "nobody")) == error("not_found", "nobody")
        send(ws, "{", message("ping"), message("cancel", id=1))
        assert plain(await ws.receive_json()) == error("malformed", id=None)
        assert await ws.receive_json() == {"type": "pong"}
    assert desk.log == []


async def test_hooks_share_what_the_function_depends_on() -> None:
    app = App()
    desk = app.events("/", dialect=Typed())
    journal = Journal()
    lend = journal.lending("db")

    @desk.before
    async def before(db: Annotated[str, Depends(lend)]) -> None:
        journal.lines.append(f"before with {db}")

    @desk.after
    async def after(db: Annotated[str, Depends(lend)]) -> None:
        journal.lines.append(f"after with {db}")

    @desk.on("do")
    async def do(db: Annotated[str, Depends(lend)]) -> str:
        journal.lines.append(f"do with {db}")
        return db

    async with talking(app) as ws:
        for _ in range(2):
            assert await ask(ws, "do") == value("do", "db")
    once = ["open db", "before with db", "do with db", "after with db", "close db"]
    assert journal.lines == once * 2


# --- after --------------------------------------------------------------------------------------


def watch(desk: Desk) -> None:
    """Note what `after` sees."""

    @desk.desk.after
    async def after(message: Call, result: Any, error: Exception | None) -> None:
        desk.log.append((message.name, result, type(error).__name__))


@pytest.mark.parametrize(
    ("what", "result", "failure"),
    [
        ("value", "value", "NoneType"),
        ("reject", None, "Reject"),
        ("fail", None, "KeyError"),
    ],
)
async def test_after_sees_the_result_or_the_error(what: str, result: Any, failure: str) -> None:
    desk = Desk()
    watch(desk)
    async with talking(desk.app) as ws:
        await ask(ws, "do", {"what": what})
    assert desk.log == ["do", ("do", result, failure)]


async def test_after_sees_a_payload_that_does_not_fit() -> None:
    desk = Desk()
    watch(desk)
    async with talking(desk.app) as ws:
        assert plain(await ask(ws, "do", {"what": 5})) == error("validation", "do")
    assert desk.log == [("do", None, "ValidationError")]


async def test_after_sees_a_close_that_was_returned_as_the_result() -> None:
    desk = Desk()
    watch(desk)
    async with talking(desk.app) as ws:
        send(ws, message("do", {"what": "close"}))
        await ws.assert_closed(4000)
    name, result, failure = desk.log[-1]
    assert (name, result.code, failure) == ("do", 4000, "NoneType")


async def test_after_may_be_typed_as_what_the_functions_return() -> None:
    app = App()
    desk = app.events("/", dialect=Typed())
    seen: list[Reply] = []

    @desk.on("do")
    async def do() -> Reply:
        return Reply(1)

    @desk.after
    def after(result: Reply) -> None:
        seen.append(result)

    async with talking(app) as ws:
        assert await ask(ws, "do") == value("do", 1)
    assert [reply.body for reply in seen] == [1]


async def test_after_runs_at_the_end_of_a_stream_before_the_end_is_said() -> None:
    desk = Desk()
    gate = Gate()

    @desk.desk.after
    async def after(result: Any, error: Exception | None) -> None:
        await gate()
        desk.log.append(("after", result, type(error).__name__))

    async with talking(desk.app) as ws:
        send(ws, message("count", {"n": 2}, id=1))
        assert await heard(ws, 2) == [value("count", n, seq=n) for n in range(2)]
        await gate.reached.wait()
        gate.open.set()
        assert await ws.receive_json() == end(2)
        assert desk.log == [0, 1, ("after", None, "NoneType")]
        send(ws, message("fall", id=1))
        said = await heard(ws, 2)
        assert plain(said[1]) == error("fell", "fall")
        assert desk.log[-1] == ("after", None, "Reject")


async def test_after_runs_for_a_stream_that_the_client_cancels() -> None:
    desk = Desk()
    watch(desk)
    gate = Gate()

    @desk.desk.on("held")
    async def held() -> AsyncIterator[int]:
        await gate()
        yield 1

    async with talking(desk.app) as ws:
        send(ws, message("held", id=1))
        await gate.reached.wait()
        send(ws, message("cancel", id=1))
        assert await ws.receive_json() == end(0)
    assert desk.log == [("held", None, "NoneType")]


async def test_an_error_of_after_is_told_instead_of_the_answer() -> None:
    desk = Desk()

    @desk.desk.after
    async def after() -> None:
        raise Reject("audit_failed")

    async with talking(desk.app) as ws:
        assert plain(await ask(ws, "do")) == error("audit_failed", "do")
        send(ws, message("count", {"n": 1}, id=2))
        said = await heard(ws, 2)
        assert plain(said[1]) == error("audit_failed", "count", id=2)


async def test_every_after_runs_and_the_first_error_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk = Desk()
    for code in ("first", "second"):

        @desk.desk.after
        async def after(code: str = code) -> None:
            desk.log.append(code)
            raise Reject(code, f"the {code}")

    desk.desk.after(lambda: desk.log.append("third"))
    async with talking(desk.app) as ws:
        assert plain(await ask(ws, "do")) == error("first", "do")
    assert desk.log == ["do", "first", "second", "third"]
    assert "the second" in caplog.text
    assert "the first" not in caplog.text


async def test_an_error_of_after_does_not_undo_a_cancellation(
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk = Desk(cancel_on_disconnect=True)
    gate = Gate()
    task: list[Any] = []

    @desk.desk.on("held")
    async def held() -> None:
        task.append(asyncio.current_task())
        await gate()

    @desk.desk.after
    async def after() -> None:
        raise KeyError("audit")

    @desk.desk.on_disconnect
    async def on_disconnect() -> None:
        desk.log.append(task[0].cancelling())

    async with talking(desk.app) as ws:
        send(ws, message("held", id=1), message("do", id=2))
        await gate.reached.wait()
    assert desk.log == [0]
    assert "audit" in caplog.text


async def test_after_runs_when_the_peer_has_left_meanwhile() -> None:
    desk = Desk()
    watch(desk)
    gate = Gate()

    @desk.desk.on("held")
    async def held(ws: WebSocket) -> str:
        await gate()
        await ws.send("too late")
        return "never"

    async with talking(desk.app) as ws:
        send(ws, message("held", id=1))
        await gate.reached.wait()
        ws.peer.close()
        gate.open.set()
    assert desk.log == [("held", None, "ConnectionClosed")]


# --- both ends ----------------------------------------------------------------------------------


async def test_on_connect_may_refuse_and_then_no_other_hook_runs() -> None:
    desk = Desk()

    @desk.desk.on_connect
    async def on_connect() -> None:
        raise Refuse(402, "pay first")

    desk.desk.on_ready(lambda: desk.log.append("ready"))
    desk.desk.on_disconnect(lambda: desk.log.append("disconnect"))
    with pytest.raises(HandshakeRefused) as caught:
        async with talking(desk.app):
            pass
    assert (caught.value.status, caught.value.body) == (402, b"pay first")
    assert desk.log == []


async def test_the_hooks_of_both_ends_run_once_and_in_order() -> None:
    desk = Desk()
    desk.desk.on_connect(lambda ws: desk.log.append(f"connect {ws.accepted}"))
    desk.desk.on_ready(lambda ws: desk.log.append(f"ready {ws.accepted}"))
    desk.desk.on_disconnect(lambda code, reason: desk.log.append(f"{code} {reason}"))
    async with talking(desk.app) as ws:
        assert await ask(ws, "do") == value("do", "value")
        await ws.close(4001, "bye")
        await ws.close(4002)
    assert desk.log == ["connect False", "ready True", "do", "4001 bye"]


async def test_a_worker_that_is_cancelled_in_on_disconnect_is_let_go() -> None:
    desk = Desk()
    gate = Gate()
    workers: list[Any] = []

    @desk.desk.on_disconnect
    async def on_disconnect() -> None:
        workers.append(asyncio.current_task())
        await gate()

    async with talking(desk.app) as ws:
        ws.peer.close()
        await gate.reached.wait()
        (worker,) = workers
        assert worker in session._alive
        worker.cancel()
        await asyncio.wait([worker])
    assert worker not in session._alive
