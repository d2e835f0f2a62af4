"""Random operations on two processes, compared with a model of ten lines for each of them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from wirework.brokers import Keep, Member, Message, Position

from .record import Place, Worker

EXAMPLES = {"memory": 200, "redis": 50, "nats": 50}
KEEPS = {"stream": Keep(4, 300.0), "latest": Keep(2, 300.0, latest=True)}

keys = st.sampled_from(["", "a", "b", "c"])
operations = st.one_of(
    st.tuples(st.just("publish"), st.booleans(), keys, st.sampled_from(["", "", "k1", "k2"])),
    st.tuples(st.just("read"), st.none() | st.integers(0, 9), st.integers(0, 6), st.booleans()),
    st.tuples(st.just("forget")),
    st.tuples(st.sampled_from(["join", "leave"]), st.integers(0, 3)),
    st.tuples(st.just("present")),
)
MEMBERS = [Member("c0", "ada"), Member("c1", "ada"), Member("c2", "eve"), Member("c3")]


@dataclass
class Model:
    """What one channel should be."""

    keep: Keep
    offset: int = 0
    lost: int = 0
    kept: list[tuple[int, str]] = field(default_factory=list)
    seen: dict[str, int] = field(default_factory=dict)
    told: list[int] = field(default_factory=list)
    present: list[Member] = field(default_factory=list)
    changes: list[tuple[str, str]] = field(default_factory=list)

    def publish(self, is_kept: bool, key: str, idempotency: str) -> tuple[int, bool]:
        if idempotency in self.seen:
            return self.seen[idempotency], True
        offset = self.add(key) if is_kept else 0
        self.told.append(offset)
        if idempotency:
            self.seen[idempotency] = offset
        return offset, False

    def add(self, key: str) -> int:
        self.offset += 1
        if self.keep.latest:
            self.kept = [each for each in self.kept if each[1] != key]
        self.kept.append((self.offset, key))
        while len(self.kept) > self.keep.size:
            self.lost = self.kept.pop(0)[0]
        return self.offset

    def read(self, since: int | None, limit: int, reverse: bool) -> tuple[list[int], bool]:
        offsets = [offset for offset, _ in self.kept]
        if reverse:
            before = self.offset + 1 if since is None else since
            return [each for each in reversed(offsets) if each < before][:limit], False
        start = since or 0
        found = [each for each in offsets if each > start]
        is_whole = self.lost <= start <= self.offset and len(found) <= limit
        return found[:limit], is_whole

    def forget(self) -> None:
        self.kept.clear()
        self.lost = self.offset

    def join(self, member: Member) -> None:
        if member in self.present:
            return
        if member.key not in {each.key for each in self.present}:
            self.changes.append(("joined", member.key))
        self.present.append(member)

    def leave(self, member: Member) -> None:
        if member not in self.present:
            return
        self.present.remove(member)
        if member.key not in {each.key for each in self.present}:
            self.changes.append(("left", member.key))


class Trial:
    """One channel of the broker beside its model."""

    def __init__(self, workers: tuple[Worker, Worker], keep: Keep) -> None:
        self.workers = workers
        self.channel = f"model:{uuid4().hex}"
        self.model = Model(keep)
        self.epochs: set[str] = set()
        self.turn = 0

    async def run(self, steps: list[tuple[Any, ...]]) -> None:
        seen = self.workers[1].seen
        seen.publications.clear()
        seen.changes.clear()
        await self.workers[1].broker.subscribe(self.channel)
        for name, *arguments in steps:
            self.turn += 1
            step: Callable[..., Coroutine[Any, Any, None]] = getattr(self, name)
            await step(*arguments)
        await self.present()
        for worker in self.workers:
            await worker.quiet()
        await self.workers[1].broker.unsubscribe(self.channel)
        told = [publication.offset for publication in seen.publications]
        # Only what is kept has an order among several publishers.
        assert list(filter(None, told)) == list(filter(None, self.model.told))
        assert len(told) == len(self.model.told)
        assert [(each.what, each.member.key) for each in seen.changes] == self.model.changes
        versions = [each.version for each in seen.changes]
        assert versions == sorted(set(versions))
        assert len(self.epochs) <= 1

    @property
    def worker(self) -> Worker:
        return self.workers[self.turn % 2]

    async def publish(self, is_kept: bool, key: str, idempotency: str) -> None:
        keep = self.model.keep if is_kept else None
        # A channel keeps everything or nothing: a key is of one or the other.
        idempotency = idempotency and f"{idempotency}-{is_kept}"
        published = await self.worker.broker.publish(
            self.channel, Message(b"1", key), keep, idempotency=idempotency
        )
        position, is_duplicate = published
        assert (position.offset, is_duplicate) == self.model.publish(is_kept, key, idempotency)
        self.epochs |= {position.epoch} if position.epoch else set()

    async def read(self, since: int | None, limit: int, reverse: bool) -> None:
        broker, keep = self.worker.broker, self.model.keep
        epoch = (await broker.read(self.channel, keep, limit=0)).top.epoch
        start = None if since is None else Position(epoch, since)
        page = await broker.read(self.channel, keep, since=start, limit=limit, reverse=reverse)
        offsets, is_whole = self.model.read(since, limit, reverse)
        assert [each.offset for each in page.publications] == offsets
        assert page.top == Position(epoch, self.model.offset)
        if since is not None and not reverse:
            assert page.is_whole is is_whole
        self.epochs.add(epoch)

    async def forget(self) -> None:
        await self.worker.broker.forget(self.channel)
        self.model.forget()

    async def join(self, number: int) -> None:
        await self.workers[number % 2].broker.join(self.channel, MEMBERS[number])
        self.model.join(MEMBERS[number])

    async def leave(self, number: int) -> None:
        await self.workers[number % 2].broker.leave(self.channel, MEMBERS[number])
        self.model.leave(MEMBERS[number])

    async def present(self) -> None:
        roll = await self.worker.broker.members(self.channel)
        present = self.model.present
        assert sorted(each.connection for each in roll.members) == sorted(
            each.connection for each in present
        )
        counted = (len(present), len({each.key for each in present}))
        assert await self.worker.broker.count(self.channel) == counted


async def test_a_broker_does_what_the_model_does(place: Place) -> None:
    workers = await place.pair()

    @settings(
        max_examples=EXAMPLES[place.name],
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(operations, min_size=3, max_size=40), st.sampled_from(sorted(KEEPS)))
    def runs(steps: list[tuple[Any, ...]], keep: str) -> None:
        trials.append((steps, KEEPS[keep]))

    trials: list[tuple[list[tuple[Any, ...]], Keep]] = []
    runs()
    for steps, keep in trials:
        print(steps, keep)
        await Trial(workers, keep).run(steps)
