"""`python -m bench`: the command line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from .registry import MAIN, PEERS
from .results import Results
from .run import Plan, execute
from .works import WORKS, Pace

__all__ = ["main", "parse"]

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / ".cache" / "bench" / "results.json"

QUICK = Pace(
    warm_up=0.2,
    seconds=1.0,
    connects=2000,
    idle=(2000,),
    rates=(2000, 10000),
    subscriptions=20_000,
)
FULL = Pace()


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line; unknown peers and works end the program with their names."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the main peers, two repetitions")
    parser.add_argument("--only", type=_names_of(WORKS), default=list(WORKS), help="works: a,b")
    parser.add_argument("--peers", type=_names_of(PEERS), help="peers: a,b (default: all)")
    parser.add_argument("--repeat", type=int, help="repetitions (default: 3; quick: 2)")
    parser.add_argument("--seconds", type=float, help="of one repetition (default: 1)")
    parser.add_argument("--limit", type=float, default=1800, help="seconds of the whole run")
    parser.add_argument("--render", action="store_true", help="write the page of the last run anew")
    parser.add_argument("--keep", action="store_true", help="keep the last run's other works")
    parser.add_argument("--no-page", action="store_true", help="print, leave docs/ alone")
    return parser.parse_args(arguments)


def _names_of(known: Iterable[str]) -> Callable[[str], list[str]]:
    names = list(known)

    def read(text: str) -> list[str]:
        found = [name.strip() for name in text.split(",") if name.strip()]
        for name in found:
            if name not in names:
                raise argparse.ArgumentTypeError(f"no {name!r}; there are {', '.join(names)}")
        return found

    return read


def main(arguments: Sequence[str]) -> None:
    """Run, save and write the page."""
    options = parse(arguments)
    if options.render:
        results = Results.load(RESULTS)
    else:
        results = execute(_plan(options), _say)
        if options.keep and RESULTS.exists():
            results.cells = {**Results.load(RESULTS).cells, **results.cells}
        results.save(RESULTS)
    from .report import render

    text = render(results)
    if options.no_page:
        _say(text)
        return
    from .plot import draw

    draw(results, ROOT / "docs" / "images")
    page = ROOT / "docs" / "benchmarks.md"
    page.write_text(text, "utf-8")
    _say(f"wrote {page.relative_to(ROOT)}")


def _plan(options: argparse.Namespace) -> Plan:
    pace = QUICK if options.quick else FULL
    if options.seconds:
        pace = pace._replace(seconds=options.seconds)
    return Plan(
        options.only,
        options.peers or (MAIN if options.quick else list(PEERS)),
        repetitions=options.repeat or (2 if options.quick else 3),
        pace=pace,
        seconds=options.limit,
    )


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
