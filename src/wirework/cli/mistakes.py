"""Errors of the application that is served, as people read them best."""

from __future__ import annotations

import importlib
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from ..errors import WireworkError

__all__ = ["RunError", "explained"]

_OURS = Path(__file__).parents[1]
_IMPORTS = Path(importlib.__file__).parent
_LIBRARIES = tuple(
    Path(found) for name in ("stdlib", "purelib", "platlib") if (found := sysconfig.get_path(name))
)


class RunError(Exception):
    """What the command line asks for cannot be done; the text says why, and what to do."""


def explained(error: BaseException) -> str:
    """Return what to tell of an error that the application's code raised.

    Of one of Wirework's: the place in that code, and the text. Of another one: its traceback, from
    that code on.
    """
    if isinstance(error, WireworkError):
        place = _place_of(error)
        return f"{place}: {error}" if place else str(error)
    trace = error.__traceback__
    while trace is not None and _is_below(_file_of(trace), _OURS, _IMPORTS):
        trace = trace.tb_next
    return "".join(traceback.format_exception(error.with_traceback(trace))).rstrip()


def _place_of(error: BaseException) -> str:
    """Return file and line where the application's own code raised it; "" where it did not."""
    found = ""
    for trace in _traces(error):
        file = _file_of(trace)
        if not _is_below(file, _OURS, *_LIBRARIES):
            here = Path.cwd()
            shown = file.relative_to(here) if file.is_relative_to(here) else file
            found = f"{shown}:{trace.tb_lineno}"
    return found


def _traces(error: BaseException) -> Iterator[TracebackType]:
    trace = error.__traceback__
    while trace is not None:
        yield trace
        trace = trace.tb_next


def _file_of(trace: TracebackType) -> Path:
    return Path(trace.tb_frame.f_code.co_filename)


def _is_below(file: Path, *folders: Path) -> bool:
    is_frozen = str(file).startswith("<frozen ")
    return is_frozen or any(file.is_relative_to(folder) for folder in folders)
