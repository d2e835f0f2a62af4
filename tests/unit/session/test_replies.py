"""`Reply` and its short forms, as each dialect says them, and what ends with them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
import pytest

from tests.unit.applications import Journal, talking
from tests.unit.session.talk import ask, error, heard, message, plain, send, value
from wirework import App, Close, Depends, Reply, WebSocket, replies
from wirework.dialects import Raw, State, Status, Typed
from wirework.replies import BadRequest, Conflict, Created, InternalServerError, NoContent, Ok


class Account(msgspec.Struct):
    name: str
    password: str = "secret"


ACCOUNT = Account("ada")

SHORT_FORMS = [
    (replies.Ok, 200),
    (replies.Created, 201),
    (replies.NoContent, 204),
    (replies.BadRequest, 400),
    (replies.Unauthorized, 401),
    (replies.Forbidden, 403),
    (replies.NotFound, 404),
    (replies.MethodNotAllowed, 405),
    (replies.Conflict, 409),
    (replies.InternalServerError, 500),
    (replies.NotImplementedStatus, 501),
    (replies.ServiceUnavailable, 503),
    (replies.GatewayTimeout, 504),
]


def answering(given: Any, dialect: Any = None) -> App:
    """Return an application that answers every message with `given`."""
    app = App()

    async def handler(ws: WebSocket) -> Any:
        return given

    dialect = dialect or Typed()
    if dialect.has_names:
        app.events("/", dialect=dialect).on("do")(handler)
    else:
        app.ws("/", dialect=dialect)(handler)
    return app


# --- what it takes ------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [0, 99, 600, -1, "200", 200.0, True])
def test_a_status_is_one_of_http(status: Any) -> None:
    with pytest.raises(ValueError, match="reply status: expected 100-599, got"):
        Reply(1, status=status)


@pytest.mark.parametrize("then", [1000, "close", Close])
def test_then_is_a_close(then: Any) -> None:
    with pytest.raises(TypeError, match=r"reply then: expected Close\(...\), got"):
        Reply(1, then=then)


@pytest.mark.parametrize("option", ["include", "exclude"])
def test_fields_are_a_collection_of_names_and_no_text(option: str) -> None:
    with pytest.raises(TypeError, match=f"reply {option}: expected a list of names, got 'name'"):
        Reply(1, **{option: "name"})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("form", "status"), SHORT_FORMS, ids=[form.__name__ for form, _ in SHORT_FORMS]
)
async def test_each_short_form_says_its_status(form: Any, status: int) -> None:
    given = form() if form is NoContent else form({"a": 1})
    async with talking(answering(given, Status())) as ws:
        await ws.send_json({})
        said = await ws.receive_json()
    assert said["statusCode"] == status
    assert said["body"] == (None if form is NoContent else {"a": 1})


# --- dialects without statuses ------------------------------------------------------------------


@pytest.mark.parametrize("form", [Ok, Created])
async def test_below_400_the_body_is_the_answer(form: Any) -> None:
    async with talking(answering(form(ACCOUNT))) as ws:
        assert await ask(ws, "do") == value("do", {"name": "ada", "password": "secret"})


async def test_a_reply_without_a_body_is_an_answer_also_without_an_id() -> None:
    async with talking(answering(NoContent())) as ws:
        assert await ask(ws, "do") == value("do")
        send(ws, message("do"))
        assert await ws.receive_json() == {"type": "do"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (BadRequest("no tea"), {"message": "no tea"}),
        (Conflict({"seat": 7}), {"message": "Conflict", "details": {"seat": 7}}),
        (InternalServerError(), {"message": "Internal Server Error"}),
        (Reply(None, status=418), {"message": "status 418"}),
        (Reply([1], status=599, name="other"), {"message": "status 599", "details": [1]}),
    ],
    ids=["text", "body", "nothing", "no phrase", "other name"],
)
async def test_from_400_on_the_answer_is_an_error_with_the_status(given: Any, said: Any) -> None:
    async with talking(answering(given)) as ws:
        assert await ask(ws, "do") == error(given.status, "do", **said)
        assert await ask(ws, "do", id=2) == error(given.status, "do", id=2, **said)


async def test_in_state_an_error_reply_is_an_error() -> None:
    async with talking(answering(BadRequest("no tea"), State())) as ws:
        await ws.send_json({"state": "do"})
        said = await ws.receive_json()
        assert (said["state"], said["error"], said["data"]["code"]) == ("error", "no tea", 400)


@pytest.mark.parametrize(
    ("given", "code", "reason"),
    [
        (BadRequest("no tea"), 1008, "no tea"),
        (InternalServerError(), 1011, "Internal Server Error"),
        (Conflict("x" * 500), 1008, None),
        (Reply("late", status=409, then=Close(4000, "own")), 4000, "own"),
    ],
    ids=["400", "500", "long", "own close"],
)
async def test_an_error_is_never_silent_where_there_are_no_words_for_it(
    given: Any, code: int, reason: str | None
) -> None:
    async with talking(answering(given, Raw("text"))) as ws:
        await ws.send_text("x")
        await ws.assert_closed(code, reason)


# --- name and fields ----------------------------------------------------------------------------


async def test_a_reply_may_have_another_name() -> None:
    async with talking(answering(Reply(1, name="done"))) as ws:
        assert await ask(ws, "do") == value("done", 1)


async def test_a_reply_cannot_take_a_word_of_the_protocol() -> None:
    async with talking(answering(Reply({"code": "fake"}, name="error"))) as ws:
        assert await ask(ws, "do") == error("internal", "do", message="internal error")


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ({"include": {"name"}}, {"name": "ada"}),
        ({"exclude": ["password"]}, {"name": "ada"}),
        ({"include": ("name", "password"), "exclude": {"name"}}, {"password": "secret"}),
        ({"include": ["unknown"]}, {}),
        ({"exclude": ["unknown"]}, {"name": "ada", "password": "secret"}),
        ({"include": []}, {}),
    ],
)
@pytest.mark.parametrize("status", [None, 200, 409])
async def test_only_the_fields_that_may_leave_do(
    options: Any, fields: dict[str, Any], status: int | None
) -> None:
    given = Reply(ACCOUNT, status=status, **options)
    async with talking(answering(given)) as ws:
        said = await ask(ws, "do")
        assert said["details" if status == 409 else "data"] == fields
    async with talking(answering(given, Status())) as ws:
        await ws.send_json({})
        assert await ws.receive_json() == {"statusCode": status or 200, "body": fields}


async def test_fields_of_what_has_none_are_a_mistake() -> None:
    async with talking(answering(Reply([1], include=["name"]))) as ws:
        assert await ask(ws, "do") == error("internal", "do", message="internal error")


# --- the end ------------------------------------------------------------------------------------


def saving(given: Any, fails: bool = False) -> tuple[App, list[str]]:
    """Return an application whose dependency commits, unless it hears of an error."""
    app = App()
    log: list[str] = []

    async def get_db() -> AsyncIterator[None]:
        try:
            yield
        except BaseException:
            log.append("rollback")
            raise
        if fails:
            raise ValueError("cannot commit")
        log.append("commit")

    desk = app.events("/", dialect=Typed())

    @desk.on("save")
    async def save(db: Annotated[None, Depends(get_db)]) -> Any:
        return given

    @desk.on("stream")
    async def stream(db: Annotated[None, Depends(get_db)]) -> AsyncIterator[Any]:
        yield given
        log.append("went on")

    return app, log


async def test_then_ends_the_connection_after_the_answer_and_the_commit() -> None:
    app, log = saving(Reply("saved", then=Close(1000, "bye")))
    async with talking(app) as ws:
        send(ws, message("save", id=1), message("save", id=2))
        assert await ws.receive_json() == value("save", "saved")
        assert log == ["commit"]
        await ws.assert_closed(1000, "bye")
    assert log == ["commit"]


async def test_a_commit_that_fails_is_told_and_the_connection_stays() -> None:
    app, _ = saving(Reply("saved", then=Close(1000)), fails=True)
    async with talking(app) as ws:
        assert plain(await ask(ws, "save")) == error("internal", "save")
        assert plain(await ask(ws, "save", id=2)) == error("internal", "save", id=2)


@pytest.mark.parametrize("status", [None, 200, 409])
async def test_what_is_returned_commits_whatever_its_status(status: int | None) -> None:
    app, log = saving(Reply("x", status=status))
    async with talking(app) as ws:
        await ask(ws, "save")
    assert log == ["commit"]


async def test_a_close_that_is_returned_commits_and_one_that_is_raised_does_not() -> None:
    app, log = saving(Close(4000))
    journal = Journal()

    @app.ws("/raised", dialect=Raw("json"))
    async def raised(db: Annotated[str, Depends(journal.lending("db"))]) -> None:
        raise Close(4000)

    async with talking(app) as ws:
        send(ws, message("save", id=1))
        await ws.assert_closed(4000)
    async with talking(app, "/raised") as ws:
        await ws.send_json({})
        await ws.assert_closed(4000)
    assert log == ["commit"]
    assert "Close in db" in journal.lines


async def test_then_in_a_stream_ends_it_and_the_connection() -> None:
    app, log = saving(Reply("last", then=Close(4000)))
    async with talking(app) as ws:
        send(ws, message("stream", id=1))
        said = await heard(ws, 2)
        assert said[0] == value("stream", "last", seq=0)
        assert said[1] == {"type": "end", "id": 1, "data": {"count": 1}}
        assert log == ["commit"]
        await ws.assert_closed(4000)
