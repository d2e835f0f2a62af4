"""The page of faults names tests: they exist, no row lacks one, and no fault is left out."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"
ROWS = {
    cells[0]: cells[1:]
    for line in PAGE.read_text().splitlines()
    if re.match(r"\| [A-H]\d+ \|", line)
    for cells in [[cell.strip() for cell in line.strip("|").split(" | ")]]
}
COUNTS = {"A": 22, "B": 10, "C": 18, "D": 9, "E": 14, "F": 10, "G": 10, "H": 7}
"""How many rows each section has."""

NOT_SHOWN = ("not yet: ", "by hand: ")
"""How a row begins to say why no test shows it."""


@cache
def functions_in(file: str) -> dict[str, str]:
    """Return the functions of a file and their docstrings."""
    tree = ast.parse((ROOT / file).read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = [node for node in ast.walk(tree) if isinstance(node, kinds)]
    return {node.name: ast.get_docstring(node) or "" for node in found}


def every_fault() -> Iterator[tuple[str, str, str]]:
    """Yield file, name and docstring of every test in tests/faults."""
    for path in sorted((ROOT / "tests" / "faults").glob("test_*.py")):
        file = path.relative_to(ROOT).as_posix()
        for name, words in functions_in(file).items():
            if name.startswith("test_"):
                yield file, name, words


def named_in(id: str) -> list[tuple[str, str]]:
    """Return the tests that a row names."""
    return re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", ROWS[id][2])


def test_the_page_has_every_row_once() -> None:
    ids = [
        f"{section}{number}" for section, last in COUNTS.items() for number in range(1, last + 1)
    ]
    assert list(ROWS) == ids
    assert len(re.findall(r"^\| [A-H]\d+ \|", PAGE.read_text(), re.M)) == len(ids)


@pytest.mark.parametrize("id", ROWS)
def test_every_row_names_tests_that_exist_or_says_why_there_is_none(id: str) -> None:
    assert len(ROWS[id]) == 4, f"{id}: expected five cells, got {ROWS[id]}"
    assert all(ROWS[id]), f"{id}: a cell is empty"
    named = named_in(id)
    assert named or ROWS[id][2].startswith(NOT_SHOWN), f"{id}: no test is named"
    assert ROWS[id][2].count("::") == len(named)
    for file, name in named:
        assert name in functions_in(file), f"{id}: {file} has no {name}"


@pytest.mark.parametrize(("file", "name", "words"), list(every_fault()))
def test_every_test_of_a_fault_is_in_the_rows_that_it_says(
    file: str, name: str, words: str
) -> None:
    ids = re.findall(r"[A-H]\d+", words.partition(":")[0])
    assert ids, f"{file}::{name}: expected a docstring that begins with the id of a row"
    assert [id for id in ids if (file, name) not in named_in(id)] == []
