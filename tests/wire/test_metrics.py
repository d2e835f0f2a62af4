"""Each limit shows in the metrics of a real server when it bites, and gauges go back to 0."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from tests.contract.process import HOST, START
from tests.contract.sockets import NO_TLS
from tests.unit.observe.page import Page
from tests.wire.native import NativeServer, ended, native_server, received, until
from tests.wire.raw import frame, handshake, raw_client
from tests.wire.serving import IMPLEMENTATIONS, serving
from tests.wire.test_run_command import Running
from wirework import App, Bearer, FirstMessage, Metrics, WebSocket, broadcast
from wirework.dialects import Typed

TIMEOUT = 15.0
BIG = "x" * 100_000


async def who(token: str) -> str | None:
    return token or None


def application(**options: Any) -> App:
    app = App(metrics=Metrics(path="/metrics", is_public=True), **options)

    app.state.is_heard = asyncio.Event()

    @app.ws("/echo")
    async def echo(msg: str) -> str:
        return msg

    @app.ws("/flood")
    async def flood(msg: str, ws: WebSocket) -> None:
        for _ in range(100):
            await broadcast([ws], BIG)

    @app.ws("/stuck", limits={"handler_timeout": 0.01})
    async def stuck(msg: str) -> None:
        await asyncio.get_running_loop().create_future()

    @app.websocket("/late")
    async def late(ws: WebSocket) -> None:
        await app.state.is_heard.wait()

    @app.websocket("/deaf")
    async def deaf(ws: WebSocket) -> None:
        await ws.accept()
        await app.state.is_heard.wait()

    secret = app.events("/secret", dialect=Typed(), auth=FirstMessage(who, timeout=0.01))
    secret.on("noop", rate=0.01)(noop)
    desk = app.events("/desk", dialect=Typed())
    desk.on("noop", rate=0.01)(noop)

    @app.post("/form")
    async def form(name: str) -> str:
        return name

    @app.ws("/mine", auth=Bearer(who))
    async def mine(msg: str) -> str:
        return msg

    return app


async def noop() -> None: ...


async def scrape(port: int) -> Page:
    async with httpx.AsyncClient(trust_env=False, verify=NO_TLS) as client:
        answer = await client.get(f"http://{HOST}:{port}/metrics")
    assert answer.status_code == 200
    return Page(answer.text)


async def shown(port: int, name: str, /, **labels: str) -> float:
    """Wait until the metric is more than 0, and return it."""
    async with asyncio.timeout(TIMEOUT):
        while not (found := (await scrape(port))(name, **labels)):
            pass
    return found


# --- what peers do to meet a limit --------------------------------------------------------------


async def send_too_much(server: NativeServer) -> None:
    async with server.connect("/echo") as client:
        await client.send(BIG)
        assert (await ended(client))[0] == 1009


async def send_too_much_in_pieces(server: NativeServer) -> None:
    async with server.connect("/echo") as client:
        await client.send([BIG[:40_000], BIG[:40_000]])
        assert (await ended(client))[0] == 1009


async def send_too_often(server: NativeServer) -> None:
    async with server.connect("/echo") as client:
        for _ in range(12):
            await client.send("x")
        assert (await ended(client))[0] == 4429


async def send_one_event_too_often(server: NativeServer) -> None:
    async with server.connect("/desk") as client:
        for number in (1, 2):
            await client.send(f'{{"type": "noop", "id": {number}, "data": {{}}}}')
            await received(client)


async def connect_twice(server: NativeServer) -> None:
    async with server.connect("/echo"):
        await server.refusal("/echo")


async def connect_twice_as_one_user(server: NativeServer) -> None:
    options = {"additional_headers": {"authorization": "Bearer ada"}}
    async with server.connect("/mine", **options):
        with pytest.raises(InvalidStatus):
            await server.connect("/mine", **options)


async def connect_twice_as_nobody(server: NativeServer) -> None:
    async with server.connect("/secret"):
        await server.refusal("/secret")


async def read_nothing(server: NativeServer) -> None:
    async with server.opened("/flood", is_deaf=True) as client:
        await client.send(frame(b"go"))
        await shown(server.port, "connections_ended_total", route="/flood")


async def say_nothing(server: NativeServer) -> None:
    async with server.opened("/echo") as client:
        await client.rest()


async def do_nothing(server: NativeServer) -> None:
    async with server.connect("/echo") as client:
        assert (await ended(client))[0] == 4408


async def keep_quiet_about_oneself(server: NativeServer) -> None:
    async with server.connect("/secret") as client:
        assert (await ended(client))[0] == 4401


async def keep_a_handler_busy(server: NativeServer) -> None:
    async with server.connect("/stuck") as client:
        await client.send("x")
        assert (await ended(client))[0] == 1008


async def wait_for_an_answer(server: NativeServer) -> None:
    assert (await server.refusal("/late")).status_code == 503


async def fill_the_inbox(server: NativeServer) -> None:
    async with server.opened("/deaf") as client:
        await client.send(frame(b"x") * 200)
        await shown(server.port, "limits_met_total", route="/deaf")
        server.uvicorn.config.app.state.is_heard.set()  # type: ignore[union-attr]


async def ask_with_a_long_head(server: NativeServer) -> None:
    async with raw_client(server.port) as client:
        await client.send(handshake("/echo", f"X-Long: {BIG}"))
        assert (await client.head()).startswith(b"http/1.1 431 ")


async def ask_with_many_headers(server: NativeServer) -> None:
    async with raw_client(server.port) as client:
        await client.send(handshake("/echo", *(f"X-{number}: y" for number in range(300))))
        assert (await client.head()).startswith(b"http/1.1 431 ")


async def post_too_much(server: NativeServer) -> None:
    async with httpx.AsyncClient(trust_env=False, verify=NO_TLS) as client:
        answer = await client.post(f"http://{HOST}:{server.port}/form", content=BIG)
    assert answer.status_code == 413


Bite = Callable[[NativeServer], Awaitable[None]]

LIMITS: list[tuple[str, str, dict[str, Any], Bite]] = [
    ("max_message_size", "/echo", {}, send_too_much),
    ("max_message_size", "/echo", {}, send_too_much_in_pieces),
    ("message_rate", "/echo", {"message_rate": 0.01}, send_too_often),
    (
        "byte_rate",
        "/echo",
        {"byte_rate": 1, "byte_burst": 1, "max_message_size": 1},
        send_too_often,
    ),
    ("rate", "/desk", {}, send_one_event_too_often),
    ("max_connections", "/echo", {"max_connections": 1}, connect_twice),
    ("max_connections_per_address", "/echo", {"max_connections_per_address": 1}, connect_twice),
    ("handshake_rate", "/echo", {"handshake_rate": 0.01}, connect_twice),
    ("handshake_rate_per_address", "/echo", {"handshake_rate_per_address": 0.01}, connect_twice),
    (
        "max_connections_per_user",
        "/mine",
        {"max_connections_per_user": 1},
        connect_twice_as_one_user,
    ),
    ("max_unauthenticated", "/secret", {"max_unauthenticated": 1}, connect_twice_as_nobody),
    (
        "write_stall_timeout",
        "/flood",
        {"write_stall_timeout": 0.3, "outbox_bytes": 2**30},
        read_nothing,
    ),
    (
        "heartbeat_timeout",
        "/echo",
        {"heartbeat_interval": 0.1, "heartbeat_timeout": 0.1, "write_stall_timeout": 0.3},
        say_nothing,
    ),
    ("idle_timeout", "/echo", {"idle_timeout": 0.1, "write_stall_timeout": 0.3}, do_nothing),
    ("auth_timeout", "/secret", {}, keep_quiet_about_oneself),
    ("handshake_timeout", "/late", {"handshake_timeout": 0.1}, wait_for_an_answer),
    ("handler_timeout", "/stuck", {}, keep_a_handler_busy),
    ("max_header_bytes", "", {}, ask_with_a_long_head),
    ("max_header_count", "", {}, ask_with_many_headers),
    ("max_body_size", "", {"max_body_size": 10}, post_too_much),
    ("inbox_frames", "/deaf", {}, fill_the_inbox),
    ("inbox_bytes", "/deaf", {"inbox_bytes": 50}, fill_the_inbox),
]


@pytest.mark.parametrize(
    ("limit", "route", "options", "bite"),
    LIMITS,
    ids=[f"{limit}-{bite.__name__}" for limit, _, _, bite in LIMITS],
)
async def test_a_limit_that_bites_is_counted_by_its_name(
    limit: str, route: str, options: dict[str, Any], bite: Bite
) -> None:
    async with native_server(application(**options)) as server:
        assert (await scrape(server.port))("limits_met_total") == 0
        await bite(server)
        assert await shown(server.port, "limits_met_total", route=route, limit=limit) >= 1
        page = await scrape(server.port)
        assert page.values("limits_met", "limit") == {limit}
        if limit.startswith(("max_c", "max_u", "handshake")):
            assert page("handshakes_refused_total", route=route, reason=limit) == 1


async def send_to_a_slow_peer(server: NativeServer, policy: str) -> None:
    app: Any = server.uvicorn.config.app
    async with server.opened("/deaf", is_deaf=True):
        for number in range(2000):
            (listener,) = app.connections
            if listener.connection.is_ended:
                break
            await broadcast([listener], f"{number} {BIG}")
        assert await shown(server.port, "messages_dropped_total", policy=policy) > 1
        app.state.is_heard.set()


@pytest.mark.parametrize("policy", ["close", "drop_oldest", "drop_newest", "latest"])
async def test_what_the_overflow_policy_drops_is_counted(policy: str) -> None:
    options = {"overflow": policy, "outbox_frames": 5, "write_stall_timeout": 600.0}
    async with native_server(application(**options)) as server:
        await send_to_a_slow_peer(server, policy)
        page = await scrape(server.port)
        assert page.values("messages_dropped", "policy") == {policy}
        assert page("messages_dropped_total", route="/deaf") > 1


# --- the account is right -----------------------------------------------------------------------


async def test_after_the_churn_every_gauge_is_0_and_nothing_is_missing() -> None:
    app = application()
    async with native_server(app) as server:

        async def visit(number: int) -> None:
            async with server.connect(f"/echo?visitor={number}") as client:
                await client.send(str(number))
                assert await received(client) == str(number)
                if number % 2:
                    client.transport.abort()

        for start in range(0, 300, 50):
            await asyncio.gather(*(visit(number) for number in range(start, start + 50)))
        await asyncio.gather(*(server.refusal(f"/nowhere/{number}") for number in range(50)))
        async with asyncio.timeout(TIMEOUT):
            while (page := await scrape(server.port))("connections_ended_total") < 300:
                pass
    assert page("connections") == 0
    assert page("unauthenticated_connections") == 0
    assert page("handshakes_accepted_total") == page("messages_received_total") == 300
    assert page("messages_sent_total") == 300
    assert page("received_bytes_total") == sum(len(str(number)) for number in range(300))
    assert page("connections_ended_total", code="1006") == 150
    assert page("handler_seconds_count", route="/echo") == 300
    assert page("handshakes_refused_total", reason="no_route") == 50
    assert page.values("handshakes_refused", "route") == {""}
    assert page.values("connections", "route") == {"/echo"}
    assert app.connections == []


async def test_a_peer_that_leaves_before_the_answer_is_counted_as_gone() -> None:
    app = application()
    async with native_server(app) as server:
        async with raw_client(server.port) as client:
            await client.send(handshake("/late"))
            await until(lambda: app.connections)
        await until(lambda: app.connections[0].connection.is_closed)
        app.state.is_heard.set()
        assert await shown(server.port, "handshakes_refused_total", reason="peer_gone") == 1
        assert (await scrape(server.port))("connections") == 0


async def test_strangers_are_counted_until_they_say_who_they_are() -> None:
    app = App(metrics=Metrics(path="/metrics", is_public=True))
    app.events("/secret", dialect=Typed(), auth=FirstMessage(who)).on("noop")(noop)
    async with native_server(app) as server, server.connect("/secret") as client:
        assert (await scrape(server.port))("unauthenticated_connections") == 1
        await client.send('{"type": "auth", "id": 1, "data": {"token": "ada"}}')
        await received(client)
        page = await scrape(server.port)
        assert page("unauthenticated_connections") == 0
        assert page("connections") == 1


@pytest.mark.parametrize("ws", IMPLEMENTATIONS)
async def test_other_servers_are_counted_alike(ws: str) -> None:
    async with serving(application(max_message_size=10), ws) as server:
        async with server.connect("/echo") as peer:
            await peer.send("grüße")
            assert await peer.receive() == "grüße"
            await peer.send("much too long")
            await shown(server.port, "limits_met_total", limit="max_message_size")
        await shown(server.port, "connections_ended_total", code="1009")
        page = await scrape(server.port)
    assert page("connections") == 0
    assert page("messages_received_total") == page("messages_sent_total") == 1
    assert page("received_bytes_total") == page("sent_bytes_total") == 7


async def test_a_flood_of_refusals_is_two_lines_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = application(max_connections=1)
    async with native_server(app) as server, server.connect("/echo"):
        refusals = [server.refusal("/echo") for _ in range(100)]
        await asyncio.gather(*refusals)
        page = await scrape(server.port)
        app._reception._refusals.tick(0.0)
    assert page("limits_met_total", limit="max_connections") == 100
    assert [each.getMessage() for each in caplog.records if each.levelname == "WARNING"] == [
        "refused the handshake of '/echo': max_connections is met",
        "refused 99 more handshakes in 10 s: max_connections",
    ]


# --- several workers ----------------------------------------------------------------------------

WORKERS = """
import os
from wirework import App, Metrics

