"""How channels are declared, on a router as on an application."""

from __future__ import annotations

from typing import Any, TypeVar, overload

from ..channels.channel import Channel
from ..channels.options import History, Mode, Overflow, Presence
from ..errors import RegistrationError
from ..security.jwt import Jwt

__all__ = ["ChannelRouter"]

T = TypeVar("T")


class ChannelRouter:
    """A group of channels."""

    def __init__(self) -> None:
        self._channels: list[Channel[Any]] = []
        self._is_included = False

    @overload
    def channel(
        self,
        name: str,
        *,
        model: type[T],
        history: History | None = None,
        presence: bool | Presence = False,
        mode: Mode = "stream",
        overflow: Overflow | None = None,
        max_subscribers: int | None = None,
        token: Jwt | None = None,
    ) -> Channel[T]: ...

    @overload
    def channel(
        self,
        name: str,
        *,
        model: None = None,
        history: History | None = None,
        presence: bool | Presence = False,
        mode: Mode = "stream",
        overflow: Overflow | None = None,
        max_subscribers: int | None = None,
        token: Jwt | None = None,
    ) -> Channel[Any]: ...

    def channel(
        self,
        name: str,
        *,
        model: type[Any] | None = None,
        history: History | None = None,
        presence: bool | Presence = False,
        mode: Mode = "stream",
        overflow: Overflow | None = None,
        max_subscribers: int | None = None,
        token: Jwt | None = None,
    ) -> Channel[Any]:
        """Declare a channel, or a family of channels whose names have parameters.

        Without `on_subscribe` no client may subscribe, without `on_publish` none may publish; the
        server's own code may both.

        Args:
            name: such as "news", "chat:{room}" or "game:{id:int}".
            model: type of what is published; None: any JSON. Default None.
            history: what is kept, so that who returns misses nothing; None: nothing, except in mode
                "latest". Default None.
            presence: whether it is told who is there; or a `Presence`. Default False.
            mode: "stream", a series in which each publication counts; "ephemeral", good for the
                moment, never kept; "latest", the newest of each key counts. Default "stream".
            overflow: what a subscriber gets that reads too slowly: "catch_up" reads what it missed
                from history when it can (default with history), "close" leaves it to the outbox of
                the connection (default without), "drop" leaves out what finds no room (default
                of "ephemeral"; not with history), "latest" sends the newest of each key (default
                of "latest").
            max_subscribers: connections at most: with presence on all workers, else of each.
            token: judges the tokens that clients need to subscribe, in dialects that carry them
                (`Centrifugo`): the claim `channel` is the name of the channel and `sub` the user;
                `on_subscribe` is then asked after it, where there is one. None: nobody needs a
                token. Default None.

        Raises:
            RegistrationError: the name is taken or none, or options do not go together. What only
                the application knows, such as that a name is taken, is said by `include`.
        """
        channel: Channel[Any] = Channel(
            name,
            model=model,
            history=history,
            presence=presence,
            mode=mode,
            overflow=overflow,
            max_subscribers=max_subscribers,
            token=token,
        )
        self._declare(channel)
        return channel

    def _declare(self, channel: Channel[Any]) -> None:
        if self._is_included:
            raise RegistrationError(
                channel.where,
                "the router was included already, so the application would never know it",
                "include the router after its last channel",
            )
        self._channels.append(channel)
