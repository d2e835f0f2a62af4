from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "src" / "wirework"


def is_public(file: Path) -> bool:
    steps = file.relative_to(ROOT).with_suffix("").parts
    return not any(step.startswith("_") and step != "__init__" for step in steps)


def module_of(file: Path) -> str:
    steps = ("wirework", *file.relative_to(ROOT).with_suffix("").parts)
    return ".".join(steps).removesuffix(".__init__")


PUBLIC = sorted(file for file in ROOT.rglob("*.py") if is_public(file))


@pytest.mark.parametrize("file", PUBLIC, ids=module_of)
def test_a_public_module_lists_its_names(file: Path) -> None:
    module = importlib.import_module(module_of(file))
    names = getattr(module, "__all__", None)
    assert names is not None, f"{module.__name__} has no __all__"
    assert len(set(names)) == len(names)
    assert [name for name in names if not hasattr(module, name)] == []


def test_the_root_lists_exactly_what_it_re_exports() -> None:
    tree = ast.parse((ROOT / "__init__.py").read_text("utf-8"))
    imported = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
    }
    public = {name for name in imported if not name.startswith("_")}
    assert set(importlib.import_module("wirework").__all__) - {"__version__"} == public
