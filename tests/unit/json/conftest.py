from __future__ import annotations

import pytest

from wirework.json import JsonAdapter, adapter_of


@pytest.fixture(params=["msgspec", "orjson", "stdlib"])
def adapter(request: pytest.FixtureRequest) -> JsonAdapter:
    return adapter_of(request.param)
