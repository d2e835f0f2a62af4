"""Which broker an address names."""

from __future__ import annotations

import sys

import pytest

from wirework.brokers import MemoryBroker, broker_of
from wirework.errors import SettingsError


def test_the_embedded_broker_needs_no_more_than_its_scheme() -> None:
    broker = broker_of("memory://")
    assert isinstance(broker, MemoryBroker)
    assert not broker.is_shared


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("redis://localhost", "redis"),
        ("rediss://localhost:6380/1", "redis"),
        ("redis+sentinel://one:26379,two:26379/main", "redis"),
        ("redis+cluster://one:7000,two:7001", "redis"),
        ("nats://localhost", "nats"),
        ("tls://localhost:4222", "nats"),
    ],
)
def test_a_scheme_names_a_broker(url: str, name: str) -> None:
    broker = broker_of(url)
    assert broker.name == name
    assert broker.is_shared


@pytest.mark.parametrize(
    ("url", "got"),
    [
        ("kafka://user:secret@host", "kafka://"),
        ("secret", "a text without ://"),
        ("memory", "a text without ://"),
        ("redis:secret", "a text without ://"),
        ("", "a text without ://"),
        ("REDIS://secret", "REDIS://"),
    ],
)
def test_an_unknown_scheme_is_refused_with_those_that_are_known(url: str, got: str) -> None:
    with pytest.raises(SettingsError) as caught:
        broker_of(url)
    assert str(caught.value) == (
        "broker: expected one of memory://, redis://, rediss://, redis+unix://, redis+sentinel://,"
        f" rediss+sentinel://, redis+cluster://, rediss+cluster://, nats://, tls://, got {got}"
    )


@pytest.mark.parametrize(("extra", "driver"), [("redis", "hiredis"), ("nats", "nats")])
def test_a_driver_that_is_not_installed_is_named(
    extra: str, driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = f"wirework.brokers.{extra}"
    for name in list(sys.modules):
        if name.partition(".")[0] == driver or name == ours or name.startswith(f"{ours}."):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, driver, None)
    with pytest.raises(SettingsError) as caught:
        broker_of(f"{extra}://user:secret@localhost")
    assert str(caught.value) == (
        f"broker: {extra}:// needs a driver: pip install 'wirework[{extra}]'"
    )
