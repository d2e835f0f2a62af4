"""What the pages name in `<!-- check: tests.docs.checks:NAME -->`: each tries a block's program.

A check is a coroutine function that takes the program's names, such as `namespace["app"]`, drives
the app with `wirework.testing.TestClient` and asserts what the page says about it.
"""

from __future__ import annotations
