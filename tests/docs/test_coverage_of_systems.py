"""The page of what five systems do names tests: they exist, and every row has one."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "coverage-of-systems.md"
ROWS = [
    line.strip("| ").rsplit(" | ", 1)
    for line in PAGE.read_text().splitlines()
    if line.startswith("|") and "shown by" not in line and "---" not in line
]


@cache
def names_in(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, functions)}


@pytest.mark.parametrize(("what", "shown"), ROWS, ids=[what[:60] for what, _ in ROWS])
def test_every_row_names_tests_that_exist(what: str, shown: str) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", shown)
    assert named, f"{what}: no test is named"
    assert shown.count("::") == len(named)
    for file, test in named:
        assert test in names_in(file), f"{what}: {file} has no {test}"


def test_the_page_has_all_five_systems() -> None:
    titles = [line for line in PAGE.read_text().splitlines() if line.startswith("## ")]
    assert len(titles) == 5
    assert len(ROWS) > 70
