"""Writing at the end of a turn of the event loop."""

from __future__ import annotations

import asyncio
import logging

import pytest

from wirework.transports.native.flushing import flusher_of


class Writer:
    """Keeps what is asked of it."""

    def __init__(self, *, is_broken: bool = False) -> None:
        self.is_broken = is_broken
        self.asked: list[str] = []

    def flush(self) -> None:
        self.asked.append("flush")
        if self.is_broken:
            raise OSError("the socket is broken")

    def abort(self) -> None:
        self.asked.append("abort")


async def test_everybody_writes_once_after_the_code_that_asked_for_it() -> None:
    writers = [Writer(), Writer()]
    flusher = flusher_of(asyncio.get_running_loop())
    for writer in writers:
        flusher.add(writer)
    assert [writer.asked for writer in writers] == [[], []]
    await asyncio.sleep(0)
    assert [writer.asked for writer in writers] == [["flush"], ["flush"]]
    await asyncio.sleep(0)
    assert [writer.asked for writer in writers] == [["flush"], ["flush"]]


async def test_a_socket_that_cannot_be_written_to_is_ended_and_the_others_are_written(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR, "wirework")
    broken, healthy = Writer(is_broken=True), Writer()
    flusher = flusher_of(asyncio.get_running_loop())
    flusher.add(broken)
    flusher.add(healthy)
    await asyncio.sleep(0)
    assert broken.asked == ["flush", "abort"]
    assert healthy.asked == ["flush"]
    assert [record.getMessage() for record in caplog.records] == ["could not write"]


async def test_who_asks_while_others_write_does_so_in_the_next_turn() -> None:
    flusher = flusher_of(asyncio.get_running_loop())
    late = Writer()

    class Asking(Writer):
        def flush(self) -> None:
            super().flush()
            flusher.add(late)

    flusher.add(Asking())
    await asyncio.sleep(0)
    assert late.asked == []
    await asyncio.sleep(0)
    assert late.asked == ["flush"]


def test_every_event_loop_has_a_flusher_of_its_own() -> None:
    loops = [asyncio.new_event_loop(), asyncio.new_event_loop()]
    try:
        one, other = map(flusher_of, loops)
        assert one is not other
        assert one is flusher_of(loops[0])
    finally:
        for loop in loops:
            loop.close()
