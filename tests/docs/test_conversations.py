"""What the pages show beside their code is so: conversations, printed text, tables."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.docs.blocks import Block, Page
from tests.docs.test_pages import BLOCKS, place
from tests.docs.transcripts import is_conversation, play

kept: list[dict[str, Any]] = []


async def keep(namespace: dict[str, Any]) -> None:
    """Check that keeps the names of the program."""
    kept.append(namespace)


class Shown(NamedTuple):
    """A text block, and the blocks of its page above it."""

    path: Path
    block: Block
    above: list[Block]


SHOWN = [
    Shown(path, block, blocks[:index])
    for path, blocks in BLOCKS.items()
    for index, block in enumerate(blocks)
    if block.language == "text"
]


def prints(shown: Shown) -> bool:
    return bool(shown.above) and "print(" in shown.above[-1].text


async def run(shown: Shown) -> tuple[dict[str, Any], str]:
    """Run the program above the block; return its names, and what its last block printed."""
    *others, last = [b._replace(checks=()) for b in shown.above if b.language in ("python", "py")]
    last = last._replace(checks=(f"{__name__}:keep",))
    page = Page(shown.path, [*others, last])
    for block in others:
        await page.run(block)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        await page.run(last)
    return kept.pop(), printed.getvalue()


@pytest.mark.parametrize(
    "shown",
    [
        pytest.param(shown, id=place(shown.path, shown.block))
        for shown in SHOWN
        if is_conversation(shown.block.text)
    ],
)
async def test_a_conversation_is_as_shown(shown: Shown) -> None:
    namespace, _ = await run(shown)
    await play(shown.block.text, namespace["app"])


@pytest.mark.parametrize(
    "shown",
    [
        pytest.param(shown, id=place(shown.path, shown.block))
        for shown in SHOWN
        if prints(shown) and not is_conversation(shown.block.text)
    ],
)
async def test_what_a_block_prints_is_as_shown(shown: Shown) -> None:
    _, printed = await run(shown)
    assert printed.split() == shown.block.text.split()
