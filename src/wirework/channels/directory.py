"""All channels of an application: found by name, their functions compiled, their hub."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar, get_origin

from ..binding.binder import Binder, Extra
from ..binding.plan import Context, Plan, check_hook
from ..binding.signatures import LocalNames, parameters_of
from ..errors import BrokerUnavailable, NoSuchChannel, RegistrationError
from ..json import JsonAdapter
from ..publications import Member
from ..security.identity import user_key
from ..security.users import user, user_as
from ..websocket import WebSocket
from .channel import Channel, NamedChannel
from .declared import Announcement, Declared
from .families import Families
from .hub import Hub

__all__ = ["Channels", "Visit"]

T = TypeVar("T")


class Visit(NamedTuple):
    """What functions of a channel are called with: the `meta` of their `Call`."""

    channel: NamedChannel[Any]
    parameters: Mapping[str, Any]


class Channels:
    """The channels of one application.

    Args:
        json: encodes what is published.
        binder: compiles functions.
        hub: holds subscriptions.
    """

    def __init__(self, json: JsonAdapter, binder: Binder, hub: Hub) -> None:
        self.json = json
        self.hub = hub
        self._binder = binder
        self._families: list[Channel[Any]] = []
        self._by_name: Families[Channel[Any]] = Families()
        self._announcement = Announcement(hub.broker, self._declared)
        hub.also_compared = self._renew

    def __iter__(self) -> Iterator[Channel[Any]]:
        return iter(self._families)

    def __len__(self) -> int:
        return len(self._families)

    def add(self, family: Channel[Any]) -> None:
        """Add a channel or a family of channels; one that is here already stays.

        Raises:
            RegistrationError: its name is taken, or a function of it cannot work.
        """
        if any(family is other for other in self._families):
            return
        clash = self._by_name.clash(family.template)
        if clash is not None:
            raise RegistrationError(family.where, _said(*clash))
        family.bind(self)
        self._families.append(family)
        self._by_name.add(family.template, family)

    async def start(self) -> None:
        """Start the hub, and tell who publishes from outside which channels there are.

        Raises:
            BrokerUnavailable: the broker does not answer.
        """
        await self.hub.start()
        if self._is_announced:
            await self._announcement.begin()

    async def _renew(self) -> None:
        if self._is_announced:
            with suppress(BrokerUnavailable):
                await self._announcement.renew()

    @property
    def _is_announced(self) -> bool:
        return self.hub.broker.is_shared and self.hub.broker.keeps

    def _declared(self) -> Iterator[Declared]:
        for family in self:
            yield Declared(family.template.text, family.rules.keep)

    def find(self, name: str) -> tuple[NamedChannel[Any], dict[str, Any]]:
        """Return the channel called `name` and the parameters in its name.

        Of several families that have it, the narrowest; see `Families`.

        Raises:
            NoSuchChannel: none has such names.
        """
        found = self._by_name.find(name)
        if found is not None:
            family, parameters = found
            return NamedChannel(family, name), parameters
        known = [family.template.text for family in self._families]
        nearest = difflib.get_close_matches(name[:100], known, n=1)
        raise NoSuchChannel(name, nearest[0] if nearest else None)

    def member_of(self, ws: WebSocket, info: bytes | None = None) -> Member:
        """Return how others see a connection: its id, its user, and what is told of it."""
        user = "" if ws.user is None else str(user_key(ws.user))
        said = None if ws.identity is None else ws.identity.info
        return Member(ws.id, user, info, None if said is None else self.json.encode(said))

    # --- functions ------------------------------------------------------------------------------

    def compile_hook(
        self, channel: Channel[Any], function: Callable[..., Any], kind: str, names: LocalNames
    ) -> Plan:
        """Compile a function of a channel.

        Raises:
            RegistrationError: a parameter cannot be filled, or it is a generator.
        """
        where = f"{channel.where}.{kind}"
        plan = self._binder.compile(
            function,
            where=where,
            extra=_parameters(channel, function, where, names),
            body=None if kind == "on_unsubscribe" else "json",
            names=names,
        )
        check_hook(plan)
        return plan


def _said(other: Channel[Any], shared: str | None) -> str:
    if shared is None:
        return f"{other.where} has these names"
    return (
        f"{other.where} has some of its names, such as {shared!r}, and neither is narrower;"
        " choose templates of which one has all names of the other, or that have none in common"
    )


def _parameters(
    channel: Channel[Any], function: Callable[..., Any], where: str, names: LocalNames
) -> dict[str, Extra]:
    """Return what functions of a channel may take beside dependencies and the payload."""

    def part(name: str) -> Callable[[Context], Any]:
        return lambda context: _visit(context).parameters[name]

    found = {
        name: Extra(kind, part(name), is_sure=True)
        for name, kind in channel.template.parameters.items()
    }
    hints = {each.name: each.annotation for each in parameters_of(function, where, names)}
    found["channel"] = Extra(NamedChannel, lambda context: _visit(context).channel)
    for name, hint in hints.items():
        if get_origin(hint) is NamedChannel:
            found[name] = Extra(hint, found["channel"].get, is_sure=True)
    found["user"] = Extra(object, user, is_sure=True, get_as=user_as)
    return found


def _visit(context: Context) -> Visit:
    assert context.call is not None
    visit: Visit = context.call.meta
    return visit
