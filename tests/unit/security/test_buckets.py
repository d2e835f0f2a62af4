from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wirework import Settings
from wirework.security.buckets import Bucket, Buckets, Budget, burst_of

RATES = st.integers(1, 64 * 100).map(lambda n: n / 64)
"""Exact as floats, and so are their products with the times below."""
STEPS = st.lists(
    st.tuples(st.integers(0, 4 * 1024).map(lambda n: n / 1024), st.integers(1, 6)), max_size=60
)
"""Seconds to wait, and tokens to take then."""


def took(bucket: Bucket, steps: list[tuple[float, int]]) -> list[tuple[float, int]]:
    """Return when how many tokens were taken."""
    now, found = 1000.0, []
    for pause, tokens in steps:
        now += pause
        if bucket.take(tokens, now) == 0.0:
            found.append((now, tokens))
    return found


def test_a_new_bucket_is_full() -> None:
    bucket = Bucket(1, 3)
    assert bucket.is_full(0.0)
    assert [bucket.take(1, 0.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert bucket.take(1, 0.0) == 1.001


def test_tokens_come_back_at_the_rate_and_never_above_the_burst() -> None:
    bucket = Bucket(2, 4)
    assert bucket.take(4, 10.0) == 0.0
    assert [bucket.level(10.0 + seconds) for seconds in (0, 0.25, 1, 2, 60)] == [0, 0.5, 2, 4, 4]


def test_a_refused_take_takes_nothing() -> None:
    bucket = Bucket(1, 2)
    bucket.take(1, 0.0)
    assert bucket.take(2, 0.0) > 0
    assert bucket.level(0.0) == 1
    assert bucket.take(1, 0.0) == 0.0


def test_asking_for_the_wait_takes_nothing() -> None:
    bucket = Bucket(1, 1)
    assert bucket.wait(1, 0.0) == 0.0
    assert bucket.take(1, 0.0) == 0.0
    assert bucket.wait(1, 0.0) == bucket.wait(1, 0.0) == 1.001


def test_more_than_the_burst_never_comes() -> None:
    bucket = Bucket(1000, 5)
    assert bucket.take(6, 0.0) == math.inf
    assert bucket.take(5, 0.0) == 0.0


def test_a_clock_that_runs_back_gives_nothing() -> None:
    bucket = Bucket(1, 1)
    bucket.take(1, 100.0)
    assert bucket.take(1, 50.0) > 0
    assert bucket.take(1, 100.0) > 0
    assert bucket.take(1, 101.0) == 0.0


@pytest.mark.parametrize(
    ("rate", "burst"), [(0, 1), (-1, 1), (1, 0), (math.nan, 1), (math.inf, 1), (1e-9, 1)]
)
def test_a_bucket_that_could_not_work_is_refused(rate: float, burst: int) -> None:
    with pytest.raises(ValueError, match="bucket: expected rate >= 1e-06 and burst >= 1, got"):
        Bucket(rate, burst)


@given(rate=RATES, burst=st.integers(1, 10), steps=STEPS)
def test_between_any_two_moments_no_more_is_taken_than_allowed(
    rate: float, burst: int, steps: list[tuple[float, int]]
) -> None:
    found = took(Bucket(rate, burst), steps)
    for first in range(len(found)):
        taken = 0
        for now, tokens in found[first:]:
            taken += tokens
            seconds = Fraction(now) - Fraction(found[first][0])
            # Each of these moments may round up by the slack of 1e-9 tokens.
            assert taken <= burst + Fraction(rate) * seconds + Fraction(1, 10**8)


@given(rate=RATES, burst=st.integers(1, 10), steps=STEPS)
def test_it_takes_what_an_exact_bucket_would(
    rate: float, burst: int, steps: list[tuple[float, int]]
) -> None:
    level, before, expected = Fraction(burst), Fraction(1000), []
    now = 1000.0
    for pause, tokens in steps:
        now += pause
        level = min(Fraction(burst), level + Fraction(rate) * (Fraction(now) - before))
        before = Fraction(now)
        if level >= tokens:
            level -= tokens
            expected.append((now, tokens))
    assert took(Bucket(rate, burst), steps) == expected


@given(
    rate=st.floats(1e-3, 1e9),
    burst=st.integers(1, 10**9),
    start=st.floats(0, 1e7),
    tokens=st.integers(1, 10**9),
)
def test_after_the_wait_that_was_told_it_is_allowed(
    rate: float, burst: int, start: float, tokens: int
) -> None:
    bucket = Bucket(rate, burst)
    bucket.take(burst, start)
    wait = bucket.wait(min(tokens, burst), start)
    assert wait > 0
    assert bucket.take(min(tokens, burst), start + wait) == 0.0


def test_a_bucket_that_is_never_full_does_not_drift() -> None:
    bucket, now, taken = Bucket(10, 5), 0.0, 0
    bucket.take(5, now)
    for step in range(1, 100_001):
        now = step * 0.1
        taken += bucket.take(1, now) == 0.0
    assert taken == 100_000
    assert abs(bucket.level(now)) < 1e-6


# --- many of them -----------------------------------------------------------------------------


def test_each_key_has_a_bucket_of_its_own() -> None:
    buckets = Buckets(1, 1)
    assert buckets.take("a", 1, 0.0) == 0.0
    assert buckets.take("a", 1, 0.0) > 0
    assert buckets.take("b", 1, 0.0) == 0.0


def test_full_buckets_are_forgotten_as_others_come() -> None:
    buckets = Buckets(1, 1)
    for number in range(100):
        buckets.take(number, 1, 0.0)
    assert len(buckets) == 100
    for number in range(100, 200):
        buckets.take(number, 1, 10.0)
    assert len(buckets) == 100


def test_at_the_bound_the_oldest_full_one_goes_and_the_busy_ones_stay() -> None:
    buckets = Buckets(1, 4, max_keys=4)
    for key in "abc":
        buckets.take(key, 4, 0.0)
    buckets.take("quiet", 1, 0.0)
    buckets.take("new", 4, 2.0)
    assert len(buckets) == 4
    assert [buckets.take(key, 3, 2.0) > 0 for key in "abc"] == [True, True, True]


def test_at_the_bound_the_oldest_goes_where_none_is_full_and_who_goes_on_stays() -> None:
    buckets = Buckets(0.001, 1, max_keys=3)
    for key in ("old", "eager", "third"):
        buckets.take(key, 1, 0.0)
    assert buckets.take("eager", 1, 1.0) > 0
    assert buckets.take("old", 1, 1.0) > 0
    buckets.take("new", 1, 1.0)
    assert buckets.take("eager", 1, 1.0) > 0
    assert buckets.take("old", 1, 1.0) > 0
    assert buckets.take("third", 1, 1.0) == 0.0


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 2048).map(lambda n: n / 1024), st.integers(0, 3)), max_size=60
    )
)
def test_forgetting_gives_nobody_more(steps: list[tuple[float, int]]) -> None:
    buckets, alone, now = Buckets(1, 2), {key: Bucket(1, 2) for key in range(4)}, 0.0
    for pause, key in steps:
        now += pause
        assert buckets.take(key, 1, now) == alone[key].take(1, now)


