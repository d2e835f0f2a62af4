"""Connections over plain HTTP, on any ASGI server (ASGI specification, "HTTP", version 2.3).

What we say streams out of one response, what the peer says comes in requests of their own. Which
paths they have, and what the messages look like, a dialect says: `dialects.base.Endpoints`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final
from urllib.parse import parse_qs

import msgspec

from ..connection import Mailbox
from ..errors import MalformedMessage
from ..fallbacks import Fallback
from ..security.redaction import redact_query
from ..types import Frame, HeaderList, Receive, Scope, SendMessage
from .head import fault_of
from .stream_link import BytesLink, EventsLink, Host, LinesLink, StreamLink, carry, encode

__all__ = ["serve"]


_ENVELOPE: Final = 4096
"""Bytes around the message in the body of a request."""
_PREFLIGHT_AGE: Final = 600
"""Seconds for which browsers keep what a preflight has said."""


class _Posted(msgspec.Struct):
    """The body of a request with a message, in JSON."""

    data: str
    session: str = ""
    node: str = ""


class _NotTaken(Exception):
    """A request that is answered with a status, and nothing else."""

    def __init__(self, status: int, text: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class _Gone(Exception):
    """The peer has gone before its request was complete."""


async def serve(
    app: Host,
    place: Fallback,
    scope: Scope,
    receive: Receive,
    send: SendMessage,
    *,
    seen: Scope,
) -> None:
    """Serve one `http` scope at a path of a dialect: a stream, a message or a preflight.

    `seen` is the scope as the client's own request would have made it, without proxies.
    """
    exchange = _Exchange(app, place, scope, receive, send)
    exchange.judge_origin(seen)
    try:
        await exchange.serve()
    except _NotTaken as error:
        await exchange.answer(error.status, error.text)
    except _Gone:
        return


class _Exchange:
    """One request at such a path."""

    def __init__(
        self, app: Host, place: Fallback, scope: Scope, receive: Receive, send: SendMessage
    ) -> None:
        self._app = app
        self._place = place
        self._scope = scope
        self._receive = receive
        self._send = send
        self._origins = _values(scope, b"origin")
        self._format = place.formats.get(_media_type(scope))
        self._is_allowed = False

    def judge_origin(self, seen: Scope) -> None:
        """Find out whether the page that asks may."""
        hosts = _values(seen, b"host")
        scheme = str(seen.get("scheme", "http"))
        self._is_allowed = self._place.allows(self._origins, hosts[0] if hosts else None, scheme)

    async def serve(self) -> None:
        """Do what the request asks for.

        Raises:
            _NotTaken: what it is answered with, and nothing was done.
        """
        place, method = self._place, self._scope["method"]
        if method == "OPTIONS":
            await self._answer_preflight()
        elif method != place.method:
            raise _NotTaken(405, f"expected {place.method}, got {method}")
        elif fault := fault_of(_without_body(self._scope["headers"])):
            raise _NotTaken(400, fault)
        elif place.kind == "messages":
            await self._take_message()
        else:
            await self._stream()

    async def answer(self, status: int, text: str = "", more: HeaderList = ()) -> None:
        """Answer with a status."""
        headers: list[tuple[str, str]] = [*self._cors(), *more]
        if status == 405:
            headers.append(("allow", f"{self._place.method}, OPTIONS"))
        if text:
            headers.append(("content-type", "text/plain; charset=utf-8"))
        body = text.encode()
        if status != 204:
            headers.append(("content-length", str(len(body))))
        start = {"type": "http.response.start", "status": status, "headers": encode(headers)}
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})

    # --- pages of other origins -----------------------------------------------------------------

    def _cors(self) -> HeaderList:
        """Let the page read the answer, if its origin may connect (Fetch standard, 3.2)."""
        if not (self._is_allowed and self._origins):
            return (("vary", "Origin"),)
        return (
            ("access-control-allow-origin", self._origins[0]),
            ("access-control-allow-credentials", "true"),
            ("vary", "Origin"),
        )

    async def _answer_preflight(self) -> None:
        if not (self._is_allowed and self._origins):
            raise _NotTaken(403, "Forbidden")
        asked = _values(self._scope, b"access-control-request-headers")
        allowed = (
            ("access-control-allow-methods", self._place.method),
            ("access-control-allow-headers", ", ".join(asked) or "content-type"),
            ("access-control-max-age", str(_PREFLIGHT_AGE)),
        )
        await self.answer(204, more=allowed)

    def _check_site(self) -> None:
        """Refuse what a page of another site can ask for without saying its origin (an image)."""
        sites = _values(self._scope, b"sec-fetch-site")
        if not self._origins and any(site in ("cross-site", "same-site") for site in sites):
            raise _NotTaken(403, "Forbidden")

    # --- a message ------------------------------------------------------------------------------

    async def _take_message(self) -> None:
        if not self._is_allowed:
            raise _NotTaken(403, "Forbidden")
        limit = 2 * max(self._place.sizes) + _ENVELOPE  # quoted, a message can be twice as long
        mailbox, message = self._posted(await self._body(limit))
        await self.answer(await self._app.mailboxes.post(mailbox, message))

    def _posted(self, body: bytes) -> tuple[Mailbox, Frame]:
        try:
            if self._format is not None:
                session, node, message = self._format.read(body)
                return Mailbox(session, node), message
            posted = msgspec.json.decode(body, type=_Posted)
        except (msgspec.MsgspecError, UnicodeDecodeError, MalformedMessage) as error:
            raise _NotTaken(400, f"expected session, node and data: {error}") from None
        return Mailbox(posted.session, posted.node), posted.data

    async def _body(self, limit: int) -> bytes:
        """Return the body of the request, of at most `limit` bytes."""
        parts: list[bytes] = []
        size, is_complete = 0, False
        try:
            async with asyncio.timeout(self._app.settings.handshake_timeout):
                while not is_complete:
                    message = await self._receive()
                    if message["type"] != "http.request":
                        raise _Gone
                    parts.append(bytes(message.get("body") or b""))
                    size += len(parts[-1])
                    if size > limit:
                        raise _NotTaken(413, f"expected at most {limit} bytes")
                    is_complete = not message.get("more_body")
        except TimeoutError:
            raise _NotTaken(408, "the request took too long") from None
        return b"".join(parts)

    # --- a stream -------------------------------------------------------------------------------

    async def _stream(self) -> None:
        place, make = self._place, self._kind_of_link()
        first = await self._first()
        link = make(self._scope, self._receive, self._send)
        link.farewell, link.headers, link.first = place.farewell, self._cors(), first
        await carry(self._app, link, self._scope)

    def _kind_of_link(self) -> type[StreamLink]:
        """Return what carries the stream, whose format is offered as a socket would offer it."""
        if self._place.kind == "events":
            self._check_site()
            return EventsLink
        if self._format is None:
            return LinesLink
        self._scope["subprotocols"] = [self._format.subprotocol]
        return BytesLink

    async def _first(self) -> Frame:
        """Return the message that the peer begins with.

        One of the query is alone: any page can have a browser ask for an address, with cookies.
        """
        place, scope = self._place, self._scope
        limit = max(place.sizes)
        body = await self._body(limit)
        if place.kind == "lines":
            try:
                return body.decode() if self._format is None else body
            except UnicodeDecodeError:
                raise _NotTaken(400, "expected UTF-8") from None
        query = bytes(scope.get("query_string", b"")).decode("latin-1")
        found = parse_qs(query).get(place.first, [""])[-1].strip()
        # Its token is not for logs, which servers write from the same scope.
        scope["query_string"] = redact_query(query, (place.first,)).encode("latin-1")
        if not found or "\n" in found:
            raise _NotTaken(400, f"expected one message as the query's {place.first}")
        return found


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _media_type(scope: Scope) -> str:
    return "".join(_values(scope, b"content-type")).partition(";")[0].strip().lower()


def _without_body(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return headers but those of a body, which a handshake may not have."""
    body = (b"transfer-encoding", b"content-length")
    return [(name, value) for name, value in headers if name not in body]
