"""The application whose resources, doors and messages are attacked; its log has every end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any

from wirework import (
    App,
    Bearer,
    FirstMessage,
    Identity,
    QueryToken,
    Reject,
    WebSocket,
    broadcast,
)
from wirework import Query as FromQuery
from wirework.dialects import Typed

SECRET = "the password is hunter2"
"""Text of the errors that are raised on purpose."""


class _Format(logging.Formatter):
    """Tells errors on purpose from tracebacks that nobody expects."""

    def formatException(self, ei: Any) -> str:
        text = super().formatException(ei)
        return text.replace("Traceback", "Raised on purpose") if SECRET in text else text


logging.basicConfig(level=logging.INFO)
logging.getLogger().handlers[0].setFormatter(_Format("%(name)s %(message)s"))

app = App(secret_key="a secret that is long enough for tests")
seen: Counter[str] = Counter()
"""What happened how often."""
release = asyncio.Event()
room: set[WebSocket] = set()
revoked: set[str] = set()


@app.websocket("/echo")
async def echo(ws: WebSocket) -> None:
    await ws.accept()
    async for frame in ws:
        await ws.send(frame)


@app.websocket("/push", limits={"write_stall_timeout": 0.5})
async def push(ws: WebSocket) -> None:
    """Send numbered frames until the peer is gone."""
    await ws.accept()
    number = 0
    while True:
        await ws.send_bytes(number.to_bytes(4, "big") + bytes(1000))
        number += 1


@app.ws("/held")
async def held(text: str) -> None:
    """Keep a message until all are released."""
    seen["held"] += 1
    await release.wait()


@app.ws("/count")
async def count(text: str) -> str | None:
    """Count what comes; a question is answered with the count."""
    seen["counted"] += 1
    return str(seen["counted"]) if text == "?" else None


@app.ws("/count-nothing")
async def answer(frame: str) -> str:
    return frame


desk = app.events("/desk", dialect=Typed())
metered = app.events("/metered", dialect=Typed(), limits={"message_rate": 10})
weighed = app.events("/weighed", dialect=Typed(), limits={"byte_rate": 100_000})


@weighed.on("say")
@metered.on("say")
@desk.on("say")
async def say(text: str) -> str:
    return text


@desk.on("any")
async def anything(value: Any) -> str:
    return type(value).__name__


@desk.on("typed")
async def typed(number: int, numbers: list[int] = [], words: Mapping[str, int] = {}) -> int:  # noqa: B006
    return number


@desk.on("ask")
async def ask(ws: WebSocket, timeout: float) -> Any:
    try:
        return await ws.request("how many?", timeout=timeout)
    except TimeoutError:
        raise Reject("no_answer", "nobody has answered") from None


# --- who is it ----------------------------------------------------------------------------------


async def verify(token: str) -> Identity[str] | None:
    """Know those whose token is `t-` and a name; `t-name-1700000000` is good until then."""
    seen["verified"] += 1
    kind, _, rest = token.partition("-")
    name, _, until = rest.partition("-")
    if kind != "t" or not name or name in revoked:
        return None
    return Identity(name, expires_at=float(until) if until else None)


first = app.events(
    "/first", dialect=Typed(), auth=FirstMessage(verify), limits={"auth_timeout": 0.5}
)


@first.on("who")
async def who_first(user: str) -> str:
    return user


@app.ws("/private", auth=Bearer(verify, recheck=0.25))
async def private(text: str, user: str) -> str:
    return f"{text} {user}"


@app.ws("/query", auth=QueryToken(verify))
async def by_query(text: str, user: str) -> str:
    return user


# --- a room, and what goes wrong in handlers ----------------------------------------------------


@app.websocket("/room", limits={"write_stall_timeout": 1.0})
async def enter(ws: WebSocket) -> None:
    """Hear what everybody says."""
    await _stay(ws)


@app.websocket("/lossy-room", limits={"overflow": "drop_oldest", "write_stall_timeout": 60.0})
async def enter_lossy(ws: WebSocket) -> None:
    await _stay(ws)


async def _stay(ws: WebSocket) -> None:
    await ws.accept()
    room.add(ws)
    try:
        async for frame in ws:
            await broadcast(room, frame)
    finally:
        room.discard(ws)
        seen["dropped"] += ws.connection.outbox.dropped


faulty = app.events("/faulty", dialect=Typed(), limits={"handler_timeout": 0.5}, concurrency=2)


@faulty.on("raise")
async def raise_() -> None:
    raise RuntimeError(SECRET)


@faulty.on("reject")
async def reject() -> None:
    raise Reject("no", "not today")


@faulty.on("hang")
async def hang() -> None:
    try:
        await asyncio.Event().wait()
    finally:
        seen["let go"] += 1


@faulty.on("stubborn")
async def stubborn() -> str:
    """Go on though it is cancelled, until released."""
    while not release.is_set():
        try:
            await release.wait()
        except asyncio.CancelledError:
            seen["ignored"] += 1
    return "done"


@faulty.on("block")
async def block(seconds: float) -> str:
    """Hold the event loop up, as no handler should."""
    time.sleep(seconds)  # noqa: ASYNC251
    return "done"


@faulty.on("ok")
async def ok() -> str:
    return "ok"


@app.websocket("/raise")
async def raise_in_loop(ws: WebSocket) -> None:
    await ws.accept()
    await ws.receive()
    raise RuntimeError(SECRET)


@app.websocket("/crowd")
async def crowd(ws: WebSocket, senders: Annotated[int, FromQuery()] = 4) -> None:
    """Have as many tasks, and as many threads, send numbered frames at once."""
    await ws.accept()

    async def send(name: str) -> None:
        for number in range(200):
            await ws.send_text(f"{name} {number} " + "x" * (number * 7 % 300))

    def send_from_thread(name: str) -> None:
        for number in range(200):
            text = f"{name} {number} " + "x" * (number * 7 % 300)
            app.from_thread(ws.send_text, text)

    names = [f"thread{each}" for each in range(senders)]
    threads = [asyncio.to_thread(send_from_thread, name) for name in names]
    tasks = [send(f"task{each}") for each in range(senders)]
    await asyncio.gather(*threads, *tasks)


# --- what the process itself knows --------------------------------------------------------------


@app.get("/state")
async def state() -> dict[str, Any]:
    return {
        "tasks": len(asyncio.all_tasks()),
        "connections": len(list(app.connections)),
        "room": len(room),
        "seen": dict(seen),
    }


@app.post("/release")
async def let_go() -> str:
    release.set()
    return "released"


@app.post("/hold")
async def hold() -> str:
    release.clear()
    seen.clear()
    return "held"


@app.post("/revoke/{name}")
async def revoke(name: str) -> str:
    revoked.add(name)
    return "revoked"


@app.post("/throw-out/{name}")
async def throw_out(name: str) -> int:
    return app.disconnect(user=name, code=4403, reason="out")
