"""One server for each transport and module; after each test it is as it was."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.faults.served import TRANSPORTS, Served, served, until


@pytest.fixture(scope="module", params=TRANSPORTS)
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    with served(request.param, tmp_path_factory.mktemp("faults") / "log") as server:
        yield server


@pytest.fixture
async def server(running: Served) -> AsyncIterator[Served]:
    """A server on each transport, which has to be alive afterwards and to hold nothing more."""
    assert await running.is_alive()
    pids, before = running.pids, running.descriptors
    yield running
    assert await running.is_alive()
    assert running.pids == pids, running.output
    await until(lambda: running.descriptors <= before)
