"""A name belongs to the narrowest family that has it, whatever was declared first."""

from __future__ import annotations

from itertools import permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wirework import App, NoSuchChannel, RegistrationError
from wirework.channels.families import Families
from wirework.channels.names import ChannelTemplate
from wirework.dialects import Typed
from wirework.testing import TestClient

ID = "6f1d2c3b-0000-4000-8000-000000000001"


def template(text: str) -> ChannelTemplate:
    return ChannelTemplate(text, "channel")


def families(*texts: str) -> Families[str]:
    found: Families[str] = Families()
    for text in texts:
        assert found.clash(template(text)) is None
        found.add(template(text), text)
    return found


def winner(found: Families[str], name: str) -> str | None:
    family = found.find(name)
    return None if family is None else family[0]


@pytest.mark.parametrize(
    ("texts", "name", "wins"),
    [
        (("chat:{room}", "chat:staff"), "chat:staff", "chat:staff"),
        (("chat:{room}", "chat:{n:int}", "chat:7"), "chat:7", "chat:7"),
        (("chat:{room}", "chat:{n:int}", "chat:7"), "chat:8", "chat:{n:int}"),
        (("chat:{room}", "chat:{n:int}", "chat:7"), "chat:x", "chat:{room}"),
        (("d:{a}", "d:{b:uuid}"), f"d:{ID}", "d:{b:uuid}"),
        (("{a}:{b}", "chat:{b}", "{a}:{b:int}:x"), "chat:1", "chat:{b}"),
        (("{a}:{b}", "{a:int}:{b}", "{a:int}:{b:int}"), "1:2", "{a:int}:{b:int}"),
        (("v{a}", "v{n:int}", "v{n:int}.{m:int}"), "v1.2", "v{n:int}.{m:int}"),
        (("{a}", "{a}-{b}", "x{a}-{b}"), "xy-z", "x{a}-{b}"),
        (("user-{a}", "team-{a}", "{a}"), "team-1", "team-{a}"),
        (("a:{x}:c", "a:{x}:d", "a:{x}:{y}"), "a:b:d", "a:{x}:d"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_the_narrowest_family_wins_in_whatever_order_they_are_added(
    texts: tuple[str, ...], name: str, wins: str
) -> None:
    for order in permutations(texts):
        assert winner(families(*order), name) == wins


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        ("a:{x}", "{y}:b", "a:b"),
        ("{n:int}:{x}", "{y}:b", "0:b"),
        ("a{x}", "{y}b", "ab"),
        ("{n:int}:x:{b}", "{a}:x:{m:int}", "0:x:0"),
        ("{n:int}{x}", "{x}a", "0a"),
    ],
)
def test_families_of_which_neither_is_narrower_clash(first: str, second: str, shared: str) -> None:
    found = families(first)
    assert found.clash(template(second)) == (first, shared)
    assert winner(families(second), shared) == second


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("news", "news"),
        ("chat:{room}", "chat:{name}"),
        ("a{x}{y}", "a{z}{w}"),
        ("{a}:{n:int}", "{b}:{m:int}"),
    ],
)
def test_families_with_the_same_names_clash(first: str, second: str) -> None:
    assert families(first).clash(template(second)) == (first, None)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("news", "olds"),
        ("chat:{room}", "chat:{room}:log"),
        ("a:{n:int}", "a:{id:uuid}"),
        ("a:{n:int}", "a:x{b}"),
        ("user-{a}", "team-{a}"),
        ("{a}.x", "{a}.y"),
        ("{n:int}:a", "-0:{b}"),
        ("a{n:int}", "a0{m:int}"),
    ],
)
def test_families_without_a_name_in_common_stand_side_by_side(first: str, second: str) -> None:
    meeting = template(first).meeting(template(second))
    assert meeting == (None, True, True)
    assert families(first).clash(template(second)) is None
    assert families(second).clash(template(first)) is None


NAMES = ["".join(each) for size in range(1, 6) for each in product("a0-:", repeat=size)]
"""Long enough to tell all templates below apart."""
MORE_NAMES = {
    *(name.replace("-", mark) for name in NAMES for mark in "-x1"),
    *("".join(each) for size in range(1, 5) for each in product("a01-:x", repeat=size)),
}
PIECES = st.sampled_from(["a", "0", "-", ":", "{}", "{:int}"])


@st.composite
def templates(draw: st.DrawFn) -> ChannelTemplate:
    pieces = draw(st.lists(PIECES, min_size=1, max_size=3))
    names = [each.replace("{", f"{{p{at}") for at, each in enumerate(pieces)]
    return template("".join(names))


@given(first=templates(), second=templates())
def test_what_two_families_have_in_common_is_what_both_match(
    first: ChannelTemplate, second: ChannelTemplate
) -> None:
    mine, theirs = (
        {name for name in NAMES if each.match(name) is not None} for each in (first, second)
    )
    meeting = first.meeting(second)
    # A name with a character that is in neither is found, too, though it is none of these.
    assert mine & theirs == set() or meeting.shared is not None
    if meeting.shared is not None:
        assert first.match(meeting.shared) is not None
        assert second.match(meeting.shared) is not None
        assert not mine - theirs or meeting.has_first
        assert not theirs - mine or meeting.has_second


@given(first=templates(), second=templates())
def test_who_is_said_to_have_more_names_has_them(
    first: ChannelTemplate, second: ChannelTemplate
) -> None:
    mine, theirs = (
        {name for name in MORE_NAMES if each.match(name) is not None} for each in (first, second)
    )
    shared, has_first, has_second = first.meeting(second)
    if shared is not None:
        assert (bool(mine - theirs), bool(theirs - mine)) == (has_first, has_second)


# --- in an application --------------------------------------------------------------------------


@pytest.mark.parametrize("is_open_first", [True, False], ids=["open first", "closed first"])
async def test_an_open_family_does_not_let_clients_into_a_closed_channel(
    is_open_first: bool,
) -> None:
    app = App()
    app.events("/live", dialect=Typed())
    for text in ("chat:{room}", "chat:staff")[:: 1 if is_open_first else -1]:
        app.channel(text).on_subscribe((lambda: True) if "{" in text else (lambda: False))
    async with TestClient(app) as client, client.connect("/live") as ws:
        for room, said in (("staff", "error"), ("tea", "channel.subscribed")):
            data = {"channel": f"chat:{room}"}
            await ws.send_json({"type": "channel.subscribe", "id": 1, "data": data})
            assert (await ws.receive_json())["type"] == said


def test_an_application_names_both_families_that_clash() -> None:
    app = App()
    app.channel("a:{x}")
    with pytest.raises(RegistrationError, match=r"'\{y\}:b'.*'a:\{x\}'.*such as 'a:b'"):
        app.channel("{y}:b")
    with pytest.raises(NoSuchChannel):
        app.channel_named("c:b")
