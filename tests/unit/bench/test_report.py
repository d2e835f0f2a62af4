from __future__ import annotations

import pytest

from bench.report import number, render, table
from bench.results import Cell, Results, Sample


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.4511, "0.45"),
        (14.04, "14.0"),
        (123.4, "123"),
        (1234.0, "1,230"),
        (1051234.0, "1,050,000"),
    ],
)
def test_a_figure_has_three_digits(value: float | None, text: str) -> None:
    assert number(value) == text


def test_a_table_keeps_bars_inside_its_cells() -> None:
    assert table(("a", "b"), [["x|y", "1"]]) == "| a | b |\n|---|---:|\n| x\\|y | 1 |"


def sample(rate: float) -> Sample:
    return Sample({"rate": rate, "per_cpu": rate, "load_busy": 0.25})


def test_the_page_shows_ratios_bars_and_ceilings() -> None:
    cells = {
        "starlette": Cell([sample(100_000)]),
        "wirework": Cell([sample(1_000_000)]),
        "kernel": Cell([Sample({"rate": 4_000_000})]),
    }
    page = render(Results(cells={"echo": cells}))
    assert (
        "| **Wirework native, connection handler** "
        "| 1,000,000 | 10.0x | 1,000,000 | 10.0x | 1.00 µs | 25% |" in page
    )
    assert "| *the load generator alone, echoed by the kernel* | 4,000,000 | 40.0x |" in page
    assert "| pipelined echo, connection handler | at least 9x | 10.0x | 10.0x | yes |" in page
    assert "| typed JSON echo, message handler | at least 9x | – | – | not measured | – |" in page
    assert "| echo | Wirework native, connection handler | Starlette on Uvicorn" in page


def test_what_failed_is_in_the_table_and_told_below_it() -> None:
    cells = {"starlette": Cell([sample(1000)]), "ws": Cell(problems=["NotStarted: no node"])}
    page = render(Results(cells={"echo": cells}))
    assert "| Node.js ws | failed | – |" in page
    assert "- Node.js ws: NotStarted: no node" in page


def test_a_rate_that_was_too_much_is_said_so() -> None:
    fast = {f"{name}@{rate}": 100.0 for name in ("p50", "p99", "p999") for rate in (2000, 20000)}
    slow = {name: value for name, value in fast.items() if name.endswith("@2000")}
    cells = {"wirework": Cell([Sample(fast)]), "channels": Cell([Sample(slow)])}
    page = render(Results(cells={"latency": cells}))
    assert "| Django Channels on Daphne | 100 µs | 100 µs | 100 µs | too much |" in page
    assert "| p99 at 2000/s | Wirework native, connection handler |" in page
