"""All examples in one application: `uvicorn examples.demo:app`, or scripts/demo."""

from __future__ import annotations

from typing import NamedTuple

from htpy import Element, a, h1, h2, header, li, main, p, span, ul

from examples import (
    answers,
    broadcast,
    cafeto,
    caspian,
    centrifugo,
    cursors,
    dashboard,
    echo,
    fastapi_beside,
    game,
    guard,
    htmx,
    htmx_chat,
    htmx_hello,
    htmx_votes,
    npm,
    pulsepoint,
    react,
    rooms,
    subprotocol,
    talk,
    whythawk,
)
from examples.page import STATIC, document
from wirework import App, Router


class Example(NamedTuple):
    path: str
    router: Router
    title: str
    line: str


EXAMPLES = (
    Example(
        "/chat",
        htmx_chat.router,
        "HTMX chat",
        "Log in, then talk, from htmx 2 or htmx 4.",
    ),
    Example("/talk", talk.router, "Channel chat", "Off the network and back: nothing is missed."),
    Example(
        "/answers",
        answers.router,
        "Token stream",
        "An answer, word by word, that survives a reload.",
    ),
    Example("/cursors", cursors.router, "Cursors", "Who is there, and where they point."),
    Example(
        "/dashboard",
        dashboard.router,
        "Live dashboard",
        "The newest of each, also for who comes back.",
    ),
    Example(
        "/react", react.router, "React", "Hooks that subscribe, and components that let go again."
    ),
    Example("/hello", htmx_hello.router, "HTMX hello", "A form goes up, two elements come down."),
    Example("/votes", htmx_votes.router, "HTMX votes", "Two sockets on a page, and a push to all."),
    Example("/game", game.router, "Game", "Typed moves in as JSON, positions out as bytes."),
    Example(
        "/cafeto", cafeto.router, "Cafeto", "Answers with a status: a 200, or a 400 with its list."
    ),
    Example(
        "/caspian",
        caspian.router,
        "Caspian",
        "Three kinds of sockets, with PulsePoint in the page.",
    ),
    Example(
        "/whythawk",
        whythawk.router,
        "Whythawk",
        "A token first, then a session shared by all, with Vue in the page.",
    ),
    Example(
        "/rooms",
        rooms.router,
        "Rooms",
        "Path, query and headers of the handshake; a channel for each room.",
    ),
    Example(
        "/broadcast",
        broadcast.router,
        "Broadcast",
        "What one tab says, all the others hear.",
    ),
    Example("/echo", echo.router, "Echo", "Every message comes back, nothing else."),
    Example("/guard", guard.router, "Guard", "Closing with intent: codes and reasons."),
    Example(
        "/subprotocol", subprotocol.router, "Subprotocol", "Agree on how to talk before you do."
    ),
    Example(
        "/fastapi",
        fastapi_beside.router,
        "FastAPI beside",
        "Its routes and docs, our sockets, one session.",
    ),
)

app = App(secret_key="for the demo only: keep yours out of the code")


@app.get("/")
async def index() -> Element:
    return document(
        "Examples",
        header[span(".home")["Wirework"]],
        main[
            h1["Live messaging, by example"],
            p(".hint")["Each page says what to try; most are best in two tabs side by side."],
            ul(".cards")[(card(example) for example in EXAMPLES)],
        ],
    )


def card(example: Example) -> Element:
    return li[a(href=f"{example.path}/")[h2[example.title], p[example.line]]]


for example in EXAMPLES:
    app.include(example.router, prefix=example.path)
app.include(centrifugo.router)
app.include(htmx.router)
app.include(caspian.named)
app.include(pulsepoint.router)
app.include(npm.router)
app.mount("/fastapi", fastapi_beside.api)  # its pages; its socket came with the router
app.mount("/static", STATIC)
for module in (answers, cursors, dashboard, htmx_chat, react, rooms, talk, whythawk):
    module.add_channels(app)
