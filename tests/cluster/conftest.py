"""One cluster for each broker and module: it outlives what the tests do to it."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from .cluster import BROKERS, Cluster, cluster_of


@pytest.fixture(scope="module", params=BROKERS)
def cluster(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """Three workers on a broker that keeps what it has acknowledged, on each kind in turn."""
    with cluster_of(request.param, tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture
def channel() -> str:
    """The name of a channel with history that no other test uses."""
    return f"news:{uuid4().hex}"
