"""A browser tab that remembers what went wrong in it."""

from __future__ import annotations

from urllib.parse import urlsplit

from playwright.async_api import BrowserContext, Locator, Page, expect

__all__ = ["Tab"]


class Tab:
    """One page of one visitor; visitors share nothing, the tabs of one visitor their cookies.

    `problems` lists errors of the console and of scripts, and requests that leave this machine.
    """

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self.origin = origin
        self.problems: list[str] = []
        page.on("console", lambda said: self._note(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self._note(str(error)))
        page.on("request", lambda request: self._check(request.url))

    @classmethod
    async def of(cls, visitor: BrowserContext, origin: str, path: str) -> Tab:
        tab = cls(await visitor.new_page(), origin)
        await tab.open(path)
        return tab

    async def open(self, path: str) -> None:
        await self.page.goto(self.origin + path)

    def find(self, selector: str, text: str | None = None) -> Locator:
        return self.page.locator(selector, has_text=text)

    async def expect_badge(self, text: str) -> None:
        await expect(self.find("#badge")).to_have_text(text)

    async def expect_lines(self, *lines: str) -> None:
        """The log holds exactly these lines."""
        await expect(self.find("#log li")).to_have_text(list(lines))

    async def say(self, text: str, form: str = "#form") -> None:
        """Type `text` into the form and press Enter."""
        field = self.find(f"{form} input").last
        await field.fill(text)
        await field.press("Enter")

    async def click(self, name: str) -> None:
        """Click the button or link called `name`."""
        button = self.page.get_by_role("button", name=name)
        await button.or_(self.page.get_by_role("link", name=name)).click()

    def forgive(self, text: str) -> None:
        """Problems that say this were to be expected."""
        self.problems = [each for each in self.problems if text not in each]

    def _note(self, problem: str) -> None:
        self.problems.append(problem)

    def _check(self, url: str) -> None:
        if urlsplit(url).hostname not in ("127.0.0.1", None):
            self._note(f"asked for {url}")
