"""The pictures of the layers are those that the layer test holds."""

from __future__ import annotations

import re
from pathlib import Path

from tests.unit.test_layers import LAYERS, RANKS

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src" / "wirework"
WITHIN = {"_rules", "__init__", "__pycache__"}
"""What is no idea of its own, and is left out of the architecture's picture."""


def parts() -> set[str]:
    """Return the modules and packages that there are."""
    packages = {path.parent.name for path in SOURCES.glob("*/__init__.py")}
    return packages | {path.stem for path in SOURCES.glob("*.py")}


def section(page: Path, heading: str) -> str:
    _, _, rest = page.read_text("utf-8").partition(f"\n## {heading}\n")
    return rest.partition("\n## ")[0]


def test_the_layers_in_contributing_are_those_of_the_layer_test() -> None:
    lines = re.findall(r"^ {4}(.*)$", section(ROOT / "CONTRIBUTING.md", "Layers"), re.MULTILINE)
    shown = [line.split("  ")[0].split(", ") for line in lines]
    assert [tuple(name.strip("[]") for name in names) for names in shown] == list(LAYERS)
    planned = {name.strip("[]") for names in shown for name in names if name.startswith("[")}
    assert planned == set(RANKS) - parts()


def test_the_architecture_shows_every_part_once_in_the_order_of_the_layers() -> None:
    picture = section(ROOT / "docs" / "architecture.md", "Layers").split("```")[1]
    left = [line[:46] for line in picture.splitlines()[1:]]
    shown = re.findall(r"[a-z_]+", " ".join(left))
    assert sorted(shown) == sorted(parts() - WITHIN)
    ranks = [RANKS[name] for name in shown]
    assert ranks == sorted(ranks)
