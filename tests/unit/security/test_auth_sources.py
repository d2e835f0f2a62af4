from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wirework.errors import SessionError
from wirework.handshake import Handshake
from wirework.security.auth import AnyOf, Auth, FirstMessage, Found, Source
from wirework.security.credentials import MAX_CREDENTIAL, BadCredentials
from wirework.security.redaction import redact_query
from wirework.security.sessions import Session
from wirework.security.sources import (
    Bearer,
    QueryToken,
    SessionUser,
    SubprotocolToken,
    Ticket,
)


def verify(token: str) -> str | None:
    return token


def handshake(
    *headers: tuple[str, str],
    query: str = "",
    subprotocols: Sequence[str] = (),
    session: Mapping[str, Any] | None = None,
) -> Handshake:
    scope: dict[str, Any] = {
        "type": "websocket",
        "path": "/",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
        "query_string": query.encode(),
        "subprotocols": list(subprotocols),
    }
    if session is not None:
        scope["session"] = Session(session)
    return Handshake(scope)


def bearer(*values: str) -> Handshake:
    return handshake(*(("authorization", value) for value in values))


def reason(auth: Auth, request: Handshake) -> str:
    with pytest.raises(BadCredentials) as caught:
        auth.find(request)
    assert (caught.value.code, caught.value.details) == ("not_authenticated", None)
    assert str(caught.value) == "not_authenticated: Could not validate credentials."
    return caught.value.reason


JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl_-"
LONG = "a" * (MAX_CREDENTIAL + 1)

# --- Bearer -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [f"Bearer {JWT}", f"bearer {JWT}", f"BEARER {JWT}", f"Bearer   {JWT}", f" Bearer {JWT} "],
)
def test_a_bearer_token_is_found_whatever_the_case_of_its_scheme(header: str) -> None:
    assert Bearer(verify).credentials_of(bearer(header)) == JWT


@pytest.mark.parametrize("token", ["a", "a+/=", "a==", "~._-", "a" * (MAX_CREDENTIAL - 7)])
def test_a_bearer_token_is_any_b64token(token: str) -> None:
    assert Bearer(verify).credentials_of(bearer(f"Bearer {token}")) == token


@pytest.mark.parametrize("header", ["Basic YTpi", "Digest x", "Bearerx y", JWT, "Negotiate"])
def test_a_header_of_another_scheme_has_no_bearer_token(header: str) -> None:
    assert Bearer(verify).find(bearer(header)) is None


def test_a_handshake_without_the_header_has_no_bearer_token() -> None:
    assert Bearer(verify).find(handshake()) is None


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((f"Bearer {JWT}", f"Bearer {JWT}"), "Authorization: expected one, got 2"),
        ((f"Bearer {JWT}", "Basic YTpi"), "Authorization: expected one, got 2"),
        (("",), "Authorization: it is empty"),
        (("Bearer",), "Bearer: it is empty"),
        (("Bearer  ",), "Bearer: it is empty"),
        ((f"Bearer {LONG}",), "Authorization: expected at most 8192 characters, got 8200"),
        ((f"Bearer {JWT} {JWT}",), "Bearer: expected a b64token of RFC 6750, got something else"),
        ((f"Bearer {JWT},b",), "Bearer: expected a b64token of RFC 6750, got something else"),
        (("Bearer =",), "Bearer: expected a b64token of RFC 6750, got something else"),
        (("Bearer \xe9",), "Bearer: expected a b64token of RFC 6750, got something else"),
        (("Bearer a\nb",), "Bearer: expected a b64token of RFC 6750, got something else"),
        (("Bearer a\n",), "Bearer: expected a b64token of RFC 6750, got something else"),
    ],
    ids=[
        *("twice", "two_schemes", "empty_header", "no_token", "spaces", "long", "two_tokens"),
        *("comma", "padding", "latin", "line", "line_end"),
    ],
)
def test_a_bad_authorization_header_is_refused(values: tuple[str, ...], said: str) -> None:
    assert reason(Bearer(verify), bearer(*values)) == said