app = App(metrics=Metrics(path="/metrics", token="0123456789abcdef"))

@app.ws("/pid")
async def pid(msg: str) -> str:
    return str(os.getpid())
"""


@asynccontextmanager
async def workers(folder: Path) -> AsyncIterator[Running]:
    (folder / "shared").mkdir()
    (folder / "chat.py").write_text(WORKERS)
    command = Running(folder, "chat:app", "--port", "0", "--workers", "2")
    try:
        await until(lambda: command.port and command.accepts(), every=0.05, within=START)
        yield command
    except TimeoutError:
        raise AssertionError(command.output) from None
    finally:
        command.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            command.process.wait(TIMEOUT)
        if command.process.poll() is None:
            os.killpg(command.process.pid, signal.SIGKILL)
            command.process.wait()


async def test_any_worker_shows_the_sum_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "shared"))
    headers = {"authorization": "Bearer 0123456789abcdef"}
    async with workers(tmp_path) as command, AsyncExitStack() as stack:
        clients: list[ClientConnection] = []
        pids: set[str | bytes] = set()
        while len(pids) < 2:
            url = f"ws://{HOST}:{command.port}/pid"
            client = await stack.enter_async_context(connect(url, proxy=None))
            await client.send("x")
            pids.add(await received(client))
            clients.append(client)
        most = 0.0
        async with httpx.AsyncClient(trust_env=False, verify=NO_TLS, headers=headers) as http:
            async with asyncio.timeout(TIMEOUT):
                while most < len(clients):
                    answer = await http.get(f"http://{HOST}:{command.port}/metrics")
                    page = Page(answer.text)
                    most = page("messages_received_total", route="/pid")
        assert page("connections", route="/pid") == len(clients)
        assert page("handler_seconds_count", route="/pid") == len(clients)
