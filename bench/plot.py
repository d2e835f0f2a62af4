"""The plots: one picture per work, and one of everything, as PNG and SVG."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from .registry import PEERS
from .results import Results
from .works import WORKS, Work

__all__ = ["draw"]

_OURS, _OTHERS = "#1f6f8b", "#b8bfc6"


def draw(results: Results, folder: Path) -> None:
    """Write `bench-WORK.svg` and `.png` for each work with one figure, and `bench.svg` of all."""
    importlib.import_module("matplotlib").use("Agg")
    plt: Any = importlib.import_module("matplotlib.pyplot")
    plt.rcParams.update({"svg.hashsalt": "wirework", "svg.fonttype": "none", "font.size": 9})
    folder.mkdir(parents=True, exist_ok=True)
    works = [work for name, work in WORKS.items() if name in results.cells and work.is_drawn]
    works = [work for work in works if _bars(results, work)]
    for work in works:
        figure, axes = plt.subplots(figsize=(8, 0.7 + 0.24 * len(_bars(results, work))))
        _draw_one(axes, results, work)
        _save(plt, figure, folder / f"bench-{work.name}")
    if works:
        columns = min(2, len(works))
        lines = -(-len(works) // columns)
        tall = 0.9 + 0.2 * max(len(_bars(results, work)) for work in works)
        figure, grid = plt.subplots(lines, columns, figsize=(7.5 * columns, tall * lines))
        cells = list(getattr(grid, "flat", [grid]))
        for axes in cells[len(works) :]:
            axes.set_visible(False)
        for axes, work in zip(cells, works, strict=False):
            _draw_one(axes, results, work)
        _save(plt, figure, folder / "bench")


def _bars(results: Results, work: Work) -> list[tuple[str, float, bool]]:
    """Return label, value and whether it is ours, the best last."""
    found = []
    for name in results.cells[work.name]:
        value = results.value(work.name, name, work.value)
        if name in PEERS and name != "tcp" and value is not None:
            found.append((PEERS[name].label, value, PEERS[name].is_ours))
    return sorted(found, key=lambda bar: bar[1], reverse=work.less_is_better)


def _draw_one(axes: Any, results: Results, work: Work) -> None:
    bars = _bars(results, work)
    colors = [_OURS if is_ours else _OTHERS for _, _, is_ours in bars]
    drawn = axes.barh(
        [label for label, _, _ in bars], [value for _, value, _ in bars], color=colors
    )
    axes.bar_label(drawn, [f"{value:,.0f}" for _, value, _ in bars], padding=3, fontsize=8)
    axes.set_title(f"{work.title} ({work.unit})", fontsize=9, loc="right")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.12, y=0.01)
    axes.xaxis.set_visible(False)


def _save(plt: Any, figure: Any, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path.with_suffix(".svg"), metadata={"Date": None}, bbox_inches="tight")
    figure.savefig(path.with_suffix(".png"), dpi=110, bbox_inches="tight")
    plt.close(figure)
