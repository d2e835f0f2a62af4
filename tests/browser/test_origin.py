from __future__ import annotations

import pytest

from examples import echo
from tests.browser.conftest import OpenTab, Visit
from tests.browser.server import serving
from tests.browser.tab import Tab
from tests.browser.test_chat import CONNECT, enter, members

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_page_of_another_origin_cannot_connect_with_the_visitors_cookie(
    open_tab: OpenTab, visit: Visit, origin: str
) -> None:
    own = await enter(open_tab, "Ana", 2)
    victim = own.page.context
    url = f"{origin.replace('http', 'ws')}/chat/ws"
    assert await own.page.evaluate(CONNECT, url) == "open"
    before = members()
    async with serving(echo.app) as elsewhere:
        foreign = await Tab.of(victim, elsewhere, "/")
        await foreign.expect_badge("connected")
        assert await foreign.page.evaluate(CONNECT, url) == "closed 1006"
        assert ["403" in problem for problem in foreign.problems] == [True]
        await foreign.page.close()
    assert members() == before
