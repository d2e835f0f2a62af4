"""Answers, word by word, as language models give them: the page may be loaded anew meanwhile."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import uuid4

import msgspec
from htpy import Element
from starlette.background import BackgroundTask
from starlette.responses import Response

from examples.page import STATIC, page
from wirework import App, History, NamedChannel, Position, Router
from wirework.dialects import Typed

Question = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]

router = Router()
router.events("/ws", dialect=Typed())


class Token(msgspec.Struct):
    text: str = ""
    is_last: bool = False


class Asked(msgspec.Struct):
    """Where the answer comes, and from where on."""

    channel: str
    since: Position


def add_channels(app: App) -> None:
    """A channel for each answer, which has all of its tokens for an hour."""
    answer = app.channel("answer:{id:uuid}", model=Token, history=History(size=300, ttl=3600))
    answer.on_subscribe(read)


async def read() -> bool:
    return True  # whoever knows the id


@router.post("/ask")
async def ask(question: Question, app: App) -> Response:
    answer = app.channel_named(f"answer:{uuid4()}")
    asked = Asked(answer.name, await answer.position())
    task = BackgroundTask(write, answer, question)  # whether the page is still there or not
    return Response(msgspec.json.encode(asked), media_type="application/json", background=task)


async def write(answer: NamedChannel[Any], question: str) -> None:
    try:
        async for text in model(question):
            await answer.publish(Token(text))
    finally:  # also where the model fails
        await answer.publish(Token(is_last=True))


async def model(question: str) -> AsyncIterator[str]:
    """Stands for a language model."""
    for word in f"{question} {PONDERED}".split():
        await asyncio.sleep(random.uniform(0.03, 0.25))
        yield f"{word} "


PONDERED = """That is a question that I have been asked before. Some say yes, some say no, and both
have written books about it. Let us look at the facts: tea is warm, rain is wet, and a page that is
loaded anew in the middle of a sentence should neither begin from the start nor read a word twice.
So the words are in a channel, which keeps them, and each has its number. A page says which one it
had last, and gets those that follow, from whichever worker it reaches. In short: it depends."""


@router.get("/")
async def index() -> Element:
    hint = "Ask something, and load the page anew in the middle of the answer: no word is missing."
    return page("answers", "Token stream", hint, sources=["static/channels.js"])


app = App()
app.include(router)
app.mount("/static", STATIC)
add_channels(app)
