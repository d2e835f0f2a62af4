from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.security.keyring import another, claims, forged, jwk, token
from wirework.security.credentials import BadCredentials
from wirework.security.jwks import RemoteKeys
from wirework.security.jwt import Jwt

URL = "https://id.example/keys"


class Issuer:
    """Publishes keys, counts who asks, and may fail or take its time."""

    def __init__(self, *keys: dict[str, Any]) -> None:
        self.keys = list(keys)
        self.asked = 0
        self.error: Exception | None = None
        self.answer: bytes | None = None
        self.gate: threading.Event | None = None
        self.now = 1000.0

    def __call__(self) -> bytes:
        self.asked += 1
        if self.gate is not None:
            self.gate.wait(30)
        if self.error is not None:
            raise self.error
        return json.dumps({"keys": self.keys}).encode() if self.answer is None else self.answer

    def keys_of(self, **options: Any) -> RemoteKeys:
        return RemoteKeys(URL, fetch=self, clock=lambda: self.now, **options)

    def verify(self, **options: Any) -> Jwt:
        return Jwt(keys=self.keys_of(**options), algorithms=["ES256", "RS256"])


def signed(kid: str = "k1", key: Any = None) -> str:
    return token("ES256", key, {"kid": kid})


async def is_good(verify: Jwt, text: str) -> bool:
    try:
        return bool((await verify(text)).user == "ada")
    except BadCredentials:
        return False


async def test_keys_are_fetched_once_for_many_tokens() -> None:
    issuer = Issuer(jwk("ES256", "k1"))
    verify = issuer.verify()
    assert [await is_good(verify, signed()) for _ in range(5)] == [True] * 5
    assert issuer.asked == 1


async def test_who_comes_while_keys_are_fetched_waits_for_the_same_answer() -> None:
    issuer = Issuer(jwk("ES256", "k1"))
    issuer.gate = threading.Event()
    verify = issuer.verify()
    waiting = [asyncio.ensure_future(is_good(verify, signed())) for _ in range(50)]
    await asyncio.sleep(0)
    issuer.gate.set()
    assert all(await asyncio.gather(*waiting))
    assert issuer.asked == 1


async def test_a_request_that_takes_longer_than_the_cooldown_is_not_doubled() -> None:
    issuer = Issuer(jwk("ES256", "k1"))
    issuer.gate = threading.Event()
    verify = issuer.verify(cooldown=30)
    first = asyncio.ensure_future(is_good(verify, signed()))
    await asyncio.sleep(0)
    issuer.now += 60
    second = asyncio.ensure_future(is_good(verify, signed()))
    await asyncio.sleep(0)
    issuer.gate.set()
    assert [await first, await second] == [True, True]
    assert issuer.asked == 1


