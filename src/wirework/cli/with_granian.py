"""Runs Granian so that it ends as `wirework run` promises."""

from __future__ import annotations

from typing import Any

import granian.server

__all__ = ["run"]


def run(target: str, **options: Any) -> None:
    """Serve with these options of `granian.server.Server`, until told to stop."""
    _Server(target, **options).serve()


_Base: Any = granian.server.Server


class _Server(_Base):  # type: ignore[misc]
    """Passes a second signal on to the workers."""

    def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
        """Take a signal; Granian stops its workers at the first."""
        if self.interrupt_signal:
            for worker in self.wrks:
                worker.terminate()
        super().signal_handler_interrupt(*args, **kwargs)
