"""What the page of an application says, and to whom."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry, Counter

from tests.unit.applications import open_line, talking
from tests.unit.observe.page import Page
from wirework import App, Close, Metrics, Reject, WebSocket
from wirework.cli.check import check
from wirework.connection import Connection
from wirework.dialects import Typed
from wirework.observe.metered import MeteredConnection
from wirework.testing import HandshakeRefused, TestClient
from wirework.timers import TICK, wheel

TOKEN = "0123456789abcdef"


def counted(**options: Any) -> App:
    app = App(metrics=Metrics(path="/metrics", is_public=True), **options)

    @app.ws("/rooms/{room}")
    async def on_message(n: int) -> int:
        return n

    @app.websocket("/loop")
    async def loop(ws: WebSocket) -> None:
        await ws.accept()
        async for text in ws.iter_text():
            await ws.send_text(text)

    @app.websocket("/served/{who}")
    async def served(ws: WebSocket) -> None:
        await ws.accept()
        await ws.serve(on_receive=shout)

    desk = app.events("/desk", dialect=Typed())

    @desk.on("order")
    async def order(n: int) -> int:
        if n == 1:
            raise Reject("sold_out", "no more")
        if n == 2:
            raise KeyError(n)
        if n == 3:
            raise Close(4005)
        return n

    @desk.on("prices")
    async def prices(n: int) -> AsyncIterator[int]:
        for number in range(n):
            yield number

    @desk.on("slow")
    def slow(n: int) -> int:
        return n

    return app


async def shout(msg: str) -> str:
    return msg.upper()


async def page_of(app: App) -> Page:
    assert app.metrics is not None
    body, _ = await app.metrics.render()
    return Page(body.decode())


# --- connections and messages -------------------------------------------------------------------


async def test_connections_are_open_and_then_ended() -> None:
    app = counted()
    async with TestClient(app) as client:
        async with client.connect("/rooms/1"), client.connect("/rooms/2"), client.connect("/loop"):
            page = await page_of(app)
            assert page("connections", route="/rooms/{room}") == 2
            assert page("connections", route="/loop") == 1
            assert page("connections_ended_total") == 0
        page = await page_of(app)
        assert page("connections") == 0
        assert page("connections_ended_total", route="/rooms/{room}", code="1000") == 2
        assert page("connection_seconds_count", route="/loop") == 1
        assert page("handshakes_accepted_total") == 3


@pytest.mark.parametrize(
    ("path", "route"),
    [("/rooms/7", "/rooms/{room}"), ("/loop", "/loop"), ("/served/me", "/served/{who}")],
)
async def test_messages_and_their_bytes_are_counted_while_a_connection_is_open(
    path: str, route: str
) -> None:
    app = counted()
    async with talking(app, path) as ws:
        for text in ('{"n": 10}', '{"n": 200}'):
            await ws.send_text(text)
            await ws.receive_text()
        page = await page_of(app)
        again = await page_of(app)
    for found in (page, again, await page_of(app)):
        assert found("messages_received_total", route=route) == 2
        assert found("messages_sent_total", route=route) == 2
        assert found("received_bytes_total", route=route) == 19
        assert found("sent_bytes_total", route=route) == (5 if route == "/rooms/{room}" else 19)


async def test_bytes_are_bytes_of_what_was_sent_not_characters() -> None:
    app = counted()
    async with talking(app, "/loop") as ws:
        await ws.send_text("grüße")
        assert await ws.receive_text() == "grüße"
        page = await page_of(app)
        assert page("received_bytes_total") == page("sent_bytes_total") == 7
        peer: Any = ws.peer
        peer.connection.feed_all(["ü", "ab"])
        peer.connection.feed_all(["ü", "x" * 20_000])
        for _ in range(4):
            await ws.receive_text()
        assert (await page_of(app))("received_bytes_total") == 7 + 4 + 20_002


async def test_what_is_sent_last_is_counted() -> None:
    app = App(metrics=True)

    @app.websocket("/")
    async def farewell(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send_text("adieu")

    async with talking(app) as ws:
        assert await ws.receive_text() == "adieu"
        await ws.assert_closed(1000)
    assert (await page_of(app))("messages_sent_total") == 1


# --- handshakes ---------------------------------------------------------------------------------


async def refuse(app: App, path: str, **options: Any) -> Page:
    async with TestClient(app) as client:
        with pytest.raises(HandshakeRefused):
            async with client.connect(path, **options):
                pass
        return await page_of(app)


async def test_a_path_that_leads_nowhere_is_no_label() -> None:
    page = await refuse(counted(), "/nowhere/at/all")
    labels = {"route": "", "reason": "no_route", "status": "404"}
    assert page("handshakes_refused_total", **labels) == 1
    assert page.values("handshakes_refused", "route") == {""}


@pytest.mark.parametrize(
    ("options", "headers", "reason", "status"),
    [
        ({}, {"origin": "https://evil.example"}, "origin", "403"),
        ({"websocket": False}, {}, "switched_off", "403"),
        ({"max_message_size": 9}, {"x-refuse": "418"}, "application", "418"),
    ],
    ids=["origin", "switched off", "by the application"],
)
async def test_a_refusal_has_a_reason(
    options: dict[str, Any], headers: dict[str, str], reason: str, status: str
) -> None:
    app = counted(**options)

    @app.websocket("/strict")
    async def strict(ws: WebSocket) -> None:
        await ws.refuse(int(ws.headers["x-refuse"]))

    page = await refuse(app, "/strict", headers=headers)
    assert page("handshakes_refused_total", reason=reason, status=status) == 1
    assert page("handshakes_refused_total") == 1
    assert page("connections") == page("handshakes_accepted_total") == 0


async def test_a_server_that_shuts_down_says_so_to_metrics_and_load_balancers() -> None:
    app = counted()
    app.health()
    async with TestClient(app) as client:
        assert (await client.get("/health")).json() == {"status": "ok"}
        assert (await client.get("/health/ready")).status_code == 200
        ending = app.shut_down()
        assert (await client.get("/health")).status_code == 200
        answer = await client.get("/health/ready")
        assert (answer.status_code, answer.json()) == (503, {"status": "draining"})
        with pytest.raises(HandshakeRefused):
            async with client.connect("/loop"):
                pass
        page = await page_of(app)
        assert page("handshakes_refused_total", reason="shutdown", status="503") == 1
        await ending


# --- handlers -----------------------------------------------------------------------------------


async def call(ws: Any, name: str, n: Any, id: int | None = None) -> None:
    await ws.send_json({"type": name, "id": id or n, "data": {"n": n}})


async def test_handlers_are_timed_by_the_names_they_were_registered_with() -> None:
    app = counted()
    async with TestClient(app) as client:
        async with client.connect("/desk") as ws:
            for name, answers in (("order", 1), ("slow", 1), ("prices", 10), ("nonsense", 1)):
                await call(ws, name, 9)
                for _ in range(answers):
                    await ws.receive_json()
        async with client.connect("/served/me") as ws:
            await ws.send_text("hello")
            assert await ws.receive_text() == "HELLO"
        page = await page_of(app)
    for event in ("order", "slow", "prices"):
        assert page("handler_seconds_count", route="/desk", event=event) == 1
    assert page("handler_seconds_count", route="/served/{who}", event="") == 1
    assert page.values("handler_seconds_count", "event") == {"order", "slow", "prices", ""}
    assert page("handler_seconds_sum") > 0


async def test_handlers_that_are_not_to_be_timed_are_not() -> None:
    app = App(metrics=Metrics(times_handlers=False))
    app.ws("/")(shout)
    async with talking(app) as ws:
        await ws.send_text("hello")
        assert await ws.receive_text() == "HELLO"
    page = await page_of(app)
    assert page("handler_seconds_count") == 0
    assert page("messages_received_total") == 1


def test_a_timed_handler_is_shown_and_checked_as_its_own() -> None:
    plain, timed = App(), App(metrics=True)
    for app in (plain, timed):
        app.ws("/")(shout)
    checked = check("app", timed).routes
    assert timed.describe_routes() == plain.describe_routes()
    assert checked == check("app", plain).routes
    assert checked[0].file is not None
    assert checked[0].file.endswith("test_metrics.py")


def test_timed_handlers_keep_the_short_way_of_messages() -> None:
    endpoints: list[Any] = [target.endpoint for _, target in order_app().websocket_routes()]
    (desk,) = endpoints
    assert desk.lanes == {"order"}


class Order(msgspec.Struct):
    n: int


async def take_order(order: Order) -> int:
    return order.n


def order_app() -> App:
    app = App(metrics=True)
    app.events("/desk", dialect=Typed()).on("order")(take_order)
    return app


async def test_messages_on_the_short_way_are_counted_and_timed() -> None:
    app = order_app()
    async with talking(app, "/desk") as ws:
        for n in range(3):
            await call(ws, "order", n, n + 1)
            assert (await ws.receive_json())["data"] == n
        page = await page_of(app)
    assert page("messages_received_total") == page("messages_sent_total") == 3
    assert page("handler_seconds_count", route="/desk", event="order") == 3
    assert page("sent_bytes_total") > 60


async def test_errors_are_counted_by_their_codes(caplog: pytest.LogCaptureFixture) -> None:
    app = counted()
    async with talking(app, "/desk") as ws:
        for n in (1, 2, "x"):
            await call(ws, "order", n, 7)
            await ws.receive_json()
        await call(ws, "nonsense", 4)
        await ws.receive_json()
        await call(ws, "order", 3)
        await ws.assert_closed(4005)
    page = await page_of(app)
    assert page("handler_errors_total", route="/desk") == 1
    assert page("connections_ended_total", code="4005") == 1
    codes = ("sold_out", "internal", "validation", "not_found")
    assert [page("rejects_total", route="/desk", code=code) for code in codes] == [1, 1, 1, 1]


# --- labels are few -----------------------------------------------------------------------------


async def test_what_peers_choose_makes_no_labels() -> None:
    app = counted()
    async with TestClient(app) as client:
        for number in range(200):
            async with client.connect(f"/rooms/{number}?q={number}") as ws:
                peer: Any = ws.peer
                peer.close(3000 + number * 10, f"reason {number}")
        page = await page_of(app)
    assert page("connections_ended_total") == 200
    assert page.values("connections_ended", "code") == {"3xxx", "4400", "4xxx"}
    assert page.values("connections_ended", "route") == {"/rooms/{room}"}
    assert {name for _, own in page.samples for name, _ in own} <= {
        *("route", "code", "event", "reason", "status", "limit", "policy", "le")
    }


async def test_codes_that_a_handler_makes_up_are_few_labels() -> None:
    app = App(metrics=True)

    @app.ws("/")
    async def reject(n: int) -> None:
        raise Reject(f"made up {n}")

    async with talking(app) as ws:
        for number in range(200):
            await ws.send_json({"n": number})
            await ws.receive_json()
    page = await page_of(app)
    assert page("rejects_total") == 200
    assert len(page.values("rejects", "code")) == 65
    assert page("rejects_total", code="other") == 136


# --- the page -----------------------------------------------------------------------------------


def test_a_page_for_everybody_is_a_finding_of_the_check() -> None:
    def codes(**options: Any) -> list[str]:
        app = App(metrics=Metrics(**options), secret_key="k" * 40, session_https_only=True)
        return [each.code for each in check("app", app).findings]

    assert "public-metrics" in codes(path="/metrics", is_public=True)
    assert "public-metrics" not in codes(path="/metrics", token=TOKEN)
    assert "public-metrics" not in codes()


async def test_without_metrics_nothing_counts_and_there_is_no_page() -> None:
    app = App()
    app.ws("/")(shout)
    assert app.metrics is None
    async with TestClient(app) as client:
        assert (await client.get("/metrics")).status_code == 404
        async with client.connect("/") as ws:
            peer: Any = ws.peer
            assert type(peer.connection) is Connection


async def test_metrics_alone_show_no_page() -> None:
    async with TestClient(App(metrics=True)) as client:
        assert (await client.get("/metrics")).status_code == 404


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer {TOKEN}", 200),
        (f"Basic {TOKEN}", 401),
        ("Bearer 0123456789abcdeX", 401),
        ("Bearer grüße", 401),
        (TOKEN, 401),
        (None, 401),
    ],
    ids=["right", "in small letters", "another scheme", "wrong", "not ASCII", "bare", "none"],
)
async def test_the_page_is_for_whoever_has_the_token(header: str | None, status: int) -> None:
    app = App(metrics=Metrics(path="/metrics", token=TOKEN))
    headers = {} if header is None else {"authorization": header.encode()}
    async with TestClient(app) as client:
        answer = await client.get("/metrics", headers=headers)
    assert answer.status_code == status
    assert ("wirework_" in answer.text) is (status == 200)
    assert ("www-authenticate" in answer.headers) is (status == 401)


async def test_the_page_speaks_open_metrics_where_that_is_asked_for() -> None:
    async with TestClient(counted()) as client:
        plain = await client.get("/metrics")
        asked = await client.get(
            "/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"}
        )
    assert plain.headers["content-type"].startswith("text/plain")
    assert asked.headers["content-type"].startswith("application/openmetrics-text")
    assert asked.text.endswith("# EOF\n")


async def test_a_route_of_ones_own_may_show_it() -> None:
    app = App(metrics=True)

    @app.get("/internal")
    async def internal() -> object:
        assert app.metrics is not None
        return await app.metrics.response()

    async with TestClient(app) as client:
        assert "wirework_" in (await client.get("/internal")).text


async def test_a_registry_of_the_applications_own_has_its_metrics_too() -> None:
    registry = CollectorRegistry()
    Counter("orders", "Orders.", registry=registry).inc(5)
    app = App(metrics=Metrics(registry=registry))
    assert app.metrics is not None
    assert b"orders_total 5.0" in (await app.metrics.render())[0]


async def test_how_late_the_event_loop_is_is_counted_while_somebody_is_connected() -> None:
    app = counted()
    async with talking(app, "/loop"):
        assert (await page_of(app))("event_loop_lag_seconds_count") == 0
        wheel()._turn()
        assert (await page_of(app))("event_loop_lag_seconds_count") == 1
    assert TICK > 0


async def test_many_connections_are_asked_with_breaks_for_others() -> None:
    metrics = Metrics()
    lines = []
    for _ in range(2001):
        line = await open_line()
        line.connection = metrics.connection(line, App().settings)
        await line.connection.accept()
        line.connection.feed("x")
        lines.append(line)
    rendering = metrics.render()
    assert [rendering.send(None), rendering.send(None)] == [None, None]
    with pytest.raises(StopIteration) as done:
        rendering.send(None)
    page = Page(done.value.value[0].decode())
    assert page("messages_received_total") == 2001
    for line in lines:
        line.connection.lost()


async def test_a_connection_that_ends_in_between_is_counted_once() -> None:
    metrics = Metrics()
    line = await open_line()
    connection: MeteredConnection = metrics.connection(line, App().settings)
    await connection.accept()
    connection.feed("x")
    await metrics.render()
    connection.feed("y")
    connection.lost()
    assert Page((await metrics.render())[0].decode())("connections") == 1
    connection.finish()
    page = Page((await metrics.render())[0].decode())
    assert page("connections") == 0
    assert page("messages_received_total") == 2


# --- misuse -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"path": "/metrics"}, "give a token that the scraper sends, or is_public=True"),
        ({"path": "/metrics", "token": TOKEN, "is_public": True}, "got both"),
        ({"token": TOKEN}, "give a path"),
        ({"is_public": True}, "give a path"),
        ({"path": "/metrics", "token": "short"}, "at least 16 characters, got 5"),
        ({"buckets": (1.0, 0.5)}, "buckets: expected ascending numbers, got (1.0, 0.5)"),
        ({"buckets": ()}, "buckets: expected ascending numbers, got ()"),
    ],
    ids=["open", "both", "token alone", "public alone", "short", "unordered", "none"],
)
def test_what_cannot_work_is_said(options: dict[str, Any], words: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        Metrics(**options)
    assert words in str(caught.value)


def test_one_registry_is_for_one_application() -> None:
    registry = CollectorRegistry()
    Metrics(registry=registry)
    with pytest.raises(ValueError, match="wirework_connections"):
        Metrics(registry=registry)


def test_metrics_are_metrics() -> None:
    wrong: Any = "/metrics"
    with pytest.raises(TypeError, match="expected True or a Metrics, got '/metrics'"):
        App(metrics=wrong)


@pytest.mark.parametrize("given", ["True", "wirework.Metrics()"])
def test_without_the_extra_asking_for_metrics_names_it(given: str) -> None:
    program = (
        "import sys; sys.modules['prometheus_client'] = None\n"
        f"import wirework; wirework.App(); wirework.App(metrics={given})"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert done.stderr.splitlines()[-1] == (
        "ModuleNotFoundError: Metrics need prometheus_client, got no module 'prometheus_client': "
        "pip install 'wirework[metrics]'"
    )
