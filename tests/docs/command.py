"""The command `wirework`, as a module that a test can run: `python -m tests.docs.command run`."""

from __future__ import annotations

from wirework.cli import main

if __name__ == "__main__":
    main()
