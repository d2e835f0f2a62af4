from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from wirework import RegistrationError, Reject
from wirework.channels.names import ChannelTemplate, check_name

ID = UUID("6f1d2c3b-0000-4000-8000-000000000001")


@pytest.mark.parametrize("name", ["a", "chat:42", "größe", "日本", "a/b?c=d", "x" * 255, "..%2f"])
def test_a_name_is_printable_text_without_whitespace(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "got none"),
        ("x" * 256, "at most 255 bytes, got 256"),
        ("ä" * 128, "at most 255 bytes, got 256"),
        ("a b", "no whitespace"),
        ("a\x00", "no whitespace"),
        ("a\u00a0b", "no whitespace"),
        ("a\u200bb", "cannot be seen"),
        ("a\u202eb", "cannot be seen"),
        ("e\u0301", "composed form"),
        ("a\ud800", "lone surrogates"),
    ],
    ids=[
        *("empty", "long", "long in bytes", "space", "nul", "no-break space", "zero width"),
        *("right to left", "decomposed", "surrogate"),
    ],
)
def test_what_is_no_name_is_refused_with_the_reason(name: str, words: str) -> None:
    with pytest.raises(Reject, match=words) as caught:
        check_name(name)
    assert caught.value.code == "bad_channel"


@pytest.mark.parametrize(
    ("template", "name", "parameters"),
    [
        ("news", "news", {}),
        ("news", "news2", None),
        ("chat:{room}", "chat:42", {"room": "42"}),
        ("chat:{room}", "chat:", None),
        ("chat:{room}", "chat:a:b", None),
        ("chat:{room}", "Chat:42", None),
        ("game:{id:int}:moves", "game:7:moves", {"id": 7}),
        ("game:{id:int}:moves", "game:-7:moves", {"id": -7}),
        ("game:{id:int}:moves", "game:07:moves", None),
        ("game:{id:int}:moves", "game:+7:moves", None),
        ("game:{id:int}:moves", "game:٧:moves", None),
        ("doc:{id:uuid}", f"doc:{ID}", {"id": ID}),
        ("doc:{id:uuid}", f"doc:{str(ID).upper()}", None),
        ("a.b:{x}", "aXb:1", None),
        ("{a}:{b}", "1:2", {"a": "1", "b": "2"}),
    ],
    ids=str,
)
def test_a_name_belongs_to_a_family_in_one_spelling(
    template: str, name: str, parameters: dict[str, Any] | None
) -> None:
    found = ChannelTemplate(template, "channel")
    assert found.match(name) == parameters
    if parameters is not None:
        assert found.fill(parameters) == name


@pytest.mark.parametrize(
    ("values", "error", "words"),
    [
        ({}, TypeError, "expected room, got none"),
        ({"rom": "1"}, TypeError, "expected room, got rom"),
        ({"room": "a:b"}, ValueError, "no colon"),
        ({"room": ""}, ValueError, "fit their kinds"),
        ({"room": "a b"}, ValueError, "no whitespace"),
        ({"room": 7}, ValueError, "fit their kinds"),
    ],
    ids=["missing", "unknown", "colon", "empty", "space", "number"],
)
def test_parameters_that_do_not_fit_are_refused(
    values: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        ChannelTemplate("chat:{room}", "channel").fill(values)


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("chat:{}", "different names"),
        ("chat:{a}:{a}", "different names"),
        ("chat:{a:float}", "expected one of str, int, uuid, got 'float'"),
        ("chat:{a", "expected {name}"),
        ("a b", "no whitespace"),
        ("", "got none"),
        (7, "expected a name, got 7"),
    ],
    ids=["nameless", "twice", "kind", "open", "space", "empty", "number"],
)
def test_a_template_that_cannot_work_is_refused(template: Any, words: str) -> None:
    with pytest.raises(RegistrationError, match=words):
        ChannelTemplate(template, "channel")
