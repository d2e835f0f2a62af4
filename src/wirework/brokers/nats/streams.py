"""JetStream, as far as the broker needs it: streams, and what is stored under a subject."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from itertools import count
from typing import Any, Final, NamedTuple

import msgspec

from ...errors import BrokerUnavailable
from .layout import SECOND, Layout
from .link import Arrival, Link

__all__ = ["Ack", "Record", "Streams"]

_API: Final = "$JS.API"
_CHUNK: Final = 256
"""Messages that are read at once."""
_SERIAL_REPLICAS: Final = (2, 10, 19)
_MORE_ROUNDS: Final = 5
"""Times to look for what has come while it was read."""
_PAUSE: Final = 0.01
_EXPIRES: Final = SECOND // 4
_NOT_ENABLED: Final = {10039, 10076}
_NO_MESSAGE: Final = 10037
_NO_STREAM: Final = 10059
_WRONG_SEQUENCE: Final = {10071, 10164}

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


class Record(NamedTuple):
    """A stored message; `at` is the server's Unix time."""

    subject: str
    sequence: int
    at: float
    headers: bytes
    data: bytes


class Ack(NamedTuple):
    """What became of a message: `sequence` is 0 where another one was first."""

    sequence: int
    is_duplicate: bool = False


class Streams:
    """What a connection stores and reads.

    Args:
        on_missing: called when nobody answers for a stream: it has to be made anew.
    """

    def __init__(self, link: Link, layout: Layout, on_missing: Callable[[], None]) -> None:
        self._link = link
        self._layout = layout
        self._on_missing = on_missing

    async def is_enabled(self) -> bool:
        """Whether the server has JetStream for this account."""
        arrival = await self._link.request(f"{_API}.INFO")
        if arrival.is_refused:
            return False
        error = _decode(arrival.data).get("error")
        if error is not None and error.get("err_code") not in _NOT_ENABLED:
            raise _unavailable("INFO", error)
        return error is None

    async def prepare(self) -> float:
        """Make the streams that are not there; return when presence was begun, as Unix time."""
        _check_version(self._link.version, self._layout.replicas)
        created = 0.0
        for config in self._layout.streams:
            name = config["name"]
            found = await self._call(f"STREAM.INFO.{name}", allow=_NO_STREAM)
            if found is None:
                found = await self._call(f"STREAM.CREATE.{name}", config)
            assert found is not None
            _check(found["config"], config)
            _check_version(self._link.version, found["config"]["num_replicas"])
            if name == self._layout.presence:
                created = _unix(found["created"])
        return created

    async def reach(self) -> None:
        """Return when the leaders of all streams have taken what this connection has sent before.

        Servers of a cluster take what comes from one another in its order: who listens, and then
        this question.
        """
        nothing = self._layout.subject("none")
        await asyncio.gather(*(self.last(each["name"], nothing) for each in self._layout.streams))

    async def store(self, subject: str, data: bytes, headers: bytes = b"") -> Ack:
        """Store a message, if it is the one that is expected next.

        Raises:
            BrokerUnavailable: no answer, or one that says no.
        """
        arrival = await self._link.request(subject, data, headers)
        answer = self._answer_of("publish", arrival)
        error = answer.get("error")
        if error is None:
            return Ack(answer["seq"], answer.get("duplicate", False))
        if error.get("err_code") in _WRONG_SEQUENCE:
            return Ack(0)
        raise _unavailable("publish", error)

    async def last(self, stream: str, subject: str) -> Record | None:
        """Return the newest message of a subject, as the stream's leader has it."""
        return await self._get(stream, {"last_by_subj": subject})

    async def at(self, stream: str, sequence: int) -> Record | None:
        """Return the message with this number, if it is still there."""
        return await self._get(stream, {"seq": sequence})

    async def _get(self, stream: str, query: dict[str, Any]) -> Record | None:
        found = await self._call(f"STREAM.MSG.GET.{stream}", query, allow=_NO_MESSAGE)
        if found is None:
            return None
        message = found["message"]
        return Record(
            message["subject"],
            message["seq"],
            _unix(message["time"]),
            base64.b64decode(message.get("hdrs", "")),
            base64.b64decode(message.get("data", "")),
        )

    def note(self, subject: str, data: bytes) -> None:
        """Store a message; nobody waits for it."""
        with suppress(BrokerUnavailable):  # it is only for those who repeat themselves
            self._link.publish(subject, data)

    async def all(self, stream: str, subject: str) -> list[Record]:
        """Return every message of a subject, in order, up to the newest one.

        What is removed meanwhile because a newer message takes its place is told by the newer one.
        It goes on for some rounds while more comes, but does not run after it for ever.
        """
        for _ in count():
            found = await self._read_all(stream, subject)
            if found is not None:
                return found
            await asyncio.sleep(_PAUSE)
        raise AssertionError

    async def _read_all(self, stream: str, subject: str) -> list[Record] | None:
        """Return None where messages are removed so fast that the server miscounts them."""
        name, total = await self._consumer(stream, subject)
        found: list[Record] = []
        pending, more = total, _MORE_ROUNDS
        try:
            while pending and more:
                chunk = await self._next(stream, name, min(pending, _CHUNK))
                if not chunk:
                    return None
                found += [record for record, _ in chunk]
                pending = chunk[-1][1]
                more -= len(found) >= total
        finally:
            self._tell(f"CONSUMER.DELETE.{stream}.{name}")
        return found

    async def _consumer(self, stream: str, subject: str) -> tuple[str, int]:
        """Make what reads a subject from the beginning; return its name and what is there."""
        config = {
            "deliver_policy": "all",
            "ack_policy": "none",
            "filter_subject": subject,
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": 30 * SECOND,
        }
        query = {"stream_name": stream, "config": config}
        consumer = await self._call(f"CONSUMER.CREATE.{stream}", query)
        assert consumer is not None
        return consumer["name"], consumer["num_pending"]

    async def _next(self, stream: str, consumer: str, number: int) -> list[tuple[Record, int]]:
        subject = f"{_API}.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        # Without `expires` a server that has miscounted would wait for more, and say nothing.
        query = _encode({"batch": number, "no_wait": True, "expires": _EXPIRES})
        return [_read(each) for each in await self._link.request_many(subject, query, number)]

    def delete(self, stream: str, sequence: int) -> None:
        """Remove one message, soon; nobody waits for it."""
        self._tell(f"STREAM.MSG.DELETE.{stream}", {"seq": sequence, "no_erase": True})

    async def clear(self, stream: str, subject: str) -> None:
        """Remove all but the newest message of a subject."""
        await self._call(f"STREAM.PURGE.{stream}", {"filter": subject, "keep": 1})

    def trim(self, stream: str, subject: str, keep: int) -> None:
        """Remove all but the newest messages of a subject, soon; nobody waits for it."""
        self._tell(f"STREAM.PURGE.{stream}", {"filter": subject, "keep": keep})

    def _tell(self, method: str, query: dict[str, Any] | None = None) -> None:
        with suppress(BrokerUnavailable):  # it only tidies up
            self._link.publish(f"{_API}.{method}", b"" if query is None else _encode(query))

    async def _call(
        self, method: str, query: dict[str, Any] | None = None, allow: int = 0
    ) -> dict[str, Any] | None:
        body = b"" if query is None else _encode(query)
        answer = self._answer_of(method, await self._link.request(f"{_API}.{method}", body))
        error = answer.get("error")
        if error is None:
            return answer
        if allow and error.get("err_code") == allow:
            return None
        if error.get("err_code") == _NO_STREAM:
            self._on_missing()
        raise _unavailable(method, error)

    def _answer_of(self, method: str, arrival: Arrival) -> dict[str, Any]:
        if arrival.is_refused:
            self._on_missing()
            raise BrokerUnavailable(f"nats: JetStream does not answer ({method})")
        try:
            return _decode(arrival.data)
        except msgspec.DecodeError as error:
            raise BrokerUnavailable(f"nats: unreadable answer ({method}): {error}") from None


