from __future__ import annotations

from typing import Any

import pytest

from wirework import (
    Close,
    ConnectionClosed,
    MalformedMessage,
    Refuse,
    RegistrationError,
    Reject,
    SessionError,
    StateError,
    ValidationError,
    WireworkError,
    WrongFrame,
    errors,
)


def test_every_error_has_one_root() -> None:
    public = [getattr(errors, name) for name in errors.__all__]
    kinds = [each for each in public if isinstance(each, type) and issubclass(each, Exception)]
    assert len(kinds) > 10
    assert all(issubclass(kind, WireworkError) for kind in kinds)
    assert issubclass(SessionError, StateError)
    assert issubclass(WrongFrame, MalformedMessage)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (RegistrationError("ws('/')", "no", "do"), "ws('/'): no; do"),
        (RegistrationError("ws('/')", "no"), "ws('/'): no"),
        (ConnectionClosed(1001), "1001 going away"),
        (ConnectionClosed(4123), "4123 closed"),
        (ConnectionClosed(4123, "because"), "4123 because"),
        (Close(4401, "who?"), "close with 4401 who?"),
        (Close(), "close with 1000 done"),
        (Close(4123), "close with 4123"),
        (Refuse(404), "handshake refused with 404"),
        (Reject("full", "try later"), "full: try later"),
        (Reject("full"), "full: full"),
        (MalformedMessage("not JSON"), "not JSON"),
        (WrongFrame("text", "binary"), "expected a text frame, got a binary frame"),
        (
            ValidationError(
                [
                    {"loc": ["items", 0, "name"], "type": "missing", "msg": "Field required"},
                    {"loc": [], "type": "type", "msg": "Expected object"},
                ]
            ),
            "items.0.name: Field required; payload: Expected object",
        ),
    ],
)
def test_the_text_of_an_error_is_built_from_its_fields(error: Exception, text: str) -> None:
    assert str(error) == text


@pytest.mark.parametrize("code", [1002, 1005, 1006, 2000])
def test_a_close_code_is_checked_where_it_is_given(code: int) -> None:
    with pytest.raises(ValueError, match="close code"):
        Close(code)


def test_a_close_reason_is_checked_where_it_is_given() -> None:
    with pytest.raises(ValueError, match="close reason"):
        Close(4000, "x" * 124)


@pytest.mark.parametrize("status", [101, 200, 299, 600, 1000, "403"])
def test_a_refusal_has_a_status_that_refuses(status: Any) -> None:
    with pytest.raises(ValueError, match="expected 300-599"):
        Refuse(status)


def test_a_refusal_takes_text_and_headers_in_either_form() -> None:
    assert Refuse(403, "nö").body == "nö".encode()
    assert Refuse(302, headers={"location": "/login"}).headers == [("location", "/login")]
    assert Refuse(401, headers=[("a", "1"), ("a", "2")]).headers == [("a", "1"), ("a", "2")]
