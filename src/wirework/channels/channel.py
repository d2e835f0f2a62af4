"""Channels as an application declares and uses them."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar, get_args

from ..binding.plan import Plan
from ..binding.signatures import LocalNames, local_names, name_of
from ..brokers.base import Keep
from ..errors import RegistrationError, StateError
from ..json import JsonAdapter
from ..json.depth import plain
from ..publications import Member, Message, Position, Publication
from ..security.jwt import Jwt
from ..websocket import WebSocket
from .content import encoded, is_html, key_of
from .hub import AlreadySubscribed, Hub
from .names import ChannelTemplate
from .options import History, Mode, Overflow, Presence
from .rules import Rules

__all__ = ["Channel", "Host", "NamedChannel", "Received"]

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class Received(Generic[T]):
    """A publication as the server's own code gets it.

    `data` is of the channel's `model`; `position` is None where the channel keeps no history; `by`
    is the client that published it, None for the server; `at` is Unix time in seconds.
    """

    __slots__ = ("at", "by", "data", "key", "position")

    def __init__(self, publication: Publication, data: T) -> None:
        message = publication.message
        self.data = data
        self.position = publication.position if publication.offset else None
        self.key = message.key
        self.by = message.by
        self.at = message.at / 1000

    def __repr__(self) -> str:
        return f"Received({self.data!r}, position={self.position})"


class Host(Protocol):
    """What channels need of the application."""

    @property
    def json(self) -> JsonAdapter:
        """Encodes what is published."""

    @property
    def hub(self) -> Hub:
        """The channels of this process."""

    def compile_hook(
        self, channel: Channel[Any], function: Callable[..., Any], kind: str, names: LocalNames
    ) -> Plan:
        """Compile a function of a channel.

        Raises:
            RegistrationError: a parameter cannot be filled.
        """

    def member_of(self, ws: WebSocket) -> Member:
        """Return how others see a connection."""


class Channel(Generic[T]):
    """A channel, or a family of channels, as an application declares it: `app.channel(...)`.

    Call it with the parameters of its name to get one channel: `chat(room="42")`.
    """

    decode: Callable[[bytes], Any]
    """Makes what a client publishes of its JSON, which `max_json_depth` limits."""
    decode_published: Callable[[bytes], Any]
    """Makes what was published of its JSON, as deep as the parser goes."""

    def __init__(
        self,
        template: str,
        *,
        model: type[T] | None = None,
        history: History | None = None,
        presence: bool | Presence = False,
        mode: Mode = "stream",
        overflow: Overflow | None = None,
        max_subscribers: int | None = None,
        token: Jwt | None = None,
    ) -> None:
        where = f"channel({template!r})"
        self.where = where
        self.template = ChannelTemplate(template, where)
        self.model: Any = model
        self.max_subscribers = _checked_count(max_subscribers, where)
        self.token = _checked_token(token, where)
        """Judges the token that who subscribes must have; None: nobody needs one."""
        self.rules = _rules(where, history, presence, mode, overflow)
        self._host: Host | None = None
        self._functions: dict[str, tuple[Callable[..., Any], LocalNames]] = {}
        self._plans: dict[str, Plan] = {}

    @property
    def host(self) -> Host:
        """What it needs of the application.

        Raises:
            StateError: it belongs to none.
        """
        if self._host is None:
            raise StateError(f"{self!r} belongs to no application: include its router first")
        return self._host

    def bind(self, host: Host) -> None:
        """Make it a channel of an application.

        Raises:
            RegistrationError: it is one of another, or a function of it cannot work.
        """
        if self._host is not None:
            raise RegistrationError(self.where, "it belongs to another application")
        model = Any if self.model is None else self.model
        self.decode = host.json.decoder(model)
        self.decode_published = plain(host.json).decoder(model)
        for kind, (function, names) in self._functions.items():
            self._plans[kind] = host.compile_hook(self, function, kind, names)
        self._host = host

    @property
    def may_subscribe(self) -> Plan | None:
        """Decides who may subscribe; None: no client."""
        return self._plans.get("on_subscribe")

    @property
    def may_publish(self) -> Plan | None:
        """Decides what clients publish; None: nothing."""
        return self._plans.get("on_publish")

    @property
    def unsubscribed(self) -> Plan | None:
        """Runs after a subscription has ended."""
        return self._plans.get("on_unsubscribe")

    def __repr__(self) -> str:
        return f"<Channel {self.template.text}>"

    def __call__(self, **parameters: Any) -> NamedChannel[T]:
        """Return the channel with these parameters.

        Raises:
            TypeError: a parameter is missing, or there is none of that name.
            ValueError: a value that cannot be part of the name.
        """
        return NamedChannel(self, self.template.fill(parameters))

    def on_subscribe(self, function: F) -> F:
        """Decide which clients may subscribe: without it, none, but those with a token.

        The function may take the name's parameters, `user`, `ws`, `channel` (the `NamedChannel`),
        dependencies, and what the client said as fields or a model. True lets the client in, and so
        does any other value, which the client is told; False and None refuse it ("forbidden"), as
        does `Reject`, in its own words.

        Raises:
            RegistrationError: there is one already, or a parameter cannot be filled.
        """
        self._add("on_subscribe", function)
        return function

    def on_publish(self, function: F) -> F:
        """Decide what clients may publish: without it, nothing.

        The function takes the message as handlers do, and what `on_subscribe` takes. What it
        returns is published, after True what the client said; None and False refuse it, as does
        `Reject`. Only a connection that is subscribed may publish.

        Raises:
            RegistrationError: there is one already, or a parameter cannot be filled.
        """
        self._add("on_publish", function)
        return function

    def on_unsubscribe(self, function: F) -> F:
        """Run a function after a client's subscription has ended, in whatever way; once for each.

        Raises:
            RegistrationError: there is one already, or a parameter cannot be filled.
        """
        self._add("on_unsubscribe", function)
        return function

    def _add(self, kind: str, function: Callable[..., Any]) -> None:
        where, old = f"{self.where}.{kind}", self._functions.get(kind)
        if old is not None:
            raise RegistrationError(where, f"{name_of(old[0])} is registered already")
        names = local_names(function, depth=3)
        if self._host is not None:
            self._plans[kind] = self._host.compile_hook(self, function, kind, names)
        self._functions[kind] = function, names


class NamedChannel(Generic[T]):
    """One channel: `chat(room="42")`, or `app.channel_named("chat:42")`."""

    __slots__ = ("family", "name")

    def __init__(self, family: Channel[T], name: str) -> None:
        self.family = family
        self.name = name

    def __repr__(self) -> str:
        return f"<channel {self.name}>"

    def __eq__(self, other: object) -> bool:
        is_same = isinstance(other, NamedChannel) and other.family is self.family
        return is_same and isinstance(other, NamedChannel) and other.name == self.name

    def __hash__(self) -> int:
        return hash((id(self.family), self.name))

    # --- publications ---------------------------------------------------------------------------

    async def publish(
        self,
        data: T | Any,
        *,
        key: str | None = None,
        exclude: WebSocket | Sequence[WebSocket] | None = None,
        idempotency_key: str = "",
    ) -> Position | None:
        """Publish `data` to every subscriber on every worker; return its position.

        It never waits for a subscriber. The position is None where the channel has no history.

        Args:
            data: of the channel's model, or what it can be made of; without a model any JSON, an
                element or a `Fragment` for HTMX.
            key: in mode "latest", which value this is the newest of; None: for elements their
                id, else "".
            exclude: connections that do not get it, such as the sender's.
            idempotency_key: publishing again with the same key, within 5 minutes, does nothing and
                returns the position of the first time.

        Raises:
            TypeError, ValidationError: the data does not fit.
            BrokerUnavailable: it is unknown whether it was published; try again with the same
                `idempotency_key`.
        """
        message = self.message(data, key=key, exclude=exclude)
        return await self.publish_message(message, idempotency_key)

    def message(
        self,
        data: T | Any,
        *,
        key: str | None = None,
        exclude: WebSocket | Sequence[WebSocket] | None = None,
        idempotency_key: str = "",
    ) -> Message:
        """Return what `publish` publishes; see there."""
        if isinstance(exclude, WebSocket):
            exclude = (exclude,)
        return Message(
            self.encode(data),
            key_of(data) if key is None else key,
            None,
            tuple(ws.id for ws in exclude or ()),
            round(time.time() * 1000),
            is_html(data),
        )

    async def publish_message(self, message: Message, idempotency_key: str) -> Position | None:
        """Publish what is encoded already."""
        hub = self.family.host.hub
        await hub.start()
        keep = self.family.rules.keep
        published = await hub.broker.publish(self.name, message, keep, idempotency=idempotency_key)
        await hub.breathe(self.name)
        return None if keep is None else published.position

    def encode(self, data: Any) -> bytes:
        """Return `data` as it is published.

        Raises:
            TypeError: it cannot be JSON.
            ValidationError: it does not fit the model.
        """
        family = self.family
        said = encoded(data, family.host.json)
        if family.model is not None and type(data) is not family.model:
            family.decode_published(said)
        return said

    async def history(
        self,
        limit: int | None = None,
        *,
        since: Position | None = None,
        reverse: bool = False,
    ) -> list[Received[T]]:
        """Return what is kept: the oldest first, after `since`, at most `limit` of it.

        Args:
            limit: None: the setting `history_limit`.
            since: a position; None: from the beginning.
            reverse: the newest first; those before `since`.

        Raises:
            StateError: the channel keeps no history.
            BrokerUnavailable: the broker does not answer.
        """
        page = await self.read(limit, since, reverse=reverse)
        return [self.received(publication) for publication in page.publications]

    async def read(self, limit: int | None, since: Position | None, *, reverse: bool) -> Any:
        """Return a page of history as the broker keeps it."""
        hub, keep = self.family.host.hub, self.family.rules.keep
        if keep is None:
            raise StateError(f"{self!r} keeps no history: declare it with history=History(...)")
        await hub.start()
        count = hub.history_limit if limit is None else min(limit, hub.history_limit)
        return await hub.broker.read(self.name, keep, since=since, limit=count, reverse=reverse)

    async def position(self) -> Position:
        """Return where the channel stands now; see `history`."""
        page = await self.read(0, None, reverse=False)
        found: Position = page.top
        return found

    async def forget(self) -> None:
        """Remove what is kept; positions go on."""
        hub = self.family.host.hub
        await hub.start()
        await hub.broker.forget(self.name)

    def received(self, publication: Publication) -> Received[T]:
        """Return a publication with its data decoded."""
        return Received(publication, self.family.decode_published(publication.message.data))

    def __aiter__(self) -> AsyncIterator[Received[T]]:
        """Give the server's own code what is published from now on; see `consume`."""
        return self.consume()

    async def consume(self, *, since: Position | None = None) -> AsyncGenerator[Received[T], None]:
        """Give the server's own code what is published, by whomever, in order.

        The channel is subscribed to until the loop is left. 1,000 publications wait for a slow
        reader; the rest it gets from history, where the channel keeps one. In mode "ephemeral" the
        oldest go instead.

        Args:
            since: first what was published after this position; None: from now on.

        Raises:
            StateError: `since` is for channels with history.
            BrokerUnavailable: the broker does not answer at the beginning.
            MissedPublications: the reader is too late: what comes next cannot be had any more.
        """
        hub, rules = self.family.host.hub, self.family.rules
        if since is not None and rules.keep is None:
            raise StateError(f"{self!r} keeps no history: declare it with history=History(...)")
        async with hub.consume(self.name, rules, since) as consumer:
            while (publication := await consumer.take()) is not None:
                yield self.received(publication)

    # --- subscribers ----------------------------------------------------------------------------

    async def subscribe(self, ws: WebSocket, *, since: Position | None = None) -> None:
        """Subscribe a connection, without asking `on_subscribe`. Twice is once.

        Args:
            ws: an accepted connection of any style; it is told in the words of its dialect.
            since: where it stands: what was published since then is sent first.

        Raises:
            BrokerUnavailable: the broker does not answer.
            ConnectionClosed: the connection has ended.
            Reject: it was unsubscribed, or expelled, before it was told that it is subscribed.
        """
        host = self.family.host
        try:
            await host.hub.subscribe(
                self.name,
                self.family.rules,
                ws,
                host.member_of(ws),
                since=ws.positions.get(self.name) if since is None else since,
                is_by_server=True,
            )
        except AlreadySubscribed:
            return

    def unsubscribe(self, ws: WebSocket) -> bool:
        """End a connection's subscription and tell it so; False: it has none."""
        hub = self.family.host.hub
        subscription = hub.subscriptions(ws.connection).get(self.name)
        if subscription is None:
            return False
        hub.expel_one(subscription, "unsubscribed", "")
        return True

    async def presence(self) -> list[Member]:
        """Return the connections that are present, on all workers, oldest first.

        Raises:
            StateError: the channel was declared without presence.
            BrokerUnavailable: the broker does not answer.
        """
        hub = self._with_presence()
        await hub.start()
        return list((await hub.broker.members(self.name)).members)

    async def subscriber_count(self) -> int:
        """Return how many connections are subscribed: with presence on all workers, else here.

        Raises:
            BrokerUnavailable: the broker does not answer.
        """
        hub = self.family.host.hub
        if self.family.rules.presence is None:
            topic = hub.topic(self.name)
            return 0 if topic is None else len(list(topic))
        await hub.start()
        return (await hub.broker.count(self.name))[0]

    def _with_presence(self) -> Hub:
        if self.family.rules.presence is None:
            raise StateError(f"{self!r} has no presence: declare it with presence=True")
        return self.family.host.hub


