"""Metrics of several workers: the values are in files, and every worker shows the sum of all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

__all__ = ["forget_dead_workers", "is_shared", "shared_registry"]

_DIRECTORY: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The variable of the environment that turns prometheus_client to files, when it is imported."""


def is_shared() -> bool:
    """Whether several workers write their values to one directory."""
    return _DIRECTORY in os.environ


def shared_registry() -> CollectorRegistry:
    """Return what collects the values of all workers."""
    from prometheus_client import CollectorRegistry
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry(support_collectors_without_names=True)
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry


def forget_dead_workers() -> None:
    """Remove the gauges of workers that are no more: a crash leaves its connections counted."""
    from prometheus_client.multiprocess import mark_process_dead

    for file in Path(os.environ[_DIRECTORY]).glob("gauge_live*_*.db"):
        pid = file.stem.rpartition("_")[2]
        if pid.isdecimal() and not _is_alive(int(pid)):
            mark_process_dead(int(pid))  # type: ignore[no-untyped-call]


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True
