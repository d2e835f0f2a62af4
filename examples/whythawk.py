"""Whythawk: a session that begins with a token, whose updates reach all users; Vue in the page."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum

import msgspec
from htpy import Element, Node, div, script
from itsdangerous import BadData, URLSafeTimedSerializer
from markupsafe import Markup

from examples import npm
from examples.login import add_login, login_form
from examples.page import HERE, STATIC, page
from wirework import (
    App,
    Close,
    FirstMessage,
    Refuse,
    Reject,
    Reply,
    Router,
    Session,
    WebSocket,
    broadcast,
)
from wirework.dialects import State

router = Router()


# --- over HTTP: who you are, and a token that says so ---------------------------------------------

TOKENS = URLSafeTimedSerializer("for this example only: keep yours out of the code")
TOKEN_AGE = 15 * 60


class User(msgspec.Struct, frozen=True):
    name: str


add_login(router)


@router.post("/token")
async def refresh_token(session: Session) -> dict[str, str]:
    if "name" not in session:
        raise Refuse(401, "log in first")
    return {"token": new_token(session["name"])}


def new_token(name: str, kind: str = "access") -> str:
    return str(TOKENS.dumps({"name": name, "kind": kind}))


async def user_of_token(token: str) -> User | None:
    try:
        said = TOKENS.loads(token, max_age=TOKEN_AGE)
    except BadData:  # forged, mangled or too old
        return None
    return User(said["name"]) if said["kind"] == "access" else None


# --- over WebSockets ------------------------------------------------------------------------------


class Kind(StrEnum):
    OFFER = "offer"
    WISH = "wish"


class Thing(msgspec.Struct):
    text: str
    price: Decimal = Decimal(0)
    kind: Kind = Kind.OFFER


class Entry(Thing, kw_only=True):
    by: str
    id: uuid.UUID = msgspec.field(default_factory=uuid.uuid4)
    at: datetime = msgspec.field(default_factory=lambda: datetime.now(UTC))


entries: list[Entry] = []
users: dict[WebSocket, User] = {}
socket = router.events("/api/v1/socket", dialect=State(), auth=FirstMessage(verify=user_of_token))


@socket.on("startThings")
async def start_things(ws: WebSocket, user: User) -> dict[str, object]:
    users[ws] = user
    await tell_who_is_here()
    return {"something": "yes, something", "entries": entries}


@socket.on("add", after="startThings")
async def add(thing: Thing, user: User) -> None:
    if not 0 <= thing.price < 1_000_000:
        raise Reject("price", "The price is below a million, and not below nothing.")
    entry = Entry(thing.text, thing.price, thing.kind, by=user.name)
    entries.append(entry)
    await broadcast(users, entry, name="somethingHappened")


@socket.on("save", after="startThings")
async def save() -> Reply:
    return Reply({}, then=Close(1000))


@socket.on_disconnect
async def leave(ws: WebSocket) -> None:
    if users.pop(ws, None):
        await tell_who_is_here()


async def tell_who_is_here() -> None:
    names = sorted({user.name for user in users.values()})
    await broadcast(users, {"users": names}, name="somethingElse")


# --- the page -------------------------------------------------------------------------------------

FILES = ("vue.js", "websocket-as-promised.js")


@router.get("/")
async def index(session: Session) -> Element:
    return page(
        "whythawk",
        "Whythawk",
        "Open this page in two browsers: what one adds, both see. Saving ends the session.",
        npm.missing(*FILES) or (desk() if "name" in session else login_form()),
        scripts=npm.scripts(*FILES),
        sources=["pages/whythawk.html", "static/whythawk.js", "npm.py"],
    )


def desk() -> list[Node]:
    return [
        div("#app"),
        Markup((HERE / "pages/whythawk.html").read_text("utf-8")),
        script(src="/static/whythawk.js"),
    ]


app = App(secret_key="for this example only: keep yours out of the code")
app.include(router)
app.include(npm.router)
app.mount("/static", STATIC)
