from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from itsdangerous import TimestampSigner
from starlette.datastructures import Secret
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import cookie_parser
from starlette.types import Message, Receive, Scope, Send

from wirework.errors import SessionError, SettingsError
from wirework.security.cookies import SessionCookie
from wirework.security.sessions import Session

KEY = "a key that both sides share"


class Clock:
    def __init__(self, now: float = 1_700_000_000.5) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def sent_back(set_cookie: str | None) -> dict[str, str]:
    """The cookies that a browser sends after this Set-Cookie."""
    assert set_cookie is not None
    return cookie_parser(set_cookie.partition(";")[0])


def signed(payload: bytes, key: str = KEY) -> dict[str, str]:
    return {"session": TimestampSigner(key).sign(b64encode(payload)).decode()}


def written(cookie: SessionCookie, **items: Any) -> dict[str, str]:
    session = Session()
    session.update(items)
    return sent_back(cookie.header(session))


async def through_starlette(
    cookies: dict[str, str], use: Callable[[Any], None], **options: Any
) -> str | None:
    """Drive Starlette's own middleware with one request; returns its Set-Cookie."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        use(scope["session"])
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Message:
        return {"type": "http.request"}

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    header = "; ".join(f"{name}={value}" for name, value in cookies.items()).encode()
    scope = {"type": "http", "headers": [(b"cookie", header)]}
    await SessionMiddleware(app, KEY, **options)(scope, receive, send)
    found = dict(sent[0]["headers"]).get(b"set-cookie")
    return found.decode() if found is not None else None


VALUES = {"user": "Zoë", "roles": ["admin", None], "n": 1.5, "nested": {"deep": [True]}}


async def test_starlette_reads_what_we_write() -> None:
    seen: list[dict[str, Any]] = []
    cookies = written(SessionCookie(KEY), **VALUES)
    await through_starlette(cookies, lambda session: seen.append(dict(session)))
    assert seen == [VALUES]


async def test_we_read_what_starlette_writes() -> None:
    set_cookie = await through_starlette({}, lambda session: session.update(VALUES))
    session = SessionCookie(KEY).load(sent_back(set_cookie))
    assert session == VALUES
    assert not session.modified
    assert SessionCookie(KEY).header(session) is None


async def test_a_session_goes_back_and_forth() -> None:
    cookie = SessionCookie(KEY)
    cookies = sent_back(await through_starlette({}, lambda session: session.update(visits=1)))
    session = cookie.load(cookies)
    session["visits"] += 1
    cookies = sent_back(cookie.header(session))
    seen: list[int] = []
    await through_starlette(cookies, lambda session: seen.append(session["visits"]))
    assert seen == [2]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({}, {}),
        ({"max_age": None}, {"max_age": None}),
        (
            {"name": "sid", "path": "/app", "domain": "example.com", "max_age": 60},
            {"session_cookie": "sid", "path": "/app", "domain": "example.com", "max_age": 60},
        ),
        (
            {"same_site": "none", "https_only": True},
            {"same_site": "none", "https_only": True},
        ),
    ],
)
async def test_the_header_is_the_one_that_starlette_writes(
    ours: dict[str, Any], theirs: dict[str, Any]
) -> None:
    cookie = SessionCookie(KEY, **ours)
    session = Session()
    session["a"] = 1
    expected = await through_starlette({}, lambda session: session.update(a=1), **theirs)
    assert expected is not None
    header = cookie.header(session)
    assert header is not None
    assert header.partition("; ")[2] == expected.partition("; ")[2]
    cookies = sent_back(expected)
    loaded = cookie.load(cookies)
    assert loaded == {"a": 1}
    loaded.clear()
    deleted = await through_starlette(cookies, lambda session: session.clear(), **theirs)
    assert deleted is not None
    assert cookie.header(loaded) == deleted


def test_a_secret_of_starlette_is_the_same_key() -> None:
    assert SessionCookie(KEY).load(written(SessionCookie(Secret(KEY)), a=1)) == {"a": 1}


def test_an_untouched_session_sends_no_cookie() -> None:
    cookie = SessionCookie(KEY)
    assert cookie.header(cookie.load({})) is None
    session = cookie.load(written(cookie, a={"b": 1}))
    assert session.get("a") == {"b": 1}
    assert cookie.header(session) is None


def test_a_write_with_an_equal_value_prolongs_the_session() -> None:
    clock = Clock()
    cookie = SessionCookie(KEY, max_age=100, clock=clock)
    session = cookie.load(written(cookie, a=1))
    clock.now += 90
    session["a"] = 1
    cookies = sent_back(cookie.header(session))
    clock.now += 90
    assert cookie.load(cookies) == {"a": 1}


def test_a_nested_change_is_written_too() -> None:
    cookie = SessionCookie(KEY)
    session = cookie.load(written(cookie, cart=["tea"]))
    session["cart"].append("milk")
    assert cookie.load(sent_back(cookie.header(session))) == {"cart": ["tea", "milk"]}


def test_a_cleared_session_deletes_the_cookie_only_where_there_was_one() -> None:
    cookie = SessionCookie(KEY, path="/app")
    session = cookie.load(written(cookie, a=1))
    session.clear()
    header = cookie.header(session)
    assert header == (
        "session=null; path=/app; expires=Thu, 01 Jan 1970 00:00:00 GMT; httponly; samesite=lax"
    )
    assert cookie.load(sent_back(header)) == {}
    fresh = cookie.load({})
    fresh["a"] = 1
    del fresh["a"]
    assert cookie.header(fresh) is None


def test_a_locked_session_can_still_be_read_and_sent() -> None:
    cookie = SessionCookie(KEY)
    session = Session()
    session["a"] = 1
    session.lock()
    assert cookie.load(sent_back(cookie.header(session))) == {"a": 1}


@pytest.mark.parametrize(
    "cookies",
    [
        {},
        {"session": ""},
        {"session": "null"},
        {"session": "garbage"},
        {"session": "a.b.c"},
        {"session": "..."},
        {"session": "\ud800"},
        {"session": "é.é.é"},
        {"other": "x"},
        signed(b'{"a": 1}', key="another key"),
        signed(b"not json"),
        signed(b"\xff\xfe"),
        signed(b"[1, 2]"),
        signed(b"null"),
        signed(b"{}"),
        signed(b"1" * 5000),
        signed(b'{"a": ' + b"[" * 5000),
        signed(json.dumps({"a": "x" * 8192}).encode()),
        {"session": TimestampSigner(KEY).sign(b"%").decode()},
        {"session": "x" * 1_000_000},
    ],
)
def test_what_cannot_be_trusted_or_read_is_an_empty_session(cookies: dict[str, str]) -> None:
    cookie = SessionCookie(KEY)
    session = cookie.load(cookies)
    assert session == {}
    assert cookie.header(session) is None


def test_a_cookie_signed_for_a_time_beyond_the_calendar_is_an_empty_session() -> None:
    class FarAhead(TimestampSigner):
        def get_timestamp(self) -> int:
            return 2**63

    value = FarAhead(KEY).sign(b64encode(b'{"a": 1}')).decode()
    assert SessionCookie(KEY).load({"session": value}) == {}
    assert SessionCookie(KEY, max_age=None).load({"session": value}) == {}


def test_any_changed_character_makes_the_session_empty() -> None:
    cookie = SessionCookie(KEY)
    value = written(cookie, user="ann")["session"]
    for i, old in enumerate(value[:-1]):
        forged = value[:i] + ("A" if old != "A" else "B") + value[i + 1 :]
        assert cookie.load({"session": forged}) == {}


def test_a_session_ends_after_its_age() -> None:
    clock = Clock()
    cookie = SessionCookie(KEY, max_age=100, clock=clock)
    cookies = written(cookie, a=1)
    clock.now += 100
    assert cookie.load(cookies) == {"a": 1}
    clock.now += 1
    assert cookie.load(cookies) == {}
    assert SessionCookie(KEY, max_age=None, clock=clock).load(cookies) == {"a": 1}


def test_a_server_whose_clock_is_a_little_ahead_is_believed() -> None:
    clock = Clock()
    cookie = SessionCookie(KEY, clock=clock)
    cookies = written(cookie, a=1)
    clock.now -= 60
    assert cookie.load(cookies) == {"a": 1}
    clock.now -= 1
    assert cookie.load(cookies) == {}


def test_a_session_larger_than_browsers_keep_is_an_error() -> None:
    session = Session()
    session["a"] = "x" * 4000
    with pytest.raises(SessionError, match="browsers keep 4096"):
        SessionCookie(KEY).header(session)


@pytest.mark.parametrize("value", [object(), b"bytes", {1, 2}])
def test_a_value_that_is_not_json_is_an_error_that_says_so(value: object) -> None:
    session = Session()
    session["a"] = value
    with pytest.raises(SessionError, match="not JSON serializable"):
        SessionCookie(KEY).header(session)


@pytest.mark.parametrize(
    ("key", "got"),
    [("", "an empty one"), ("  ", "an empty one"), (None, "NoneType"), (b"key", "bytes")],
)
def test_an_empty_key_is_refused_and_the_remedy_named(key: object, got: str) -> None:
    with pytest.raises(SettingsError) as caught:
        SessionCookie(cast("str", key))
    assert f"expected a str that is not empty, got {got}" in str(caught.value)
    assert "secrets.token_urlsafe(32)" in str(caught.value)
    assert "key'" not in str(caught.value)


@pytest.mark.parametrize(
    ("https_only", "is_https", "is_secure"),
    [
        ("auto", True, True),
        ("auto", False, False),
        (True, False, True),
        (False, True, False),
    ],
)
def test_a_cookie_is_secure_as_the_request_or_the_setting_has_it(
    https_only: Any, is_https: bool, is_secure: bool
) -> None:
    cookie = SessionCookie(KEY, https_only=https_only)
    session = Session()
    session["a"] = 1
    header = str(cookie.header(session, is_https=is_https))
    assert ("; secure" in header) is is_secure
    gone = cookie.load(sent_back(header))
    gone.clear()
    assert ("; secure" in str(cookie.header(gone, is_https=is_https))) is is_secure


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": ""}, "name: expected a token"),
        ({"name": "a b"}, "name: expected a token"),
        ({"name": "a=b"}, "name: expected a token"),
        ({"max_age": 0}, "max_age: expected seconds >= 1 or None, got 0"),
        ({"path": "app"}, "path: expected"),
        ({"path": "/; secure"}, "path: expected"),
        ({"path": "/\r\nx: y"}, "path: expected"),
        ({"domain": "a;b"}, "domain: expected"),
        ({"domain": ""}, "domain: expected"),
        ({"same_site": "Lax"}, "same_site: expected 'lax', 'strict' or 'none', got 'Lax'"),
        ({"same_site": "none"}, "https_only=True"),
        ({"same_site": "none", "https_only": False}, "https_only=True"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        SessionCookie(KEY, **options)
    assert said in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.text(max_size=5), json_values, min_size=1, max_size=3))
def test_a_session_comes_back_as_it_was(items: dict[str, Any]) -> None:
    cookie = SessionCookie(KEY)
    session = Session(items)
    session.mark_modified()
    loaded = cookie.load(sent_back(cookie.header(session)))
    assert loaded == items
    assert cookie.header(loaded) is None


@given(st.text(), st.binary())
def test_no_cookie_raises(value: str, payload: bytes) -> None:
    cookie = SessionCookie(KEY)
    cookie.load({"session": value})
    cookie.load(signed(payload))
