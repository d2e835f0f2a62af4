"""The page: results as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from .bars import BARS, MAX_IDLE, Bar
from .registry import PEERS
from .results import Cell, Results
from .works import WORKS, Work

__all__ = ["number", "render", "table"]

INTRODUCTION = Path(__file__).with_name("introduction.md")
_NONE = "–"
_SHARES = {"load_busy": "load core", "broker_busy": "broker core", "share": "on one worker"}
"""Values that are shown as percentages, where any peer has them."""
_KERNEL = "kernel"
_CEILINGS = {"tcp": PEERS["tcp"].label, _KERNEL: "the load generator alone, echoed by the kernel"}


def render(results: Results) -> str:
    """Return the whole page."""
    parts = [INTRODUCTION.read_text("utf-8").rstrip()]
    parts.append("## This run\n\n" + _machine(results))
    parts.append("## The bars\n\n" + _bars(results))
    parts.append("## Ahead of everybody?\n\n" + _ranking(results))
    for name, work in WORKS.items():
        if name in results.cells:
            parts.append(_section(results, work))
    return "\n\n".join(parts) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; every column but the first is aligned to the right."""
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def number(value: float | None, suffix: str = "") -> str:
    """Return a figure with three significant digits, or a dash."""
    if value is None:
        return _NONE
    if value >= 1000:
        digits = len(str(int(value))) - 3
        return f"{round(value, -digits):,.0f}{suffix}"
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}{suffix}"


def _machine(results: Results) -> str:
    lines = [f"- {name}: {value}" for name, value in results.machine.items()]
    return "\n".join(lines)


def _bars(results: Results) -> str:
    rows = [_bar_row(bar, results) for bar in BARS]
    idle = results.value("memory", "wirework-message", "idle")
    met = _NONE if idle is None else _yes(idle <= MAX_IDLE)
    reached = number(idle and idle / 1024, " KB")
    rows.append(["the same in bytes", f"at most {MAX_IDLE // 1024} KB", reached, _NONE, met, _NONE])
    order = [*range(5), len(rows) - 1, *range(5, len(rows) - 1)]
    head = ("work", "bar", "reached (wall)", "reached (CPU)", "met?", "against")
    return table(head, [rows[i] for i in order])


def _bar_row(bar: Bar, results: Results) -> list[str]:
    goal = f"at most {bar.ratio:g}x" if bar.is_limit else f"at least {bar.ratio:g}x"
    verdict = bar.judge(results)
    if verdict is None:
        return [bar.text, goal, _NONE, _NONE, "not measured", _NONE]
    return [
        bar.text,
        goal,
        number(verdict.reached, "x"),
        number(verdict.by_cpu, "x" if verdict.by_cpu else ""),
        _yes(verdict.is_met),
        PEERS[verdict.against].label,
    ]


def _yes(is_met: bool) -> str:
    return "yes" if is_met else "**no**"


def _ranking(results: Results) -> str:
    rows = []
    for name, work in WORKS.items():
        cells = results.cells.get(name, {})
        rates = _rates(cells) if name == "latency" else []
        for value in [f"p99@{rate}" for rate in rates] or [work.value]:
            label = f"p99 at {value.partition('@')[2]}/s" if rates else name
            rows += _rank(results, work, value, label)
    head = ("work", "ours", "the best of the others", "ours to theirs", "ahead?")
    return table(head, rows)


def _rank(results: Results, work: Work, value: str, label: str) -> list[list[str]]:
    names = [name for name in results.cells.get(work.name, {}) if name not in _CEILINGS]
    ours = [name for name in names if PEERS[name].is_ours]
    others = [name for name in names if not PEERS[name].is_ours]
    best = results.best(work.name, ours, value, least=work.less_is_better)
    rival = results.best(work.name, others, value, least=work.less_is_better)
    if best is None or rival is None:
        return []
    ratio = (results.value(work.name, best, value) or 0) / (
        results.value(work.name, rival, value) or 1
    )
    is_ahead = ratio < 1 if work.less_is_better else ratio > 1
    return [[label, PEERS[best].label, PEERS[rival].label, number(ratio, "x"), _yes(is_ahead)]]


def _section(results: Results, work: Work) -> str:
    cells = results.cells[work.name]
    rows, notes = [], []
    special = {"latency": _latency_row, "memory": _memory_row, "channels-cost": _cost_row}
    columns = special.get(work.name, _rate_row)
    for name in _order(cells, work):
        cell = cells[name]
        label = _label(name)
        if cell.problems:
            notes.append(f"- {label}: {_short(cell.problems[-1])}")
        rows.append([label, *columns(results, work, name)])
    parts = [f"## {work.title}", table(["", *_heads(results, work)], rows)]
    if work.is_drawn:
        parts.insert(1, f"![{work.title}](images/bench-{work.name}.svg)")
    if notes:
        parts.append("What failed, and how:\n\n" + "\n".join(notes))
    return "\n\n".join(parts)


