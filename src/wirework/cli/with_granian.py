"""Runs Granian so that it ends as `wirework run` promises."""

from __future__ import annotations

import copy
import logging
import multiprocessing
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import granian.log
import granian.server
from granian.log import LogLevels

from ..errors import WireworkError
from .starting import shorten_for_granian

__all__ = ["import_anew", "log_options", "reload_options", "run"]


def import_anew() -> None:
    """Let workers import the application themselves, not inherit what this process imported."""
    multiprocessing.set_start_method("spawn", force=True)


def reload_options() -> dict[str, Any]:
    """Return the options that serve what is written anew, as Uvicorn does: Python files alone."""
    from watchfiles import PythonFilter

    import_anew()
    return {"reload": True, "reload_filter": PythonFilter}


def log_options(level: str) -> dict[str, Any]:
    """Return the options that let Granian's and Wirework's lines be logged from `level` on."""
    config: dict[str, Any] = copy.deepcopy(granian.log.LOGGING_CONFIG)
    loggers = config["loggers"]
    loggers["wirework"] = {"level": level.upper()}
    if not logging.getLogger().handlers:
        loggers["wirework"]["handlers"] = ["console"]
    return {"log_level": LogLevels(level), "log_dictconfig": {"loggers": loggers}}


def run(target: str, **options: Any) -> None:
    """Serve with these options of `granian.server.Server`, until told to stop."""
    _Server(target, **options).serve()


def _spawn(worker: Callable[..., None], *args: Any, **kwargs: Any) -> None:
    shorten_for_granian()
    try:
        worker(*args, **kwargs)
    except WireworkError:  # the log says which
        sys.exit(1)


_Base: Any = granian.server.Server


class _Server(_Base):  # type: ignore[misc]
    """Passes a second signal on to the workers, whose start may fail without a traceback."""

    def _spawn_workers(self, spawn_target: Any, target_loader: Any) -> None:
        super()._spawn_workers(partial(_spawn, spawn_target), target_loader)

    def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
        """Take a signal; Granian stops its workers at the first."""
        if self.interrupt_signal:
            for worker in self.wrks:
                worker.terminate()
        super().signal_handler_interrupt(*args, **kwargs)
