"""A newcomer who does what docs/getting-started.md says has a test that passes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.docs.blocks import read

PAGE = Path(__file__).parents[2] / "docs" / "getting-started.md"
BLOCKS = read(PAGE.read_text("utf-8"))


def block(language: str, word: str) -> str:
    """Return the text of the block with this word."""
    return next(each.text for each in BLOCKS if each.language == language and word in each.text)


def test_the_test_of_the_page_is_run_by_pytest_as_the_page_sets_it_up(tmp_path: Path) -> None:
    (tmp_path / "orders.py").write_text(block("python", "# new file: orders.py"))
    test = f"from orders import app\n{block('python', 'test_an_order')}"
    (tmp_path / "test_orders.py").write_text(test)
    (tmp_path / "pyproject.toml").write_text(block("toml", "asyncio_mode"))
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q"], cwd=tmp_path, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stdout
    assert "1 passed" in ran.stdout
