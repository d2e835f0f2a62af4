from __future__ import annotations

import base64
import hashlib
import logging
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from itsdangerous import TimestampSigner, URLSafeSerializer

from wirework.handshake import Handshake
from wirework.security.credentials import BadCredentials
from wirework.security.sources import QueryToken, Ticket
from wirework.security.tickets import Tickets, UsedTickets

SECRET = "a key of thirty-two characters!!"
LOOSE: Any = Tickets


class Clock:
    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def tickets(clock: Callable[[], float] | None = None, **options: Any) -> Tickets:
    return Tickets(SECRET, clock=clock or Clock(), **options)


@pytest.mark.parametrize(
    "value", ["ada", 7, 0, False, "", [], {"id": 7, "name": "Zoë"}, [1, None]], ids=repr
)
async def test_a_ticket_brings_back_what_it_was_issued_for_once(value: Any) -> None:
    own = tickets()
    ticket = own.issue(value)
    assert await own.redeem(ticket) == value
    assert await own.redeem(ticket) is None


async def test_two_tickets_for_one_user_are_two_tickets() -> None:
    own = tickets()
    first, second = own.issue("ada"), own.issue("ada")
    assert first != second
    assert [await own.redeem(first), await own.redeem(second)] == ["ada", "ada"]


@pytest.mark.parametrize(("later", "found"), [(29.9, "ada"), (30.0, None), (3600.0, None)])
async def test_a_ticket_is_good_for_its_lifetime(later: float, found: str | None) -> None:
    clock = Clock()
    own = tickets(clock)
    ticket = own.issue("ada")
    clock.now += later
    assert await own.redeem(ticket) == found


async def test_a_ticket_of_another_process_with_the_same_key_is_good() -> None:
    assert await tickets().redeem(tickets().issue("ada")) == "ada"


async def test_a_ticket_signed_with_another_key_is_not() -> None:
    assert await tickets().redeem(Tickets("another key", clock=Clock()).issue("ada")) is None


async def test_what_the_same_key_signed_for_something_else_is_no_ticket() -> None:
    cookie = TimestampSigner(SECRET).sign(base64.b64encode(b'["id", 9e9, "ada"]')).decode()
    other = URLSafeSerializer(SECRET).dumps(["id", 9e9, "ada"])
    own = {"digest_method": hashlib.sha256, "key_derivation": "hmac"}
    like = URLSafeSerializer(SECRET, signer_kwargs=own).dumps(["id", 9e9, "ada"])
    assert [await tickets().redeem(each) for each in (cookie, other, like)] == [None] * 3


async def test_every_changed_character_makes_a_ticket_worthless() -> None:
    own = tickets()
    ticket = own.issue("ada")
    for at, letter in enumerate(ticket[:-1]):
        forged = ticket[:at] + ("A" if letter != "A" else "B") + ticket[at + 1 :]
        assert await own.redeem(forged) is None
    assert await own.redeem(ticket) == "ada"


async def test_a_used_ticket_is_used_however_the_end_of_its_signature_is_written() -> None:
    own = tickets()
    ticket = own.issue("ada")
    assert await own.redeem(ticket) == "ada"
    for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-":
        assert await own.redeem(ticket[:-1] + letter) is None


@given(text=st.text())
async def test_no_text_is_a_ticket_or_raises(text: str) -> None:
    assert await tickets().redeem(text) is None


@pytest.mark.parametrize(
    "other",
    [None, 5, b"x", "x" * 1_000_000, "\udcff", "a.b\n"],
    ids=["none", "int", "bytes", "long", "surrogate", "line"],
)
async def test_what_is_no_text_for_a_ticket_is_none(other: Any) -> None:
    assert await tickets().redeem(other) is None


async def test_used_tickets_are_forgotten_when_they_have_expired() -> None:
    clock = Clock()
    store = UsedTickets(clock=clock)
    own = tickets(clock, store=store)
    for _ in range(3):
        await own.redeem(own.issue("ada"))
    assert len(store) == 3
    clock.now += 30
    await own.redeem(own.issue("ada"))
    assert len(store) == 1