async def test_one_who_gives_up_waiting_does_not_take_the_answer_from_the_others() -> None:
    issuer = Issuer(jwk("ES256", "k1"))
    issuer.gate = threading.Event()
    verify = issuer.verify()
    first, second = (asyncio.ensure_future(is_good(verify, signed())) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    issuer.gate.set()
    assert await second
    assert first.cancelled()


@pytest.mark.parametrize(
    "text",
    [
        "not a token",
        "a" * 9000,
        forged({"alg": "none", "kid": "k1"}, claims()),
        forged({"alg": "HS256", "kid": "k1"}, claims()),
        forged({"alg": "ES384", "kid": "k1"}, claims()),
        forged({"alg": "ES256", "kid": ""}, claims()),
        forged({"alg": "ES256", "kid": "k" * 300}, claims()),
        forged({"alg": "ES256", "kid": ["k1"]}, claims()),
        forged({"alg": "ES256", "kid": "k1", "crit": ["x"]}, claims()),
    ],
    ids=["words", "long", "none", "hmac", "alg", "no_kid", "long_kid", "kid_list", "crit"],
)
async def test_nothing_is_fetched_for_a_token_whose_header_is_not_acceptable(text: str) -> None:
    issuer = Issuer(jwk("ES256", "k1"))
    assert not await is_good(issuer.verify(), text)
    assert issuer.asked == 0


async def test_tokens_with_invented_kids_cost_one_request_for_each_cooldown() -> None:
    issuer = Issuer(jwk("ES256", "k1"))
    verify = issuer.verify(cooldown=30)
    for number in range(100):
        assert not await is_good(verify, signed(f"invented-{number}"))
        issuer.now += 1
    assert issuer.asked == 4
    assert await is_good(verify, signed())


async def test_a_new_key_is_found_once_the_cooldown_is_over() -> None:
    issuer = Issuer(jwk("ES256", "k1"))
    verify = issuer.verify(cooldown=30)
    assert await is_good(verify, signed())
    issuer.keys = [jwk("RS256", "k2", alg="RS256")]
    new = token("RS256", headers={"kid": "k2"})
    assert not await is_good(verify, new)
    issuer.now += 30
    assert await is_good(verify, new)
    assert issuer.asked == 2


async def test_a_withdrawn_key_is_good_for_the_lifespan_at_most() -> None:
    issuer = Issuer(jwk("ES256", "k1"))
    verify = issuer.verify(lifespan=300)
    assert await is_good(verify, signed())
    issuer.keys = [jwk("ES256", "k2")]
    issuer.now += 299
    assert await is_good(verify, signed())
    issuer.now += 1
    assert not await is_good(verify, signed())


def fail(issuer: Issuer) -> None:
    issuer.error = OSError("no route")


def say_nothing(issuer: Issuer) -> None:
    issuer.answer = b""


def say_a_list(issuer: Issuer) -> None:
    issuer.answer = b"[]"


def say_no_keys(issuer: Issuer) -> None:
    issuer.answer = b'{"keys": []}'


def nest(issuer: Issuer) -> None:
    issuer.answer = b"[" * 100_000


def say_many(issuer: Issuer) -> None:
    issuer.keys = issuer.keys * 101


FAILURES = [fail, say_nothing, say_a_list, say_no_keys, nest, say_many]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.__name__)
async def test_known_keys_serve_while_the_issuer_does_not_answer(
    failure: Callable[[Issuer], None], caplog: pytest.LogCaptureFixture
) -> None:
    issuer = Issuer(jwk("ES256", "k1"))
    verify = issuer.verify(lifespan=300, cooldown=30, max_age=3600)
    assert await is_good(verify, signed())
    failure(issuer)
    with caplog.at_level(logging.WARNING, "wirework"):
        for _ in range(10):
            issuer.now += 300
            assert await is_good(verify, signed())
            assert await is_good(verify, signed())
    assert issuer.asked == 11
    assert caplog.messages[0].startswith(f"cannot get the keys at {URL}: ")
    issuer.now += 600
    assert not await is_good(verify, signed())


async def test_without_any_keys_a_failing_issuer_is_not_asked_for_every_token() -> None:
    issuer = Issuer(jwk("ES256", "k1"))
    issuer.error = OSError("no route")
    verify = issuer.verify(cooldown=30)
    assert not any([await is_good(verify, signed()) for _ in range(20)])
    assert issuer.asked == 1
    issuer.error, issuer.now = None, issuer.now + 30
    assert await is_good(verify, signed())


async def test_nobody_waits_longer_than_the_timeout() -> None:
    issuer = Issuer(jwk("ES256", "k1"))
    issuer.gate = threading.Event()
    verify = issuer.verify(timeout=0.01)
    assert not await is_good(verify, signed())
    issuer.gate.set()


async def test_a_symmetric_key_that_is_published_signs_nothing() -> None:
    issuer = Issuer(jwk("HS256", "k1"), jwk("ES256", "k2"))
    keys = issuer.keys_of()
    assert await keys.find("k1", "HS256") is None
    assert await keys.find("k2", "ES256") is not None


async def test_a_token_that_somebody_else_signed_is_refused() -> None:
    issuer = Issuer(jwk("ES256", "k1"))
    assert not await is_good(issuer.verify(), signed("k1", another("ES256")))


@pytest.mark.parametrize(
    "url",
    [
        *("", "keys.json", "https://", "file:///etc/keys", "ftp://id.example/keys"),
        *("http://id.example/keys", "http://localhost.example/keys", "http://10.0.0.1/keys"),
        *("https://user:password@id.example/keys", "http://[::2]/keys", "data:,x", None, 5),
    ],
    ids=str,
)
def test_an_address_that_anybody_could_answer_for_is_refused(url: Any) -> None:
    with pytest.raises(ValueError, match="jwks_url: expected https://host/path") as caught:
        RemoteKeys(url)
    assert "password@" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["https://id.example/keys", "http://localhost:8080/keys", "http://127.0.0.1", "http://[::1]/"],
)
def test_an_address_by_https_or_on_this_machine_is_taken(url: str) -> None:
    assert repr(RemoteKeys(url)) == f"RemoteKeys({url!r})"


@pytest.mark.parametrize("option", ["lifespan", "cooldown", "max_age", "timeout"])
def test_times_are_above_0(option: str) -> None:
    with pytest.raises(ValueError, match="RemoteKeys: expected seconds above 0, got 0"):
        RemoteKeys(URL, **{option: 0})  # type: ignore[arg-type]
