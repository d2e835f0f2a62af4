"""Who gets in, and what strangers learn: rows E1 to E14 of the matrix."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.faults.served import TRANSPORTS, Served, served, until
from tests.wire.raw import RawClient, frame, handshake, raw_client

SERVICE = "tests.faults.service:app"
TEXT, CLOSE = 1, 8


@pytest.fixture(scope="module", params=TRANSPORTS)
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    log = tmp_path_factory.mktemp("faults") / "log"
    origins = "https://app.example.com,https://*.example.org"
    with served(request.param, log, application=SERVICE, allowed_origins=origins) as server:
        yield server


async def status_of(server: Served, path: str, *lines: str) -> int:
    """Return the status that a handshake with these headers is answered with."""
    async with raw_client(server.port) as client:
        await client.send(handshake(path, *lines, host=f"Host: {server.authority}"))
        return int((await client.head()).split()[1])


async def statuses(server: Served, path: str, headers: Sequence[str]) -> dict[str, int]:
    return {line: await status_of(server, path, line) for line in headers}


FOREIGN = [
    "https://evil.example",
    "null",
    "https://app.example.com.evil.example",
    "https://evil-app.example.com",
    "https://xexample.org",
    "https://example.org",
    "https://a.example.org.evil.example",
    "http://app.example.com",
    "https://app.example.com:8443",
    "https://app.example.com:443@evil.example",
    "https://app.example.com/",
    "https://app.example.com, https://evil.example",
    "https://xn--pp-fka.example.com",
    "https://app.example.com%2eevil.example",
    "ws://{authority}",
    "http://{authority}.evil.example",
    "",
]


async def test_a_page_of_another_origin_never_gets_in_however_alike_it_looks(
    server: Served,
) -> None:
    """E1: refused with 403 before the upgrade; the own and the listed ones get in."""
    foreign = [f"Origin: {each.format(authority=server.authority)}" for each in FOREIGN]
    found = await statuses(server, "/echo", [f"{each}\r\nCookie: session=x" for each in foreign])
    assert set(found.values()) == {403}, found
    own = f"Origin: http://{server.authority}"
    listed = ["Origin: https://app.example.com", "Origin: https://a.b.example.org"]
    found = await statuses(server, "/echo", [own, *listed])
    assert set(found.values()) == {101}, found


def unsigned(**claims: Any) -> str:
    parts = [{"alg": "none", "typ": "JWT"}, claims]
    return ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts
    )


BAD_TOKENS = [
    *[
        "",
        "Bearer",
        "Bearer ",
        "Bearer t-",
        "Basic dDphZGE=",
        "Bearer t-ada-0",
        "Bearer t-ada-1700000000",
    ],
    *["bearer  t-ada x", "Bearer t-ada, Bearer t-eve", "Bearer \u00e9", "t-ada"],
    f"Bearer {unsigned(sub='ada')}.",
    "Bearer " + "x" * 7_000,
]


async def test_a_bad_token_is_refused_before_the_upgrade(server: Served) -> None:
    """E2: none, empty, expired, unsigned, twice, too long: 400 or 401, and nobody is let in."""
    found = await statuses(server, "/private", [f"Authorization: {each}" for each in BAD_TOKENS])
    found["none"] = await status_of(server, "/private")
    assert set(found.values()) <= {400, 401}, found
    twice = ("Authorization: Bearer t-ada", "Authorization: Bearer t-ada")
    assert await status_of(server, "/private", *twice) in (400, 401)
    assert await status_of(server, "/private", "Authorization: Bearer t-ada") == 101
    huge = f"Authorization: Bearer {'x' * 2**20}"
    with suppress(ConnectionError):  # it hangs up on who goes on
        answer = await server.answer(handshake("/private", huge, host=f"Host: {server.authority}"))
        assert not answer.startswith(b"HTTP/1.1 101")


async def code_of(client: RawClient) -> int:
    opcode, payload = await client.frame()
    assert opcode == CLOSE, (opcode, payload)
    return int.from_bytes(payload[:2], "big")


@pytest.mark.parametrize("how", ["expired", "revoked", "thrown out"])
async def test_who_may_stay_no_longer_is_closed(server: Served, how: str) -> None:
    """E3: at the end of the token, at the next check, or at once when told."""
    name = f"eve {how}".replace(" ", "_")
    token = f"t-{name}-{time.time() + 1}" if how == "expired" else f"t-{name}"
    async with server.opened("/private", f"Authorization: Bearer {token}") as client:
        await client.send(frame(b"hello"))
        assert await client.frame() == (TEXT, f"hello {name}".encode())
        if how == "revoked":
            await server.request("POST", f"/revoke/{name}")
        elif how == "thrown out":
            closed = await server.request("POST", f"/throw-out/{name}")
            assert closed.json() == 1
        code = 4403 if how == "thrown out" else 4401
        assert await code_of(client) == (0 if server.name == "rsgi" else code)
    await until(lambda: f"'/private' ended with {code}" in server.output)


NAMES = ["__class__", "__init__", "close", "connect", "disconnect", "on_connect", "_find", "SAY"]
NAMES += ["say ", "say\0", "s\u0430y", "../say", "*", "", "say.__globals__", "auth"]


async def test_a_client_calls_what_was_registered_and_nothing_else(server: Served) -> None:
    """E6, E7: names are compared as they are, and a user in a payload is none."""
    async with server.opened("/desk") as client:
        for name in NAMES:
            await client.send(
                frame(json.dumps({"type": name, "id": 1, "data": {"text": "x"}}).encode())
            )
            answer = json.loads((await client.frame())[1])
            assert answer["type"] in ("error", "ready"), (name, answer)
        data = {"text": "x", "user": "root", "ws": 1, "__class__": "y", "sender": "root"}
        await client.send(frame(json.dumps({"type": "say", "id": 1, "data": data}).encode()))
        assert json.loads((await client.frame())[1])["data"] == "x"


async def test_a_token_in_the_address_is_in_no_log(tmp_path: Path) -> None:
    """E8: neither in the server's lines nor in ours, accepted or refused."""
    with served("native", tmp_path / "log", "--access-log", application=SERVICE) as server:
        for token in ("t-ada", "x-secret", "t-ada-0"):
            await status_of(server, f"/query?room=1&token={token}")
        await until(lambda: server.output.count("/query") >= 5)
        assert "room=1&token=***" in server.output
        for secret in ("t-ada", "x-secret"):
            assert secret not in server.output