# --- Subprotocol --------------------------------------------------------------------------------


def test_a_token_among_the_subprotocols_is_found_and_never_agreed() -> None:
    auth, offered = SubprotocolToken(verify), ["chat.v2", f"token.{JWT}", "chat.v1"]
    assert auth.credentials_of(handshake(subprotocols=offered)) == JWT
    assert auth.subprotocols(offered) == ("chat.v2", "chat.v1")
    assert auth.agreed(offered) == "chat.v2"


def test_a_token_that_was_offered_alone_is_not_agreed_either() -> None:
    assert SubprotocolToken(verify).agreed([f"token.{JWT}"]) is None


def test_nothing_is_agreed_for_who_offers_no_token() -> None:
    auth = SubprotocolToken(verify)
    assert auth.credentials_of(handshake(subprotocols=["chat.v1"])) is None
    assert auth.agreed(["chat.v1"]) is None
    assert Bearer(verify).agreed(["chat.v1", "token.x"]) is None


def test_the_prefix_of_the_token_can_be_chosen() -> None:
    auth, offered = SubprotocolToken(verify, prefix="bearer-"), ["bearer-abc", "token.def"]
    assert auth.credentials_of(handshake(subprotocols=offered)) == "abc"
    assert auth.agreed(offered) == "token.def"


@pytest.mark.parametrize(
    ("offered", "said"),
    [
        (["token.a", "token.b"], "token: expected one, got 2"),
        (["token.a", "token.a"], "token: expected one, got 2"),
        (["token."], "subprotocol: it is empty"),
        (["token." + LONG], "subprotocol: expected at most 8192 characters, got 8193"),
        (["token.a/b="], "subprotocol: expected a token of RFC 9110, got something else"),
        (["token.a\x00"], "subprotocol: expected a token of RFC 9110, got something else"),
        (["token.a\n"], "subprotocol: expected a token of RFC 9110, got something else"),
    ],
    ids=["two", "twice", "empty", "long", "slash", "nul", "line_end"],
)
def test_a_bad_token_among_the_subprotocols_is_refused(offered: list[str], said: str) -> None:
    assert reason(SubprotocolToken(verify), handshake(subprotocols=offered)) == said


# --- Query --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "found"),
    [("token=abc", "abc"), ("a=1&tok%65n=a%2Fb%3D", "a/b="), ("Token=abc", None), ("", None)],
)
def test_a_token_in_the_query_is_found(query: str, found: str | None) -> None:
    assert QueryToken(verify).credentials_of(handshake(query=query)) == found


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("token=a&token=b", "token: expected one, got 2"),
        ("token=a&tok%65n=b", "token: expected one, got 2"),
        ("token=", "token: it is empty"),
        (f"token={LONG}", "token: expected at most 8192 characters, got 8193"),
    ],
    ids=["two", "two_encoded", "empty", "long"],
)
def test_a_bad_token_in_the_query_is_refused(query: str, said: str) -> None:
    assert reason(QueryToken(verify), handshake(query=query)) == said


def test_which_parameters_are_secret_is_known() -> None:
    auth = AnyOf(Bearer(verify), QueryToken(verify, "key"), Ticket())
    assert auth.secret_parameters == {"key", "ticket"}
    assert Bearer(verify).secret_parameters == frozenset()


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("token=abc", "token=***"),
        ("a=1&token=abc&b=2", "a=1&token=***&b=2"),
        ("token=a&token=b", "token=***&token=***"),
        ("tok%65n=abc", "tok%65n=***"),
        ("TOKEN=abc", "TOKEN=***"),
        ("token=a=b", "token=***"),
        ("token=", "token=***"),
        ("token", "token"),
        ("mytoken=abc&b=%20", "mytoken=abc&b=%20"),
        ("", ""),
    ],
)
def test_logs_show_an_address_without_its_token(query: str, shown: str) -> None:
    assert redact_query(query, {"token"}) == shown


