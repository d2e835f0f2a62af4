"""An answer that comes token by token, in a page that is loaded anew or loses its network."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import expect

from examples import answers
from tests.browser.cable import Cable
from tests.browser.conftest import OpenTab, OpenWired
from tests.browser.tab import Tab

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Model:
    """Says what it is given, when it is given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._tokens: asyncio.Queue[str | None] = asyncio.Queue()
        monkeypatch.setattr(answers, "model", self.answer)

    def say(self, *tokens: str | None) -> None:
        for token in tokens:
            self._tokens.put_nowait(token)

    async def answer(self, question: str) -> AsyncIterator[str]:
        while (token := await self._tokens.get()) is not None:
            yield token
            self._tokens.task_done()

    async def until_said(self) -> None:
        """Wait until all that it was given is published."""
        await self._tokens.join()


async def test_an_answer_survives_that_its_page_is_loaded_anew(
    open_tab: OpenTab, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Model(monkeypatch)
    tab = await open_tab("/answers/")
    await tab.expect_badge("connected")
    await tab.say("why?")
    model.say("one ", "two ")
    await expect(tab.find("#answer")).to_have_text("one two")
    await tab.page.reload()
    await expect(tab.find("#answer")).to_have_text("one two")
    model.say("three ")
    await expect(tab.find("#answer")).to_have_text("one two three")
    await tab.page.goto("about:blank")
    model.say("four ")
    await tab.open("/answers/")
    model.say("five ", None)
    await expect(tab.find("#news")).to_have_text("done")
    await expect(tab.find("#answer")).to_have_text("one two three four five")
    await tab.page.reload()
    await expect(tab.find("#news")).to_have_text("done")
    await expect(tab.find("#answer")).to_have_text("one two three four five")


async def test_a_second_question_has_an_answer_of_its_own(
    open_tab: OpenTab, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Model(monkeypatch)
    tab = await open_tab("/answers/")
    await tab.expect_badge("connected")
    for word in ("first", "second"):
        await tab.say("why?")
        model.say(word, None)
        await expect(tab.find("#answer")).to_have_text(word)


async def asked(open_wired: OpenWired, model: Model) -> Tab:
    """Return a page that has the beginning of an answer."""
    tab = await open_wired("/answers/")
    await tab.expect_badge("connected")
    await tab.say("why?")
    model.say("one ")
    await expect(tab.find("#answer")).to_have_text("one")
    return tab


async def test_an_answer_goes_on_where_the_network_was_cut(
    open_wired: OpenWired, cable: Cable, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Model(monkeypatch)
    tab = await asked(open_wired, model)
    cable.pull()
    model.say("two ")
    cable.plug()
    model.say("three", None)
    await expect(tab.find("#answer")).to_have_text("one two three")
    await expect(tab.find("#news")).to_have_text("done")


async def test_an_answer_whose_beginning_is_lost_says_so_and_shows_what_is_kept(
    open_wired: OpenWired, cable: Cable, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Model(monkeypatch)
    tab = await asked(open_wired, model)
    cable.pull()
    model.say(*["more "] * 300)
    await model.until_said()
    cable.plug()
    model.say("end", None)
    await expect(tab.find("#news")).to_have_text("done")
    kept = re.compile(r"^\(The beginning is not kept any more\.\) (more ){298,300}end$")
    await expect(tab.find("#answer")).to_have_text(kept)  # 300 at the time when it came back
