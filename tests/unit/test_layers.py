"""Imports go one way only: each module knows its own layer and the layers before it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2] / "src" / "wirework"

LAYERS = (
    ("errors", "closecodes", "types"),
    ("json",),
    ("_rules", "settings"),
    ("publications", "commands", "replies"),
    ("dialects",),
    (
        "timers",
        "handshake",
        "outbox",
        "deadlines",
        "observed",
        "connection",
        "websocket",
        "broadcast",
    ),
    ("binding", "controller", "handlers"),
    ("brokers",),
    ("security",),
    ("channels",),
    ("observe",),
    ("shortcut", "session"),
    (
        "routing",
        "parameters",
        "registration",
        "reception",
        "fallbacks",
        "mailboxes",
        "http",
        "lifespan",
        "shutdown",
        "watchdog",
        "descriptions",
        "pages",
        "session_host",
        "channel_host",
        "publisher",
        "after_commit",
        "app",
    ),
    ("transports",),
    ("testing", "asyncapi", "cli"),
    ("__init__",),
)
"""Modules and packages of `wirework`, first the ones that all others may import."""

DEFERRED = {("app", "transports")}
"""An app is the callable that servers are given: it finds its transport when it is called."""

PURE = ("commands", "dialects")
IMPURE = {"anyio", "asyncio", "random", "secrets", "select", "selectors", "signal", "socket"}
IMPURE |= {"socketserver", "ssl", "subprocess", "threading", "time"}

RANKS = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
FILES = sorted(ROOT.rglob("*.py"))


class Import(NamedTuple):
    """One imported module, as a dotted absolute name."""

    module: str
    line: int
    is_deferred: bool

    @property
    def part(self) -> str:
        """The module or package of `wirework` that it belongs to; "" for other packages."""
        steps = self.module.split(".")
        if steps[0] != "wirework":
            return ""
        return steps[1] if len(steps) > 1 and steps[1] in RANKS else "__init__"


def part_of(file: Path) -> str:
    return file.relative_to(ROOT).parts[0].removesuffix(".py")


def package_of(file: Path) -> list[str]:
    return ["wirework", *file.relative_to(ROOT).parent.parts]


def imports(tree: ast.AST, package: list[str], is_deferred: bool = False) -> Iterator[Import]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, is_deferred)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            steps = [*base, *(node.module.split(".") if node.module else [])]
            for alias in node.names:
                yield Import(".".join([*steps, alias.name]), node.lineno, is_deferred)
        elif not is_for_type_checkers(node):
            is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from imports(node, package, is_deferred or is_function)


def is_for_type_checkers(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def offences(source: str, part: str, package: list[str]) -> list[str]:
    found = []
    for each in imports(ast.parse(source), package):
        is_excused = each.is_deferred and (part, each.part) in DEFERRED
        if each.part and RANKS[each.part] > RANKS[part] and not is_excused:
            found.append(f"line {each.line}: {part} imports {each.module} of a later layer")
        if part in PURE and each.module.split(".")[0] in IMPURE:
            found.append(f"line {each.line}: {part} is pure and imports {each.module}")
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_module_imports_from_its_own_layer_and_earlier_ones(file: Path) -> None:
    assert part_of(file) in RANKS, f"give {part_of(file)} its place in LAYERS"
    assert offences(file.read_text("utf-8"), part_of(file), package_of(file)) == []


@pytest.mark.parametrize(
    ("part", "line"),
    [
        ("errors", "from . import settings"),
        ("errors", "from .settings import Settings"),
        ("settings", "import wirework.app"),
        ("settings", "from wirework.app import App"),
        ("settings", "from . import App"),
        ("settings", "def late():\n    from .app import App"),
        ("app", "from .transports import asgi"),
        ("dialects", "from .. import connection"),
        ("dialects", "from ..connection import Connection"),
        ("dialects", "from asyncio import Queue"),
        ("dialects", "import socket"),
    ],
)
def test_an_import_from_a_later_layer_is_found(part: str, line: str) -> None:
    package = ["wirework", "dialects"] if part == "dialects" else ["wirework"]
    assert len(offences(line, part, package)) == 1


@pytest.mark.parametrize(
    ("part", "line"),
    [
        ("errors", "from .closecodes import NORMAL"),
        ("settings", "import json"),
        ("app", "from starlette.applications import Starlette"),
        ("app", "def call():\n    from .transports import asgi"),
        ("handshake", "if TYPE_CHECKING:\n    from .app import App"),
        ("dialects", "from . import base"),
        ("dialects", "from .base import Dialect\nfrom ..json import JsonAdapter"),
    ],
)
def test_an_import_that_keeps_the_order_is_let_through(part: str, line: str) -> None:
    package = ["wirework", "dialects"] if part == "dialects" else ["wirework"]
    assert offences(line, part, package) == []
