from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.unit.security.keyring import jwk, token
from wirework.security.credentials import BadCredentials
from wirework.security.jwt import Jwt

KEYS = json.dumps({"keys": [jwk("ES256", "k1")]}).encode()


class Issuer(BaseHTTPRequestHandler):
    """Publishes keys at /keys, and what should not be taken for keys at other paths."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        answers: dict[str, tuple[int, bytes]] = {
            "/keys": (200, KEYS),
            "/moved": (302, b""),
            "/broken": (500, KEYS),
            "/large": (200, KEYS + b" " * 300_000),
            "/cut": (200, KEYS[:-5]),
        }
        status, body = answers[self.path]
        self.send_response(status)
        self.send_header("Location", "/keys")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def issuer() -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []
    handler = type("Issuer", (Issuer,), {"asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


async def test_keys_are_fetched_from_an_issuer_once(issuer: tuple[str, list[str]]) -> None:
    url, asked = issuer
    verify = Jwt(jwks_url=f"{url}/keys", algorithms=["ES256"])
    assert asked == []
    for _ in range(3):
        assert (await verify(token("ES256", headers={"kid": "k1"}))).user == "ada"
    assert asked == ["/keys"]


@pytest.mark.parametrize("path", ["/moved", "/broken", "/large", "/cut"])
async def test_another_answer_than_keys_is_not_taken_for_them(
    issuer: tuple[str, list[str]], path: str, caplog: pytest.LogCaptureFixture
) -> None:
    url, asked = issuer
    verify = Jwt(jwks_url=url + path, algorithms=["ES256"])
    with pytest.raises(BadCredentials):
        await verify(token("ES256", headers={"kid": "k1"}))
    assert asked == [path]
    assert f"cannot get the keys at {url}{path}" in caplog.text


async def test_an_issuer_that_is_not_there_lets_nobody_in(unused_tcp_port: int) -> None:
    verify = Jwt(jwks_url=f"http://127.0.0.1:{unused_tcp_port}/keys", algorithms=["ES256"])
    with pytest.raises(BadCredentials):
        await verify(token("ES256", headers={"kid": "k1"}))
