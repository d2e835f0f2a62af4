"""Commands and scripts, sent where the channel is, and repeated where that is safe."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from .layout import Layout, pause
from .link import Link, answer_by
from .refusal import Lost, Refusal
from .resp import Argument, pack
from .scripts import Script

__all__ = ["Calls"]


class Calls:
    """Asks the servers of a layout.

    Each call waits at most `timeout` seconds, for a connection and for the answer together.
    """

    def __init__(self, layout: Layout, timeout: float) -> None:
        self._layout = layout
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()

    async def ask(self, name: bytes, *command: Argument, is_repeatable: bool = True) -> Any:
        """Send a command to the server of `name`.

        Raises:
            BrokerUnavailable: no answer in time, or an error.
        """
        packed = pack(*command)
        return await self._ask(name, lambda link, is_known: packed, is_repeatable)

    async def run(
        self,
        script: Script,
        name: bytes,
        keys: Sequence[bytes],
        arguments: Sequence[Argument],
        *,
        is_repeatable: bool = True,
    ) -> Any:
        """Run a script on the server of `name`.

        Raises:
            BrokerUnavailable: no answer in time, or an error.
        """

        def packed(link: Link, is_known: bool) -> bytes:
            return script.packed(link, keys, arguments, is_known=is_known)

        return await self._ask(name, packed, is_repeatable)

    async def _ask(
        self, name: bytes, packed: Callable[[Link, bool], bytes], is_repeatable: bool
    ) -> Any:
        deadline = self._loop.time() + self._timeout
        is_known = is_first = True
        while True:
            server = self._layout.server_of(name)
            link = server.commands.link
            if link is None:
                link, is_first = await server.commands.up(deadline), False
                if link is None:
                    await pause()
                    continue
            try:
                answer = link.ask(packed(link, is_known))
                return await (answer if is_first else answer_by(deadline, link, answer))
            except Refusal as refusal:
                if refusal.code == "NOSCRIPT" and is_known:
                    is_known = False
                elif self._is_late(deadline) or not await self._layout.mend(refusal, server):
                    raise
            except Lost:
                if not is_repeatable or self._is_late(deadline):
                    raise
            is_first = False

    def _is_late(self, deadline: float) -> bool:
        return self._loop.time() >= deadline