async def test_headers_of_proxies_are_believed_from_proxies_alone(server: Served) -> None:
    """E9: to a stranger's word for the address nobody listens, once or twice."""
    lines = [
        "X-Forwarded-For: 10.9.9.9",
        "Forwarded: for=10.9.9.9;host=app.example.com;proto=https",
        "X-Forwarded-Host: app.example.com",
        "X-Forwarded-For: 10.9.9.9\r\nX-Forwarded-For: 10.8.8.8",
    ]
    for line in lines:
        foreign = f"{line}\r\nOrigin: https://10.9.9.9"
        assert await status_of(server, "/echo", foreign) == 403


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_neighbour_on_the_machine_is_one_address_whatever_it_says(
    tmp_path: Path, transport: str
) -> None:
    """E9: nobody is a proxy unless somebody says so, not even a peer on the loopback."""
    log, limit = tmp_path / "log", {"max_connections_per_address": 2}
    with served(transport, log, application=SERVICE, **limit) as server:
        async with AsyncExitStack() as stack:
            found = []
            for number in range(4):
                client = await stack.enter_async_context(raw_client(server.port))
                claim = f"X-Forwarded-For: 10.9.9.{number}"
                await client.send(handshake("/echo", claim, host=f"Host: {server.authority}"))
                found.append(int((await client.head()).split()[1]))
        assert found == [101, 101, 429, 429]


