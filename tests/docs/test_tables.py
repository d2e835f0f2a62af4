"""The tables of the pages say what the code says, and their links lead somewhere."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from wirework import Settings
from wirework.closecodes import MEANINGS, http_status

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("**/*.md"))]


def rows(page: str, first_header: str) -> list[list[str]]:
    """Return the cells of the table whose first column has this header."""
    text = (DOCS / page).read_text("utf-8")
    table = re.search(rf"^\| {first_header} \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert table is not None, f"{page} has no table that begins with {first_header!r}"
    lines = table[1].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


SETTINGS = {cells[0].strip("`"): cells[2].strip("`") for cells in rows("settings.md", "name")}


def test_every_setting_is_in_the_table_in_the_order_of_the_class() -> None:
    assert tuple(SETTINGS) == Settings.__struct_fields__


@pytest.mark.parametrize("name", Settings.__struct_fields__)
def test_the_default_of_a_setting_is_as_shown(name: str) -> None:
    shown = SETTINGS[name]
    given = tomllib.loads(f"{name} = {shown}") if shown else {}
    assert getattr(Settings.of(given), name) == getattr(Settings(), name)


def test_every_close_code_is_in_the_table_with_its_meaning() -> None:
    table = {int(code): meaning for code, meaning, *_ in rows("errors.md", "code")}
    assert table == MEANINGS


def test_the_statuses_of_close_codes_are_as_shown() -> None:
    text = " ".join((DOCS / "errors.md").read_text("utf-8").split())
    _, _, listed = text.partition("a code becomes an HTTP status: ")
    sentence, _, _ = listed.partition(", any other 403")
    shown = {
        int(code): int(status)
        for codes, status in re.findall(r"([\d and]+) (\d{3})(?:,|$)", sentence)
        for code in codes.split(" and ")
    }
    different = {code: http_status(code) for code in MEANINGS if http_status(code) != 403}
    assert shown == different


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", page.read_text("utf-8"))
    targets = [(page.parent / path if path else page, anchor) for path, anchor in links]
    assert [str(target) for target, _ in targets if not target.exists()] == []
    assert [anchor for target, anchor in targets if anchor and anchor not in headings(target)] == []


def headings(page: Path) -> set[str]:
    """Return the anchors of the headings of a page."""
    found = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in found}


def test_every_page_is_in_the_index() -> None:
    index = (DOCS / "index.md").read_text("utf-8")
    pages = [page.relative_to(DOCS).as_posix() for page in DOCS.glob("**/*.md")]
    assert [page for page in pages if page != "index.md" and f"({page})" not in index] == []