def _check(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    for name in ("subjects", "republish", "max_msgs_per_subject"):
        if name in wanted and found.get(name) != wanted[name]:
            raise BrokerUnavailable(
                f"nats: stream {wanted['name']}: expected {name} {wanted[name]!r}, "
                f"got {found.get(name)!r}"
            )


def _check_version(version: tuple[int, ...], replicas: int) -> None:
    """Older servers take two messages for the next one when both come at the same time.

    nats-server pull requests 4319 and 5794.
    """
    if replicas > 1 and version < _SERIAL_REPLICAS:
        wanted, got = (".".join(map(str, each)) for each in (_SERIAL_REPLICAS, version))
        raise BrokerUnavailable(
            f"nats: with replicas expected nats-server {wanted} or newer, got {got}; or use "
            "streams with one replica"
        )


def _unavailable(method: str, error: dict[str, Any]) -> BrokerUnavailable:
    said = f"{error.get('description', 'an error')} ({error.get('err_code', 0)})"
    return BrokerUnavailable(f"nats: {method}: {said}")


def _read(arrival: Arrival) -> tuple[Record, int]:
    """Return a pulled message, and how many there are after it."""
    fields = arrival.reply.split(".")[-5:]
    _, sequence, _, nanoseconds, pending = (int(field) for field in fields)
    record = Record(arrival.subject, sequence, nanoseconds / SECOND, arrival.headers, arrival.data)
    return record, pending


def _unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