@given(keys=st.lists(st.integers(0, 50), max_size=200), bound=st.integers(1, 10))
def test_there_are_never_more_than_the_bound(keys: list[int], bound: int) -> None:
    buckets = Buckets(1, 1, max_keys=bound)
    for number, key in enumerate(keys):
        buckets.take(key, 1, number / 100)
        assert len(buckets) <= bound


def test_buckets_that_could_not_work_are_refused() -> None:
    with pytest.raises(ValueError, match="expected rate >="):
        Buckets(0, 1)
    with pytest.raises(ValueError, match="expected max_keys >= 1, got 0"):
        Buckets(1, 1, max_keys=0)


# --- what a connection may send ---------------------------------------------------------------


def test_without_limits_there_is_no_budget() -> None:
    assert Budget.of(Settings()) is None
    assert Budget().charge(10**9, 0.0) == 0.0


def test_messages_are_counted() -> None:
    budget = Budget.of(Settings(message_rate=2.5))
    assert budget is not None
    assert [budget.charge(10**6, 0.0) > 0 for _ in range(4)] == [False, False, False, True]
    assert budget.charge(1, 0.0) == pytest.approx(0.4, abs=0.002)


def test_bytes_are_counted_and_the_largest_message_always_fits() -> None:
    for burst in (None, 10, 5000):
        budget = Budget.of(Settings(byte_rate=100, byte_burst=burst, max_message_size=1000))
        assert budget is not None
        assert budget.charge(1000, 0.0) == 0.0
        assert (budget.charge(1000, 0.0) == 0.0) == (burst == 5000)


def test_a_message_that_is_over_one_budget_takes_nothing_from_the_other() -> None:
    budget = Budget(Bucket(1, 1), Bucket(1, 100))
    assert budget.charge(1000, 0.0) == math.inf
    assert budget.charge(60, 0.0) == 0.0
    assert budget.charge(60, 1.001) > 18
    assert budget.messages is not None
    assert budget.messages.is_full(1.001)


def test_the_given_burst_counts() -> None:
    budget = Budget.of(Settings(message_rate=1, message_burst=3))
    assert budget is not None
    assert [budget.charge(1, 0.0) > 0 for _ in range(4)] == [False, False, False, True]


@pytest.mark.parametrize(("rate", "burst"), [(0.1, 1), (1, 1), (2.5, 3), (100, 100)])
def test_without_a_burst_it_is_that_of_a_second(rate: float, burst: int) -> None:
    assert burst_of(rate) == burst
