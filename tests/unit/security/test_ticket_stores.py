"""What an application does with the stores of its tickets: one that fails, and all at the end."""

from __future__ import annotations

import pytest

from wirework import App, Metrics, Router, Ticket
from wirework.security.tickets import Tickets
from wirework.testing import HandshakeRefused, TestClient

KEY = "b7Yk2mQ9xZ4tW8vN1cR6pL3sD5fH0jGa"


class Away:
    """A store that cannot be reached."""

    async def spend(self, id: str, until: float) -> bool:
        raise ConnectionError("nobody\nis there")


class Open:
    """A store that has to be closed, and counts it."""

    def __init__(self) -> None:
        self.closed = 0

    async def spend(self, id: str, until: float) -> bool:
        return True


class Awaited(Open):
    async def close(self) -> None:
        self.closed += 1


class Plain(Open):
    def close(self) -> None:
        self.closed += 1


async def greet(text: str) -> str:
    return text


async def test_a_flood_of_tickets_while_their_store_is_away_is_one_line_of_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    metrics = Metrics(path="/metrics", is_public=True)
    app = App(secret_key=KEY, tickets=Away(), metrics=metrics)
    app.ws("/x", auth=Ticket())(greet)
    async with TestClient(app) as client:
        for _ in range(20):
            with pytest.raises(HandshakeRefused) as caught:
                await client.connect(f"/x?ticket={app.tickets.issue('ada')}").__aenter__()
            assert (caught.value.status, caught.value.headers["retry-after"]) == (503, "1")
        page = (await client.get("/metrics")).text
    (line,) = [each for each in caplog.records if each.levelno >= 30]
    assert line.exc_info is None
    assert line.getMessage() == (
        "refused the handshake of '/x': whether a ticket was used cannot be known:"
        " ConnectionError('nobody\\nis there')"
    )
    assert 'handshakes_refused_total{reason="store",route="/x",status="503"} 20.0' in page


@pytest.mark.parametrize("kind", [Awaited, Plain])
async def test_the_stores_of_all_tickets_are_closed_once_at_the_end(kind: type[Open]) -> None:
    own, of_routes, of_router = kind(), kind(), kind()
    shared, other = Tickets(KEY, store=of_routes), Tickets(KEY, store=of_router)
    app = App(secret_key=KEY, tickets=own)
    app.ws("/own", auth=Ticket())(greet)
    app.ws("/one", auth=Ticket(tickets=shared))(greet)
    app.ws("/two", auth=Ticket(tickets=shared))(greet)
    router = Router(auth=Ticket(tickets=other))
    router.ws("/three")(greet)
    app.include(router)
    async with TestClient(app):
        assert own.closed == of_routes.closed == of_router.closed == 0
    assert [own.closed, of_routes.closed, of_router.closed] == [1, 1, 1]
