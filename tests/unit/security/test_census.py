from __future__ import annotations

import resource
from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from wirework import Settings
from wirework.security.census import (
    Census,
    Limits,
    Place,
    Refusal,
    descriptor_share,
    place_of,
)

ADDRESSES = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", None]
USERS = ["ada", "bob", None]


def admitted(census: Census, address: str | None = "192.0.2.1", **options: Any) -> Place:
    found = census.admit(address, 0.0, **options)
    assert isinstance(found, Place)
    return found


def refused(census: Census, address: str | None = "192.0.2.1", **options: Any) -> Refusal:
    found = census.admit(address, options.pop("now", 0.0), **options)
    assert isinstance(found, Refusal)
    return found


def test_without_limits_everybody_is_counted_and_nobody_refused() -> None:
    census = Census(Limits())
    places = [admitted(census, address) for address in ADDRESSES for _ in range(100)]
    assert census.open == 600
    assert census.of_address("192.0.2.1") == 100
    for place in places:
        census.release(place)
    assert census.is_empty


def test_over_the_limit_of_all_it_is_503_and_a_place_given_back_is_free() -> None:
    census = Census(Limits(max_connections=2))
    first, _ = admitted(census), admitted(census, "192.0.2.2")
    refusal = refused(census, "192.0.2.3")
    assert (refusal.status, refusal.reason) == (503, "max_connections")
    assert refusal.headers == [("retry-after", "5")]
    census.release(first)
    admitted(census, "192.0.2.3")
    assert census.open == 2


def test_over_the_limit_of_an_address_it_is_429_and_others_come_in() -> None:
    census = Census(Limits(max_connections_per_address=1))
    admitted(census, "192.0.2.1")
    refusal = refused(census, "192.0.2.1")
    assert (refusal.status, refusal.reason) == (429, "max_connections_per_address")
    admitted(census, "192.0.2.2")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2001:db8::1", "2001:db8::ffff:1"),
        ("2001:db8::1", "2001:0DB8:0:0:1:2:3:4"),
        ("192.0.2.1", "::ffff:192.0.2.1"),
        (None, ""),
        ("/run/app.sock", "/run/app.sock"),
    ],
)
def test_what_is_one_address(one: str | None, other: str | None) -> None:
    assert place_of(one) == place_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2001:db8::1", "2001:db8:0:1::1"),
        ("192.0.2.1", "192.0.2.2"),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2"),
        ("192.0.2.1", None),
    ],
)
def test_what_is_not(one: str, other: str | None) -> None:
    assert place_of(one) != place_of(other)


def test_who_has_not_said_who_they_are_is_counted_until_they_do_or_leave() -> None:
    census = Census(Limits(max_unauthenticated=2))
    first = admitted(census, is_authenticated=False)
    second = admitted(census, is_authenticated=False)
    refusal = refused(census, is_authenticated=False)
    assert (refusal.status, refusal.reason) == (503, "max_unauthenticated")
    admitted(census)
    assert census.authenticate(first, "ada") is None
    assert census.unauthenticated == 1
    census.release(second)
    assert census.unauthenticated == 0
    admitted(census, is_authenticated=False)


def test_over_the_limit_of_a_user_it_is_429_and_the_count_stays() -> None:
    census = Census(Limits(max_connections_per_user=1))
    first, second = admitted(census), admitted(census, is_authenticated=False)
    assert census.authenticate(first, "ada") is None
    refusal = census.authenticate(second, "ada")
    assert refusal is not None
    assert (refusal.status, refusal.reason) == (429, "max_connections_per_user")
    assert (census.of_user("ada"), census.unauthenticated) == (1, 1)
    census.release(second)
    assert (census.of_user("ada"), census.unauthenticated) == (1, 0)


def test_the_same_user_again_is_no_second_connection() -> None:
    census = Census(Limits(max_connections_per_user=1))
    place = admitted(census)
    assert census.authenticate(place, "ada") is None
    assert census.authenticate(place, "ada") is None
    assert census.of_user("ada") == 1


def test_another_user_on_the_same_connection_takes_the_place_of_the_first() -> None:
    census = Census(Limits())
    place = admitted(census)
    for user in ("ada", "bob", None, "ada"):
        census.authenticate(place, user)
    assert (census.of_user("ada"), census.of_user("bob")) == (1, 0)


def test_a_place_is_given_back_once() -> None:
    census = Census(Limits())
    place, other = admitted(census, is_authenticated=False), admitted(census)
    census.authenticate(other, "ada")
    for _ in range(3):
        census.release(place)
    assert (census.open, census.unauthenticated, census.of_user("ada")) == (1, 0, 1)


def test_who_says_who_they_are_after_their_end_is_not_counted() -> None:
    census = Census(Limits())
    place = admitted(census, is_authenticated=False)
    census.release(place)
    assert census.authenticate(place, "ada") is None
    assert census.is_empty


