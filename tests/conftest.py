"""What all tests share: a clean environment, patient property tests, the longest modules first."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("local", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("local"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

for variable in [name for name in os.environ if name.startswith("WIREWORK_")]:
    del os.environ[variable]

LONGEST_FIRST = (
    "tests/faults/test_soak.py",
    "tests/fuzz/",
    "tests/browser/",
    "tests/cluster/",
    "tests/faults/",
    "tests/clients/",
    "tests/brokers/",
    "tests/typing/",
    "tests/contract/",
    "tests/docs/",
    "tests/wire/",
    "tests/examples/",
    "tests/unit/dialects/",
    "tests/unit/channels/",
)
"""What workers begin with, so that none is alone with a long module at the end."""


def _turn(item: pytest.Item) -> int:
    """Return when it is the turn of a test's module."""
    for turn, beginning in enumerate(LONGEST_FIRST):
        if item.nodeid.startswith(beginning):
            return turn
    return len(LONGEST_FIRST)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_turn)
