"""The examples of clients: what is typed is published, and printed."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path

import pytest

from .application import Workers
from .script import SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="session")

FOLDER = Path(__file__).parents[2] / "examples" / "clients"


@pytest.mark.parametrize(
    "command",
    [
        (sys.executable, str(FOLDER / "python_chat.py")),
        (shutil.which("node") or "node", str(FOLDER / "node.mjs")),
    ],
    ids=["python", "node"],
)
async def test_what_is_typed_is_printed_until_an_empty_line(command: tuple[str, str]) -> None:
    pipe = asyncio.subprocess.PIPE
    async with Workers("memory://", 1).running() as workers:
        process = await asyncio.create_subprocess_exec(
            *command, workers.url, "chat:tea", stdin=pipe, stdout=pipe
        )
        async with asyncio.timeout(SECONDS):
            output, _ = await process.communicate(b"hello\nyou\n\n")
    assert output.decode().split() == ["hello", "you"]
    assert process.returncode == 0