@given(query=st.text(alphabet="token=&%65;+ T", max_size=40))
def test_no_query_shows_what_a_source_would_read_from_it(query: str) -> None:
    secret = "s3cr3t"
    address = f"{query}&token={secret}"
    shown = redact_query(address, QueryToken(verify).secret_parameters)
    assert secret not in handshake(query=shown).query.getlist("token")
    assert secret in handshake(query=address).query.getlist("token")


# --- the session --------------------------------------------------------------------------------


@pytest.mark.parametrize("user", ["ada", 7, {"id": 7}, 0])
def test_the_user_of_the_session_is_found_as_it_was_stored(user: object) -> None:
    auth = SessionUser()
    found = auth.credentials_of(handshake(session={"user": user}))
    assert found == user
    assert auth.verify(found) == user


def test_a_session_without_a_user_has_no_credentials() -> None:
    assert SessionUser().credentials_of(handshake(session={})) is None
    assert SessionUser(key="id").credentials_of(handshake(session={"user": 1})) is None


def test_an_empty_name_in_the_session_is_refused() -> None:
    assert reason(SessionUser(), handshake(session={"user": ""})) == "session: it is empty"


def test_the_users_of_an_application_without_sessions_are_a_mistake() -> None:
    with pytest.raises(SessionError, match="secret_key"):
        SessionUser().credentials_of(handshake())


# --- several sources ----------------------------------------------------------------------------


def test_the_first_source_that_has_credentials_decides() -> None:
    header, query = Bearer(verify), QueryToken(verify)
    auth = AnyOf(header, query)
    both = handshake(("authorization", "Bearer a"), query="token=b")
    assert auth.find(both) == Found(header, "a")
    assert auth.find(handshake(query="token=b")) == Found(query, "b")
    assert auth.find(handshake()) is None
    assert auth.credentials_of(both) == "a"


def test_bad_credentials_in_one_source_do_not_make_the_next_one_count() -> None:
    auth = AnyOf(Bearer(verify), QueryToken(verify))
    request = handshake(("authorization", "Bearer"), query="token=b")
    assert reason(auth, request) == "Bearer: it is empty"


def test_the_first_message_is_the_last_source() -> None:
    last = FirstMessage(verify)
    auth = AnyOf(Bearer(verify), last)
    assert auth.by_message is last
    assert last.by_message is last
    assert AnyOf(Bearer(verify)).by_message is None
    assert auth.find(handshake()) is None


def test_no_source_among_several_has_its_token_agreed() -> None:
    auth = AnyOf(SubprotocolToken(verify), SubprotocolToken(verify, prefix="old-"))
    assert auth.agreed(["token.a", "old-b", "chat"]) == "chat"


def test_a_refusal_names_the_scheme_that_is_asked_for() -> None:
    assert AnyOf(SessionUser(), Bearer(verify)).challenge == "Bearer"
    assert AnyOf(SessionUser()).challenge is None


def test_what_a_client_says_of_itself_elsewhere_is_no_credential() -> None:
    request = handshake(
        ("x-user", "admin"),
        ("x-forwarded-user", "admin"),
        ("cookie", "user=admin; session=admin; token=admin"),
        query="user=admin&sub=admin&session=admin&authorization=Bearer%20admin",
        subprotocols=["admin", "user.admin"],
        session={},
    )
    auth = AnyOf(
        Bearer(verify),
        SubprotocolToken(verify),
        QueryToken(verify),
        SessionUser(),
        Ticket(),
        FirstMessage(verify),
    )
    assert auth.find(request) is None


