"""Says which code keeps the event loop from turning, while it does."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import traceback
from types import FrameType
from typing import Final

__all__ = ["Watchdog"]

logger = logging.getLogger("wirework")

_FRAMES: Final = 8
"""Lines of the stack that are logged, the innermost."""


class Watchdog:
    """A thread that asks the event loop for a sign of life.

    A handler that computes or blocks for long keeps every connection waiting. Where the loop does
    not turn for `seconds`, a line in the log tells what it is doing; another one that it turns
    again.

    Args:
        seconds: after which the loop counts as standing still.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._is_over = threading.Event()
        self._has_turned = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Watch the running event loop, from its own thread."""
        loop, watched = asyncio.get_running_loop(), threading.get_ident()
        self._is_over.clear()
        self._thread = threading.Thread(
            target=self._watch, args=(loop, watched), name="wirework-watchdog", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._is_over.set()
        self._has_turned.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _watch(self, loop: asyncio.AbstractEventLoop, watched: int) -> None:
        while not self._is_over.wait(self._seconds / 2):
            self._has_turned.clear()
            try:
                loop.call_soon_threadsafe(self._has_turned.set)
            except RuntimeError:  # the loop is closed
                return
            if not self._has_turned.wait(self._seconds) and not self._is_over.is_set():
                self._report(sys._current_frames().get(watched))
                self._has_turned.wait()
                if not self._is_over.is_set():
                    logger.warning("the event loop turns again")

    def _report(self, frame: FrameType | None) -> None:
        stack = traceback.extract_stack(frame)[-_FRAMES:] if frame is not None else []
        lines = [f"{each.name} ({each.filename}:{each.lineno})" for each in stack]
        logger.warning(
            "the event loop has not turned for %s s: nobody is served; it is in %s",
            self._seconds,
            " < ".join(reversed(lines)) or "unknown code",
        )
