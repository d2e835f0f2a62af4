"""The `wirework` command."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; says what to install where the extra `cli` is absent."""
    try:
        import typer  # noqa: F401
    except ModuleNotFoundError:
        sys.exit("the wirework command needs typer: pip install 'wirework[cli]'")
    from .commands import cli

    cli()