async def test_a_full_store_lets_nobody_in_and_forgets_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    store = UsedTickets(2, clock=clock)
    own = tickets(clock, store=store)
    used = [own.issue("ada"), own.issue("bob")]
    assert [await own.redeem(each) for each in used] == ["ada", "bob"]
    waiting = own.issue("eve")
    with caplog.at_level(logging.WARNING, "wirework"):
        assert await own.redeem(waiting) is None
    assert "no room to remember a used ticket: 2 are still good" in caplog.text
    assert [await own.redeem(each) for each in used] == [None, None]
    clock.now += 31
    assert await own.redeem(own.issue("eve")) == "eve"


async def test_a_store_of_ones_own_decides() -> None:
    class Nobody:
        def __init__(self) -> None:
            self.spent: list[tuple[str, float]] = []

        async def spend(self, id: str, until: float) -> bool:
            self.spent.append((id, until))
            return False

    store = Nobody()
    own = tickets(store=store)
    assert await own.redeem(own.issue("ada")) is None
    assert [until for _, until in store.spent] == [1_700_000_030.0]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: LOOSE(b"x" * 32), "tickets secret: expected a str, got bytes"),
        (lambda: LOOSE(None), "tickets secret: expected a str, got NoneType"),
        (lambda: Tickets(" "), "tickets secret: expected a str that is not empty"),
        (lambda: Tickets(SECRET, 0), "tickets lifetime: expected seconds above 0, got 0"),
        (lambda: Tickets(SECRET, float("inf")), "tickets lifetime: expected seconds above 0"),
        (lambda: Tickets(SECRET, float("nan")), "tickets lifetime: expected seconds above 0"),
        (lambda: UsedTickets(0), "max_tickets: expected an int >= 1, got 0"),
        (lambda: tickets().issue(None), "ticket: expected a value that says who it is for"),
        (lambda: tickets().issue(object()), "not JSON serializable"),
        (lambda: tickets().issue(list(range(9999))), "ticket: expected at most 4096 characters"),
    ],
    ids=[
        *("bytes", "none", "blank", "no_time", "forever", "nan", "no_room", "nobody"),
        *("no_json", "long"),
    ],
)
def test_what_cannot_work_is_refused(make: Any, said: str) -> None:
    with pytest.raises((TypeError, ValueError), match=said) as caught:
        make()
    assert SECRET not in str(caught.value)


# --- as the credentials of a handshake ----------------------------------------------------------


class App:
    def __init__(self, tickets: Tickets) -> None:
        self.tickets = tickets


def asked_with(ticket: str, app: App | None = None) -> Handshake:
    query = f"ticket={ticket}".encode()
    return Handshake({"type": "websocket", "path": "/", "query_string": query, "headers": []}, app)


async def test_a_ticket_in_the_query_is_redeemed_once() -> None:
    own = tickets()
    auth = Ticket(tickets=own)
    request = asked_with(own.issue("ada"))
    ticket = auth.credentials_of(request)
    assert await auth.redeem(ticket, request) == "ada"
    with pytest.raises(BadCredentials) as caught:
        await auth.redeem(ticket, request)
    assert caught.value.reason == "ticket: it is forged, expired or used"


async def test_looking_for_a_ticket_does_not_use_it() -> None:
    own = tickets()
    auth, request = Ticket(tickets=own), asked_with(own.issue("ada"))
    assert auth.find(request) == auth.find(request)
    assert await own.redeem(auth.credentials_of(request) or "") == "ada"


async def test_tickets_are_those_of_the_application_unless_it_is_told_others() -> None:
    app = App(tickets())
    request = asked_with(app.tickets.issue("ada"), app)
    assert await Ticket().redeem(Ticket().credentials_of(request), request) == "ada"


async def test_other_sources_give_verify_the_credentials_themselves() -> None:
    assert await QueryToken(lambda token: token).redeem("abc", asked_with("x")) == "abc"