def test_handshakes_over_the_rate_are_told_when_to_come_back() -> None:
    census = Census(Limits(handshake_rate=0.25))
    admitted(census)
    refusal = refused(census, "192.0.2.2", now=1.0)
    assert (refusal.status, refusal.reason) == (503, "handshake_rate")
    assert refusal.retry_after == 3.001
    assert refusal.headers == [("retry-after", "4")]
    assert isinstance(census.admit("192.0.2.2", 4.1), Place)


def test_one_address_over_its_rate_takes_nothing_from_the_others() -> None:
    census = Census(Limits(handshake_rate=2, handshake_rate_per_address=1))
    admitted(census, "192.0.2.1")
    for _ in range(100):
        refusal = refused(census, "192.0.2.1")
        assert (refusal.status, refusal.reason) == (429, "handshake_rate_per_address")
    admitted(census, "192.0.2.2")
    assert refused(census, "192.0.2.3").reason == "handshake_rate"


def test_refusals_are_counted_by_reason_and_nowhere_else() -> None:
    census = Census(Limits(max_connections=1))
    admitted(census)
    for _ in range(3):
        refused(census, "192.0.2.9")
    assert census.refused == {"max_connections": 3}
    assert (census.open, census.of_address("192.0.2.9")) == (1, 0)


@pytest.mark.parametrize("wait", [0.001, 1.0], ids=["less than a second", "a second"])
def test_retry_after_is_at_least_a_second(wait: float) -> None:
    assert Refusal("handshake_rate", 503, wait).headers == [("retry-after", "1")]


def test_a_refusal_does_not_tell_how_many_there_are() -> None:
    texts = {Refusal(reason, 503, 5.0).text for reason in ("max_connections", "handshake_rate")}
    assert texts == {"the server is busy"}


# --- limits from settings ---------------------------------------------------------------------


def test_the_default_is_nine_tenths_of_the_descriptors_and_half_of_that_for_strangers() -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    limits = Limits.of(Settings())
    assert limits.max_connections == descriptor_share() == soft * 9 // 10
    assert limits.max_unauthenticated == limits.max_connections // 2
    assert limits.max_connections_per_address is None


def test_what_is_set_counts_and_none_is_no_limit() -> None:
    limits = Limits.of(Settings(max_connections=10, max_connections_per_user=3, handshake_rate=7))
    assert limits == Limits(
        max_connections=10, max_unauthenticated=5, max_connections_per_user=3, handshake_rate=7.0
    )
    assert Limits.of(Settings(max_connections=None)) == Limits()
    assert Limits.of(Settings(max_connections=1)).max_unauthenticated == 1


def test_the_descriptors_are_those_of_the_moment() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 200), hard))
    try:
        assert descriptor_share() == 180
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# --- any order of events ----------------------------------------------------------------------


class Comings(RuleBasedStateMachine):
    """Connections come, say who they are and leave, in any order, some of it twice."""

    def __init__(self) -> None:
        super().__init__()
        self.limits = Limits(
            max_connections=6,
            max_connections_per_address=3,
            max_connections_per_user=2,
            max_unauthenticated=3,
            handshake_rate=4,
            handshake_rate_per_address=2,
        )
        self.census = Census(self.limits)
        self.places: list[Place] = []
        self.gone: list[Place] = []
        self.now = 0.0

    @rule(address=st.sampled_from(ADDRESSES), known=st.booleans(), pause=st.floats(0, 2))
    def come(self, address: str | None, known: bool, pause: float) -> None:
        self.now += pause
        found = self.census.admit(address, self.now, is_authenticated=known)
        if isinstance(found, Place):
            self.places.append(found)

    @rule(user=st.sampled_from(USERS), data=st.data())
    def say_who(self, user: str | None, data: st.DataObject) -> None:
        if self.places + self.gone:
            self.census.authenticate(data.draw(st.sampled_from(self.places + self.gone)), user)

    @rule(data=st.data(), times=st.integers(1, 2))
    def leave(self, data: st.DataObject, times: int) -> None:
        if self.places + self.gone:
            place = data.draw(st.sampled_from(self.places + self.gone))
            for _ in range(times):
                self.census.release(place)
            if place in self.places:
                self.places.remove(place)
                self.gone.append(place)

    @invariant()
    def counts_are_those_of_the_places(self) -> None:
        census = self.census
        assert census.open == len(self.places)
        assert census.unauthenticated == sum(not each.is_authenticated for each in self.places)
        for address in ADDRESSES:
            here = sum(each.address == place_of(address) for each in self.places)
            assert census.of_address(address) == here <= 3
        for user in ("ada", "bob"):
            assert census.of_user(user) == sum(each.user == user for each in self.places) <= 2
        assert census.open <= 6
        assert census.unauthenticated <= 3

    def teardown(self) -> None:
        for place in self.places:
            self.census.release(place)
        assert self.census.is_empty


TestComings = Comings.TestCase
TestComings.settings = hypothesis_settings(max_examples=50, stateful_step_count=30, deadline=None)
