"""Whythawk: a token, then a session of all users, whose updates reach each; Vue in the page."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

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
    History,
    NamedChannel,
    Presence,
    Refuse,
    Reject,
    Reply,
    Router,
    Session,
)
from wirework.dialects import State

router = Router()


# --- over HTTP: who you are, and a token that says so ---------------------------------------------

TOKENS = URLSafeTimedSerializer("for this example only: keep yours out of the code")
TOKEN_AGE = 15 * 60


class User(msgspec.Struct, frozen=True):
    id: str


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


def add_channels(app: App) -> None:
    """The newest thing and the newest price are kept for a day, and told to whoever comes."""
    app.channel("things", mode="latest", history=History(ttl=24 * 3600), presence=Presence(grace=1))


class Kind(StrEnum):
    OFFER = "offer"
    WISH = "wish"


class Thing(msgspec.Struct):
    text: Annotated[str, msgspec.Meta(max_length=200)]
    kind: Kind = Kind.OFFER


class Price(msgspec.Struct):
    price: Decimal = Decimal(0)


class Update(msgspec.Struct, kw_only=True):
    """What a user has changed, as all of them are told."""

    by: str
    id: uuid.UUID = msgspec.field(default_factory=uuid.uuid4)
    at: datetime = msgspec.field(default_factory=lambda: datetime.now(UTC))
    value: Thing | Price


socket = router.events("/api/v1/socket", dialect=State(), auth=FirstMessage(verify=user_of_token))


@socket.shared
async def session_of(app: App) -> NamedChannel[Any]:
    """Everybody shares one session, on whichever worker; "things:{id}" would be one for each id."""
    return app.channel_named("things")


@socket.on("startThings")
async def start_things() -> Reply:
    return Reply({"something": "yes, something", "channel": "things"})  # for this page alone


@socket.on("thing", after="startThings")
async def change_thing(thing: Thing, user: User) -> Update:
    return Update(by=user.id, value=thing)  # for all of them


@socket.on("price", after="startThings")
async def change_price(price: Price, user: User) -> Update:
    if not 0 <= price.price < 1_000_000:
        raise Reject("price", "The price is below a million, and not below nothing.")
    return Update(by=user.id, value=price)


@socket.on("save", after="startThings")
async def save() -> Reply:
    return Reply({}, then=Close(1000))


# --- the page -------------------------------------------------------------------------------------

FILES = ("vue.js", "websocket-as-promised.js")


@router.get("/")
async def index(session: Session) -> Element:
    return page(
        "whythawk",
        "Whythawk",
        "Change things in two tabs: both see the newest, and so does a third. Saving ends yours.",
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
add_channels(app)
