"""Mailboxes of workers that were forked after the application was made."""

from __future__ import annotations

import os

from wirework import App


def node_in_a_fork(app: App) -> str:
    """Return how a forked worker calls itself."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, app.mailboxes.node.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        node = told.read()
    os.waitpid(child, 0)
    return node


def test_workers_that_were_forked_have_different_nodes() -> None:
    app = App()
    nodes = {node_in_a_fork(app), node_in_a_fork(app), app.mailboxes.node}
    assert len(nodes) == 3
    assert app.mailboxes.node in nodes