def _rules(
    where: str,
    history: History | None,
    presence: bool | Presence,
    mode: Mode,
    overflow: Overflow | None,
) -> Rules:
    if mode not in get_args(Mode):
        raise RegistrationError(where, f"mode: expected one of {get_args(Mode)}, got {mode!r}")
    if history is not None and not isinstance(history, History):
        raise RegistrationError(where, f"history: expected History(...), got {history!r}")
    if mode == "ephemeral" and history is not None:
        raise RegistrationError(where, "mode 'ephemeral' keeps nothing", "leave out history")
    if mode == "latest" and history is None:
        history = History()
    if not isinstance(presence, bool | Presence):
        raise RegistrationError(
            where, f"presence: expected True, False or Presence(...), got {presence!r}"
        )
    keep = None if history is None else Keep(history.size, history.ttl, mode == "latest")
    default: Overflow = "catch_up" if keep is not None else "close"
    default = {"ephemeral": "drop", "latest": "latest"}.get(mode, default)  # type: ignore[assignment]
    chosen = overflow or default
    _check_overflow(where, chosen, mode, keep)
    return Rules(mode, keep, chosen, Presence() if presence is True else presence or None)


def _check_overflow(where: str, overflow: Overflow, mode: Mode, keep: Keep | None) -> None:
    if overflow not in get_args(Overflow):
        known = get_args(Overflow)
        raise RegistrationError(where, f"overflow: expected one of {known}, got {overflow!r}")
    if overflow == "catch_up" and (keep is None or mode == "latest"):
        raise RegistrationError(where, "overflow 'catch_up' needs mode 'stream' with history")
    if overflow == "latest" and mode != "latest":
        raise RegistrationError(where, "overflow 'latest' needs mode 'latest'")
    if overflow == "drop" and keep is not None:
        raise RegistrationError(
            where, "overflow 'drop' leaves holes, which history excludes", "leave out one of them"
        )


def _checked_token(token: object, where: str) -> Jwt | None:
    if token is not None and not isinstance(token, Jwt):
        raise RegistrationError(where, f"token: expected Jwt(...), got {token!r}")
    return token


def _checked_count(number: object, where: str) -> int | None:
    if number is None:
        return None
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise RegistrationError(where, f"max_subscribers: expected an int >= 1, got {number!r}")
    return number