SOURCES: dict[str, Source] = {
    "bearer": Bearer(verify),
    "subprotocol": SubprotocolToken(verify),
    "query": QueryToken(verify),
    "ticket": Ticket(verify),
    "session": SessionUser(verify),
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
@given(text=st.text(alphabet=st.characters(max_codepoint=255)))
def test_no_text_makes_a_source_raise_anything_but_the_refusal(source: Source, text: str) -> None:
    request = handshake(
        ("authorization", text),
        query=text,
        subprotocols=[text, f"token.{text}"],
        session={"user": text},
    )
    reasons: list[str] = []
    for each in (request, bearer(f"Bearer {text}"), handshake(query=f"token={text}&ticket={text}")):
        if source.credential_type is object and not each.has_session:
            continue
        try:
            source.credentials_of(each)
        except BadCredentials as error:
            reasons.append(error.reason)
    assert not any(text in said for said in reasons if len(text) > 12)


# --- options ------------------------------------------------------------------------------------


def test_what_is_not_said_is_left_to_the_settings() -> None:
    auth = Bearer(verify)
    said = (auth.timeout, auth.optional, auth.refuse, auth.recheck, auth.permissions)
    assert said == (None, False, None, None, None)


class Callback:
    def __call__(self, token: str) -> str:
        return token


@pytest.mark.parametrize("function", [verify, Callback(), Callback().__call__, lambda token: token])
def test_whatever_can_be_called_can_verify(function: Callable[..., Any]) -> None:
    assert Bearer(function).verify is function


LOOSE: Any = Bearer
LOOSE_ANY_OF: Any = AnyOf


async def _later(user: object) -> list[str]:
    return []


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: LOOSE("abc"), "Bearer: expected a function, got 'abc'"),
        (lambda: FirstMessage(Callback), "FirstMessage: expected a function, got <class"),
        (lambda: FirstMessage(verify, timeout=0), "FirstMessage timeout: expected seconds above 0"),
        (lambda: Bearer(verify, timeout=float("nan")), "timeout: expected seconds above 0, got na"),
        (lambda: Bearer(verify, recheck=-1), "Bearer recheck: expected seconds above 0, got -1"),
        (lambda: LOOSE(verify, refuse="no"), "refuse: expected 'status' or 'close', got 'no'"),
        (lambda: LOOSE(verify, permissions="a"), "Bearer permissions: expected a def, got 'a'"),
        (lambda: LOOSE(verify, permissions=_later), "Bearer permissions: expected a def, got <f"),
        (lambda: QueryToken(verify, ""), "QueryToken name: expected that of a parameter, got ''"),
        (
            lambda: SubprotocolToken(verify, "a b"),
            "prefix: expected 'token.' or similar, got 'a b'",
        ),
        (lambda: SubprotocolToken(verify, ""), "prefix: expected 'token.' or similar, got ''"),
        (lambda: AnyOf(), "AnyOf: expected sources such as Bearer.verify., got none"),
        (lambda: LOOSE_ANY_OF(verify), "AnyOf: expected sources such as Bearer.verify., got <func"),
        (lambda: LOOSE_ANY_OF(AnyOf(Bearer(verify))), "got AnyOf.Bearer.verify.."),
        (lambda: AnyOf(FirstMessage(verify), Bearer(verify)), "FirstMessage as the last source"),
        (
            lambda: AnyOf(Bearer(verify, optional=True)),
            "optional of Bearer.verify.: give it to Any",
        ),
        (lambda: AnyOf(Bearer(verify, timeout=3)), "timeout of Bearer.verify.: give it to AnyOf"),
        (lambda: AnyOf(Bearer(verify, refuse="close")), "refuse of Bearer.verify.: give it to Any"),
    ],
    ids=[
        *("no_function", "class", "no_time", "nan", "recheck", "refuse", "permissions"),
        *("async_permissions", "no_name", "prefix", "no_prefix", "no_source", "no_auth", "nested"),
        *("first_first", "optional", "timeout", "refuse_one"),
    ],
)
def test_what_cannot_work_is_refused_where_it_is_written(make: Any, said: str) -> None:
    with pytest.raises((TypeError, ValueError), match=said):
        make()


def test_an_empty_first_message_is_somebody_without_a_name_only_where_that_may_be() -> None:
    assert FirstMessage(verify).credentials_in("") == ""
    assert FirstMessage(verify, optional=True).credentials_in("") is None
    assert FirstMessage(verify, optional=True).credentials_in("abc") == "abc"


def test_a_first_message_with_a_token_that_is_too_long_is_refused() -> None:
    with pytest.raises(BadCredentials):
        FirstMessage(verify).credentials_in(LONG)
