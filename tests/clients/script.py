"""Scripts that use the real centrifuge-js, in Node and in Chromium, and talk with their test."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from playwright.async_api import Page

__all__ = ["SECONDS", "Script", "in_chromium", "in_node"]

SECONDS = 20.0
"""How long to wait for anything before a test fails."""

ROOT = Path(__file__).parents[2]
BUNDLES = {
    "json": ROOT / "node_modules" / "centrifuge" / "dist" / "centrifuge.js",
    "protobuf": ROOT / "node_modules" / "centrifuge" / "dist" / "centrifuge.protobuf.js",
}

PRELUDE = """
const isBinary = format === "protobuf";
const pack = (value) => isBinary ? new TextEncoder().encode(JSON.stringify(value)) : value;
const read = (data) => {
  if (!isBinary || data === undefined) return data;
  return data.length ? JSON.parse(new TextDecoder().decode(data)) : undefined;
};
const made = (options = {}) => new Centrifuge(url, {
  minReconnectDelay: 20, maxReconnectDelay: 100, ...around, ...options,
});
const once = (target, event) => new Promise((resolve) => target.once(event, resolve));
const tell = (target, ...events) => {
  for (const event of events) target.on(event, (context) => say({
    event, code: context.code, channel: context.channel, data: read(context.data),
    recovered: context.recovered, was: context.wasRecovering, error: context.error?.code,
  }));
};
const error = async (promise) => {
  try { await promise; } catch (error) { return error; }
};
"""
"""What every script has: `made(options)`, `once`, `tell` and `error`, beside `say` and `ask`.

Clients take and give data as values in JSON, and as bytes in Protobuf: scripts for both `pack` and
`read` it.
"""


class Script:
    """A running script: what it says and asks comes here."""

    def __init__(self) -> None:
        self._said: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._answers: asyncio.Queue[Any] = asyncio.Queue()

    def put(self, what: dict[str, Any]) -> None:
        """Take one line of the script."""
        self._said.put_nowait(what)

    async def heard(self) -> Any:
        """Return what the script says next."""
        return (await self._next("said"))["said"]

    async def asked(self) -> Any:
        """Return what the script asks next."""
        return (await self._next("asked"))["asked"]

    def answer(self, value: Any) -> None:
        """Answer the oldest question."""
        self._answers.put_nowait(value)

    async def answers(self) -> Any:
        """Return the next answer for the script."""
        return await self._answers.get()

    async def replies(self, question: Any, value: Any) -> None:
        """Expect a question, and answer it."""
        assert await self.asked() == question
        self.answer(value)

    async def next(self) -> dict[str, Any]:
        """Return what the script says or asks next: {"said"} or {"asked"}."""
        async with asyncio.timeout(SECONDS):
            return await self._said.get()

    async def _next(self, kind: str) -> dict[str, Any]:
        what = await self.next()
        assert kind in what, f"expected what is {kind}, got {what}"
        return what


@asynccontextmanager
async def in_node(url: str, text: str, format: str = "json") -> AsyncIterator[Script]:
    """Run a script in a Node of its own, which ends with the block."""
    node = shutil.which("node")
    assert node is not None, "node is not installed: run scripts/test, which installs it"
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        node, str(Path(__file__).parent / "run.js"), format, stdin=pipe, stdout=pipe
    )
    assert process.stdin is not None
    script = Script()
    process.stdin.write(json.dumps(_whole(url, text)).encode() + b"\n")
    tasks = [
        asyncio.create_task(_read(process, script)),
        asyncio.create_task(_write(process, script)),
    ]
    try:
        yield script
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _read(process: asyncio.subprocess.Process, script: Script) -> None:
    assert process.stdout is not None
    async for line in process.stdout:
        script.put(json.loads(line))


async def _write(process: asyncio.subprocess.Process, script: Script) -> None:
    assert process.stdin is not None
    while True:
        answer = await script.answers()
        process.stdin.write(json.dumps(answer).encode() + b"\n")


@asynccontextmanager
async def in_chromium(
    page: Page, url: str, text: str, format: str = "json"
) -> AsyncIterator[Script]:
    """Run a script in a page, which is on the server's origin already."""
    script = Script()

    async def ask(question: Any) -> Any:
        script.put({"asked": question})
        return await script.answers()

    await page.expose_function("say", lambda value: script.put({"said": value}))
    await page.expose_function("ask", ask)
    await page.add_script_tag(path=BUNDLES[format])
    whole = f"""() => {{
      const AsyncFunction = (async () => {{}}).constructor;
      const names = ["Centrifuge", "WebSocket", "around", "format", "say", "ask"];
      const given = [Centrifuge, WebSocket, {{}}, {json.dumps(format)}, say, ask];
      return new AsyncFunction(...names, {json.dumps(_whole(url, text))})(...given);
    }}"""
    running = asyncio.create_task(page.evaluate(whole))
    running.add_done_callback(lambda task: _note(task, script))
    try:
        yield script
    finally:
        await page.close()
        await asyncio.gather(running, return_exceptions=True)


def _note(task: asyncio.Task[Any], script: Script) -> None:
    if not task.cancelled() and task.exception() is not None:
        script.put({"failed": str(task.exception())})


def _whole(url: str, text: str) -> str:
    return f"const url = {json.dumps(url)};\n{PRELUDE}\n{{{text}\n}}"
