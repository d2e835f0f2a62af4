"""centrifuge-js in Protobuf where no WebSocket gets through: HTTP streams, the others are text."""

from __future__ import annotations

from uuid import uuid4

import pytest

from .conftest import Stage
from .test_fallbacks import call_subscribe_publish_and_ask, miss_nothing_after_a_cut

STAGES = [
    ("node", "memory", "protobuf"),
    ("node", "redis", "protobuf"),
    ("chromium", "memory", "protobuf"),
]

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.parametrize("stage", STAGES, ids="-".join, indirect=True),
]


async def test_a_client_calls_subscribes_publishes_and_asks(stage: Stage) -> None:
    await call_subscribe_publish_and_ask(stage, "http_stream", f"chat:{uuid4().hex}")


async def test_messages_of_the_server_come_in_order_and_each_once_after_a_cut(stage: Stage) -> None:
    await miss_nothing_after_a_cut(stage, "http_stream", f"chat:{uuid4().hex}")
