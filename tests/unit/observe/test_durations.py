from __future__ import annotations

from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from tests.unit.observe.page import Page
from wirework.observe.durations import Durations

BOUNDS = (0.1, 1.0, 10.0)
SECONDS = (0.0, 0.1, 0.10001, 1.0, 5.0, 10.0, 11.0, 1000.0)


def ours(registry: CollectorRegistry) -> Durations:
    found = Durations("wirework_x", "Text.", BOUNDS, ("route", "event"))
    registry.register(found)
    return found


def theirs(registry: CollectorRegistry) -> Histogram:
    return Histogram("wirework_x", "Text.", ("route", "event"), registry=registry, buckets=BOUNDS)


def page_of(make: Callable[[CollectorRegistry], Durations | Histogram]) -> Page:
    registry = CollectorRegistry()
    made = make(registry)
    for seconds in SECONDS:
        made.labels("/a", "b").observe(seconds)
    made.labels("/a", "c").observe(2.0)
    return Page(generate_latest(registry).decode())


def test_it_shows_what_prometheus_own_histogram_shows() -> None:
    expected = page_of(theirs).samples
    created = {key: value for key, value in expected.items() if key[0].endswith("_created")}
    assert page_of(ours).samples == {
        key: value for key, value in expected.items() if key not in created
    }
    assert len(expected) - len(created) == 2 * (len(BOUNDS) + 1 + 2)


def test_a_registry_that_asks_for_names_at_once_takes_it() -> None:
    registry = CollectorRegistry(auto_describe=True)
    ours(registry)
    with pytest.raises(ValueError, match="wirework_x"):
        ours(registry)
