"""Every Python block of README.md and docs/ is run; scripts that shell blocks name exist."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.docs.blocks import Block, Page, read

ROOT = Path(__file__).parents[2]
PATHS = [path for path in (ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))) if path.exists()]
BLOCKS = {path: read(path.read_text("utf-8")) for path in PATHS}
PAGES = [Page(path, blocks) for path, blocks in BLOCKS.items()]
SHELLS = ("bash", "console", "sh", "shell")


def place(path: Path, block: Block) -> str:
    return f"{path.relative_to(ROOT).as_posix()}:{block.line}"


@pytest.mark.parametrize(
    ("page", "block"),
    [
        pytest.param(page, block, id=place(page.path, block))
        for page in PAGES
        for block in page.blocks
    ],
)
async def test_a_python_block_runs(page: Page, block: Block) -> None:
    await page.run(block)


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(block, id=place(path, block))
        for path, blocks in BLOCKS.items()
        for block in blocks
        if block.language in SHELLS
    ],
)
def test_the_scripts_of_a_shell_block_exist(block: Block) -> None:
    names = re.findall(r"(?<![\w/])(?:\./)?(scripts/[\w.-]+|\.ci/\w+)", block.text)
    assert [name for name in names if not os.access(ROOT / name, os.X_OK)] == []
