"""Finds the fenced code blocks of a Markdown page and runs the Python ones as a module.

The blocks of a page are one program: each sees the names of those above it. A block whose first
line contains `# new file` begins another. A block is compiled where it stands, so that tracebacks
show the page and its line; it may use `await` at its top level. Its functions named `test_*` that
take no parameters are run too.

A comment on a line of its own before a block, `<!-- check: tests.docs.checks:echo -->`, names a
coroutine function that gets the names of the program so far and tries it out.
"""

from __future__ import annotations
import __future__

import ast
import importlib
import inspect
import itertools
import re
import sys
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

__all__ = ["Block", "Page", "read"]

_FENCE = re.compile(r"\s*(?P<mark>`{3,}|~{3,})\s*(?P<language>[\w+-]*)[^`]*")
_COMMENT = re.compile(r"\s*<!--\s*check\b")
_CHECK = re.compile(r"\s*<!--\s*check:\s*(?P<name>[\w.]+:\w+)\s*-->\s*")
_numbers = itertools.count(1)


class Block(NamedTuple):
    """One fenced block: `line` is that of its fence, counted from 1."""

    language: str
    line: int
    text: str
    checks: tuple[str, ...] = ()

    @property
    def begins_file(self) -> bool:
        return "# new file" in self.text.partition("\n")[0]


def read(text: str) -> list[Block]:
    """Return the fenced blocks of a Markdown text, each with the checks that stand before it.

    Raises:
        ValueError: a fence that is not closed, or a check that has no name or no block.
    """
    blocks: list[Block] = []
    checks: list[tuple[int, str]] = []
    lines = iter(enumerate(text.splitlines(), start=1))
    for number, line in lines:
        if fence := _FENCE.fullmatch(line):
            inner = "\n".join(_until(fence["mark"], lines, number))
            names = tuple(name for _, name in checks)
            blocks.append(Block(fence["language"].lower(), number, textwrap.dedent(inner), names))
            checks = []
        elif _COMMENT.match(line):
            checks.append((number, _name_of_check(line, number)))
        elif line.strip() and checks:
            break
    if checks:
        raise ValueError(f"line {checks[0][0]}: expected a code block after the check")
    return blocks


def _until(mark: str, lines: Any, opened: int) -> list[str]:
    inner: list[str] = []
    for _, line in lines:
        stripped = line.strip()
        if len(stripped) >= len(mark) and set(stripped) == {mark[0]}:
            return inner
        inner.append(line)
    raise ValueError(f"line {opened}: expected the end of the code block, got the end of the page")


def _name_of_check(line: str, number: int) -> str:
    check = _CHECK.fullmatch(line)
    if check is None:
        raise ValueError(f"line {number}: expected <!-- check: module:function -->, got {line!r}")
    return check["name"]


class Page:
    """The Python blocks of one page, run in order, each once."""

    def __init__(self, path: Path, blocks: list[Block]) -> None:
        self.path = path
        self.blocks = [block for block in blocks if block.language in ("python", "py")]
        self._done: list[ModuleType] = []
        self._flags = 0

    async def run(self, block: Block) -> dict[str, Any]:
        """Run `block` after those above it, then its checks and its tests; return its names."""
        for each in self.blocks[len(self._done) : self.blocks.index(block) + 1]:
            self._done.append(await self._execute(each))
        module = self._done[self.blocks.index(block)]
        for name in block.checks:
            await self._check(name, vars(module))
        for test in _tests(block, module):
            if inspect.isawaitable(outcome := test()):
                await outcome
        return vars(module)

    async def _execute(self, block: Block) -> ModuleType:
        if block.begins_file or not self._done:
            self._flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
            module = ModuleType(f"page_{next(_numbers)}_{self.path.stem}")
            module.__file__ = str(self.path)
            sys.modules[module.__name__] = module
        else:
            module = self._done[-1]
        source = "\n" * block.line + block.text
        code = compile(source, str(self.path), "exec", self._flags, dont_inherit=True)
        self._flags |= code.co_flags & __future__.annotations.compiler_flag
        outcome = eval(code, vars(module))
        if code.co_flags & inspect.CO_COROUTINE:
            await outcome
        return module

    async def _check(self, name: str, namespace: dict[str, Any]) -> None:
        module, _, function = name.partition(":")
        await getattr(importlib.import_module(module), function)(namespace)


def _tests(block: Block, module: ModuleType) -> list[Any]:
    tree = ast.parse(block.text)
    defined = [node.name for node in ast.walk(tree) if isinstance(node, _FUNCTIONS)]
    functions = [getattr(module, name, None) for name in defined if name.startswith("test_")]
    return [each for each in functions if each and not inspect.signature(each).parameters]


_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