async def test_an_error_of_a_handler_tells_its_peer_nothing(server: Served) -> None:
    """E10: 1011, or an error without the text of the exception, and the log has it."""
    async with server.opened("/raise") as client:
        await client.send(frame(b"go"))
        opcode, payload = await client.frame()
        assert opcode == CLOSE
        assert payload in (b"\x03\xf3", b"")
    async with server.opened("/faulty") as client:
        await client.send(frame(json.dumps({"type": "raise", "id": 1}).encode()))
        said = (await client.frame())[1]
        assert json.loads(said)["code"] == "internal"
        assert b"hunter2" not in said
        assert b"Runtime" not in said
    await until(lambda: server.output.count("RuntimeError: the password is hunter2") == 2)


async def test_what_peers_write_forges_no_line_of_the_log(server: Served) -> None:
    """E11: line ends, escape sequences and text from right to left are quoted."""
    ugly = "\x1b[31m\r\n1 forged \u202e\u2028 \U0001f600"
    reason = ugly.encode()
    async with server.opened("/echo") as client:
        await client.send(frame(b"\x0f\xa1" + reason, CLOSE))
        await client.rest()
    quoted = "%1b%5b31m%0d%0a2%20forged%E2%80%AE%00%F0%9F%98%80"
    for line in ("User-Agent: x\x1b[31m\x7f", "User-Agent: x"):
        assert await status_of(server, f"/{quoted}", line) in (400, 404)
    await until(lambda: f"ended with {1005 if server.name == 'rsgi' else 4001}" in server.output)
    await until(lambda: "2 forged" in server.output)
    for line in server.output.split("\n"):
        assert not line.startswith(("1 forged", "2 forged"))
        assert not set(line) & {"\x1b", "\r", "\u202e", "\u2028", "\x00"}, line


async def test_guesses_from_one_address_are_refused_before_anybody_is_asked(
    tmp_path: Path,
) -> None:
    """E12: over the rate of its address it is 429, and `verify` is not called."""
    log = tmp_path / "log"
    with served("native", log, application=SERVICE, handshake_rate_per_address=1.0) as server:
        found = [
            await status_of(server, "/private", f"Authorization: Bearer x-{number}")
            for number in range(300)
        ]
        assert set(found) == {401, 429}
        seen = (await server.state())["seen"]
        assert seen["verified"] == found.count(401) < 50


async def auth(client: RawClient, token: str) -> str:
    """Say who we are; return the type of the answer, or the code of the close."""
    await client.send(frame(json.dumps({"type": "auth", "data": {"token": token}}).encode()))
    opcode, payload = await client.frame()
    if opcode == CLOSE:
        return str(int.from_bytes(payload[:2], "big"))
    return str(json.loads(payload)["type"])


async def test_guesses_on_one_connection_are_its_end(server: Served) -> None:
    """E12: the fifth newer token in a row that is refused is the last; a good one starts anew."""
    verified = (await server.state())["seen"].get("verified", 0)
    async with server.opened("/first") as client:
        assert await auth(client, "t-ada") == "ready"
        found = [await auth(client, f"x-{number}") for number in range(4)]
        assert await auth(client, "t-ada") == "ready"
        found += [await auth(client, f"x-{number}") for number in range(4, 9)]
        assert found == ["error"] * 9
        end = frame(json.dumps({"type": "auth", "data": {"token": "t-ada"}}).encode())
        await client.send(end * 100)
        if server.name == "rsgi":  # which carries no codes, so it is said before
            assert json.loads((await client.frame())[1])["code"] == 4401
        assert await code_of(client) == (0 if server.name == "rsgi" else 4401)
    assert (await server.state())["seen"]["verified"] == verified + 11


async def test_two_tenants_at_once_each_get_their_own(server: Served) -> None:
    """E14: who answers whom does not depend on who else is there."""

    async def use(name: str) -> None:
        async with server.opened("/private", f"Authorization: Bearer t-{name}") as client:
            for number in range(300):
                await client.send(frame(str(number).encode()))
                assert await client.frame() == (TEXT, f"{number} {name}".encode())

    await asyncio.gather(*[use(f"tenant{number}") for number in range(20)])
