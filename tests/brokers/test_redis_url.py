"""What a URL says, and what is wrong with it."""

from __future__ import annotations

import pytest

from wirework.brokers.redis import RedisBroker
from wirework.brokers.redis.cluster import slot_of
from wirework.brokers.redis.names import Names, history_keys, presence_keys
from wirework.brokers.redis.url import Address, Target, target_of
from wirework.errors import SettingsError

GOOD: dict[str, Target] = {
    "redis://": Target("single", (Address("localhost", 6379),)),
    "redis://h": Target("single", (Address("h", 6379),)),
    "redis://h:1/2": Target("single", (Address("h", 1),), database=2),
    "redis://h?db=3": Target("single", (Address("h", 6379),), database=3),
    "redis://:p%40%3A@h": Target("single", (Address("h", 6379),), password="p@:"),
    "redis://u:p@[::1]:7": Target("single", (Address("::1", 7),), "u", "p"),
    "redis+unix://u:p@/run/r.sock?db=1": Target("single", (Address("/run/r.sock"),), "u", "p", 1),
    "redis+sentinel://a,b:1/live": Target(
        "sentinel", (Address("a", 26379), Address("b", 1)), service="live"
    ),
    "redis+sentinel://:p@a/live/4?sentinel_username=s&sentinel_password=t": Target(
        "sentinel", (Address("a", 26379),), "", "p", 4, None, "live", "s", "t"
    ),
    "redis+cluster://a:1,b": Target("cluster", (Address("a", 1), Address("b", 6379))),
}


@pytest.mark.parametrize("url", GOOD)
def test_a_url_says_where_to_connect_and_as_whom(url: str) -> None:
    assert target_of(url) == GOOD[url]


@pytest.mark.parametrize("scheme", ["rediss", "rediss+sentinel", "rediss+cluster"])
def test_two_s_are_tls(scheme: str) -> None:
    found = target_of(f"{scheme}://h/service" if "sentinel" in scheme else f"{scheme}://h")
    assert found.tls is not None
    assert found.tls.check_hostname


BAD = {
    "http://:s3same@h": "expected one of redis://",
    "redis://:s3same@h:port": "expected host:port",
    "redis://:s3same@h:99999": "expected host:port",
    "redis://:s3same@[::1": "cannot be read",
    "redis://:s3same@h/name": "number of a database",
    "redis://:s3same@h/1/2": "number of a database",
    "redis://:s3same@h?database=1": "expected options of the URL among db, got database",
    "redis://:s3same@h?ssl_ca_certs=x": "among db, got ssl_ca_certs",
    "rediss://:s3same@h?ssl_cert_reqs=maybe": "ssl_cert_reqs=required or none",
    "rediss://:s3same@h?ssl_ca_certs=/not/there": "certificates cannot be read",
    "redis+sentinel://:s3same@h": "got no service",
    "redis+cluster://:s3same@h/1": "number of a database",
    "redis+unix://": "got no path",
}


@pytest.mark.parametrize("url", BAD)
def test_a_url_that_cannot_be_used_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        target_of(url)
    assert BAD[url] in str(caught.value)
    assert "s3same" not in str(caught.value)


def test_a_target_does_not_show_its_password() -> None:
    assert "s3same" not in repr(target_of("redis://ann:s3same@h"))


def test_a_prefix_with_braces_is_refused() -> None:
    with pytest.raises(SettingsError, match="without braces"):
        RedisBroker("redis://h", prefix="{x}")


@pytest.mark.parametrize("name", ["room", "", "}", "}{", "{", "{}", "a}b{c", "%", "%}", "\udc80"])
def test_all_keys_of_a_channel_are_in_one_slot(name: str) -> None:
    channel = Names("test").channel(name)
    keys = (channel, *history_keys(channel, "key"), *presence_keys(channel))
    assert len({slot_of(key) for key in keys}) == 1
    assert len(set(keys)) == len(keys)


def test_channels_have_different_names() -> None:
    names = ["", "%", "}", "%}", "%%", "%%}", "a", "%a", "a}:h", "a}:i:x"]
    channels = [Names("test").channel(name) for name in names]
    keys = [key for each in channels for key in (each, *history_keys(each, "}:h"))]
    assert len(set(keys)) == len(keys)