def _order(cells: dict[str, Cell], work: Work) -> list[str]:
    def key(name: str) -> tuple[bool, bool, float]:
        values = [cells[name].value(value) for value in _sort_values(work, cells)]
        value = next((v for v in values if v is not None), None)
        return name in _CEILINGS, value is None, (value or 0) * (1 if work.less_is_better else -1)

    return sorted(cells, key=key)


def _sort_values(work: Work, cells: dict[str, Cell]) -> list[str]:
    if work.name != "latency":
        return [work.value]
    return [f"p99@{rate}" for rate in _rates(cells)]


def _rates(cells: dict[str, Cell]) -> list[int]:
    found = {key for cell in cells.values() for s in cell.samples for key in s.values}
    return sorted({int(key.partition("@")[2]) for key in found})


def _idles(cells: dict[str, Cell]) -> list[int]:
    found = {key for cell in cells.values() for s in cell.samples for key in s.values}
    return sorted(int(key[5:]) for key in found if key.startswith("idle_"))


def _heads(results: Results, work: Work) -> list[str]:
    if work.name == "latency":
        rates = _rates(results.cells[work.name])
        return [f"{p} at {r:,}/s" for r in rates for p in ("p50", "p99", "p99.9")]
    if work.name == "memory":
        counts = [f"at {n:,}" for n in _idles(results.cells[work.name])]
        return [*counts, "ratio"]
    if work.name == "channels-cost":
        return ["a channel", "a subscription", "a channel in the broker"]
    return [
        f"{work.unit} (wall)",
        "ratio",
        "per server CPU second",
        "ratio",
        "server CPU each",
        *(head for name, head in _SHARES.items() if _has(results, work, name)),
    ]


def _has(results: Results, work: Work, name: str) -> bool:
    return any(cell.value(name) is not None for cell in results.cells[work.name].values())


def _rate_row(results: Results, work: Work, name: str) -> list[str]:
    cell = results.cells[work.name][name]
    rate, per_cpu = cell.value("rate"), cell.value("per_cpu")
    shares = [cell.value(each) for each in _SHARES if _has(results, work, each)]
    return [
        "failed" if rate is None else number(rate),
        _ratio(results, work.name, rate, "rate"),
        number(per_cpu),
        _ratio(results, work.name, per_cpu, "per_cpu"),
        number(1e6 / per_cpu if per_cpu else None, " µs" if per_cpu else ""),
        *(_NONE if each is None else f"{100 * each:.0f}%" for each in shares),
    ]


def _cost_row(results: Results, work: Work, name: str) -> list[str]:
    cell = results.cells[work.name][name]
    values = [cell.value(each) for each in ("channel", "subscription")]
    in_broker = cell.value("broker")
    shown = ["failed" if value is None else number(value, " bytes") for value in values]
    return [*shown, number(in_broker, " bytes" if in_broker else "")]


def _memory_row(results: Results, work: Work, name: str) -> list[str]:
    cell = results.cells[work.name][name]
    values = [cell.value(f"idle_{n}") for n in _idles(results.cells[work.name])]
    shown = [number(value / 1024, " KB") if value else "failed" for value in values]
    return [*shown, _ratio(results, work.name, cell.value("idle"), "idle", least=True)]


def _latency_row(results: Results, work: Work, name: str) -> list[str]:
    cell = results.cells[work.name][name]
    found = [
        cell.value(f"{p}@{rate}")
        for rate in _rates(results.cells[work.name])
        for p in ("p50", "p99", "p999")
    ]
    return ["too much" if v is None else number(v, " µs") for v in found]


def _ratio(
    results: Results, work: str, value: float | None, name: str, *, least: bool = False
) -> str:
    base = results.best(work, WORKS[work].baselines, name, least=least)
    against = None if base is None else results.value(work, base, name)
    return number(value / against, "x") if value and against else _NONE


def _label(name: str) -> str:
    if name in _CEILINGS:
        return f"*{_CEILINGS[name]}*"
    peer = PEERS[name]
    return f"**{peer.label}**" if peer.is_ours else peer.label


def _short(problem: str) -> str:
    root = str(Path(__file__).parents[1])
    return " ".join(problem.replace(root, ".").split()).replace("`", "'")[:300]
