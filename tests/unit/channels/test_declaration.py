"""What cannot work is refused where it is declared, with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.channels.talking import Text
from wirework import App, History, NoSuchChannel, Presence, RegistrationError, StateError


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("", {}, r"channel\(''\): expected a name, got none"),
        (7, {}, r"channel\(7\): expected a name, got 7"),
        ("$own", {}, r"channel\('\$own'\): names that begin with \$ are Wirework's own"),
        ("a", {"mode": "fast"}, "mode: expected one of .*'latest'.*, got 'fast'"),
        ("a", {"history": 100}, "history: expected History.*, got 100"),
        ("a", {"mode": "ephemeral", "history": History()}, "keeps nothing; leave out history"),
        ("a", {"overflow": "explode"}, "overflow: expected one of .*'drop'.*, got 'explode'"),
        ("a", {"overflow": "catch_up"}, "'catch_up' needs mode 'stream' with history"),
        ("a", {"overflow": "catch_up", "mode": "latest"}, "'catch_up' needs mode 'stream'"),
        ("a", {"overflow": "latest", "history": History()}, "'latest' needs mode 'latest'"),
        ("a", {"overflow": "drop", "history": History()}, "'drop' leaves holes"),
        ("a", {"overflow": "drop", "mode": "latest"}, "'drop' leaves holes"),
        ("a", {"presence": "yes"}, "presence: expected True, False or Presence.*, got 'yes'"),
        ("a", {"max_subscribers": 0}, "max_subscribers: expected an int >= 1, got 0"),
        ("a", {"max_subscribers": True}, "max_subscribers: expected an int >= 1, got True"),
    ],
    ids=[
        *("empty", "number", "own", "mode", "history", "ephemeral", "overflow", "nothing kept"),
        *("catch up of latest", "latest of stream", "drop with history", "drop of latest"),
        *("presence", "no subscribers", "bool"),
    ],
)
def test_options_that_cannot_work_are_refused(
    name: Any, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(RegistrationError, match=words):
        App().channel(name, **options)


def test_a_family_is_declared_once() -> None:
    app = App()
    app.channel("chat:{room}")
    with pytest.raises(RegistrationError, match=r"channel\('chat:\{room\}'\) has these names"):
        app.channel("chat:{name}")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: History(size=0), "size: expected an int >= 1, got 0"),
        (lambda: History(size=True), "size: expected an int >= 1, got True"),
        (lambda: History(ttl=0), "ttl: expected seconds up to 30 days, got 0"),
        (lambda: History(ttl=float("nan")), "ttl: .* got nan"),
        (lambda: History(ttl=31 * 24 * 3600), "ttl: expected seconds up to 30 days"),
        (lambda: Presence(grace=-1), "grace: expected 0 to 3600 seconds, got -1"),
    ],
    ids=["size", "bool", "ttl", "nan", "long", "grace"],
)
def test_numbers_that_cannot_be_used_are_refused(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize(
    ("options", "overflow", "keeps"),
    [
        ({}, "close", False),
        ({"history": History()}, "catch_up", True),
        ({"mode": "ephemeral"}, "drop", False),
        ({"mode": "latest"}, "latest", True),
        ({"history": History(), "overflow": "close"}, "close", True),
        ({"mode": "ephemeral", "overflow": "close"}, "close", False),
    ],
    ids=["stream", "history", "ephemeral", "latest", "chosen", "strict"],
)
def test_what_a_slow_reader_gets_follows_from_what_the_channel_keeps(
    options: dict[str, Any], overflow: str, keeps: bool
) -> None:
    rules = App().channel("a", **options).rules
    assert (rules.overflow, rules.keep is not None) == (overflow, keeps)


def hook(kind: str, function: Any) -> None:
    getattr(App().channel("chat:{room}", model=Text), kind)(function)


async def untyped(thing) -> None: ...  # type: ignore[no-untyped-def]


async def wrong_room(room: int) -> None: ...


async def a_stream(room: str) -> Any:
    yield room


def a_generator(room: str) -> Iterator[str]:
    yield room


async def a_payload(text: str) -> None: ...


@pytest.mark.parametrize(
    ("kind", "function", "words"),
    [
        ("on_subscribe", untyped, r"channel\('chat:\{room\}'\)\.on_subscribe.*thing"),
        ("on_subscribe", wrong_room, "on_subscribe.*room"),
        ("on_subscribe", a_stream, "write a def or an async def without yield"),
        ("on_publish", a_generator, "write a def or an async def without yield"),
        ("on_unsubscribe", a_payload, "on_unsubscribe.*text"),
    ],
    ids=["untyped", "room of another type", "stream", "generator", "no payload"],
)
def test_a_function_that_cannot_be_called_is_refused(kind: str, function: Any, words: str) -> None:
    with pytest.raises(RegistrationError, match=words):
        hook(kind, function)


@pytest.mark.parametrize("kind", ["on_subscribe", "on_publish", "on_unsubscribe"])
def test_there_is_one_function_of_each_kind(kind: str) -> None:
    chat = App().channel("chat:{room}")

    async def first(room: str) -> bool:
        return True

    assert getattr(chat, kind)(first) is first
    with pytest.raises(RegistrationError, match=rf"{kind}: .*first is registered already"):
        getattr(chat, kind)(first)


def test_a_channel_is_had_by_its_parameters_or_by_its_name() -> None:
    app = App()
    chat = app.channel("chat:{room}")
    assert app.channel_named("chat:42") == chat(room="42")
    assert chat(room="42") != chat(room="43")
    assert len({chat(room="42"), app.channel_named("chat:42")}) == 1
    assert repr(chat(room="42")) == "<channel chat:42>"
    with pytest.raises(NoSuchChannel, match=r"'chat:ro:om'; did you mean 'chat:\{room\}'\?"):
        app.channel_named("chat:ro:om")


def test_no_family_has_the_names_of_wirework() -> None:
    app = App()
    every = app.channel("{name}")
    with pytest.raises(NoSuchChannel):
        app.channel_named("$wirework")
    with pytest.raises(ValueError, match="Wirework's own"):
        every(name="$wirework")


async def test_what_a_channel_does_not_keep_cannot_be_asked_for() -> None:
    news = App().channel("news")
    with pytest.raises(StateError, match=r"declare it with history=History\(\.\.\.\)"):
        await news().history()
    with pytest.raises(StateError, match="declare it with presence=True"):
        await news().presence()
