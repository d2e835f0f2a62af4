"""Test applications without a server: a client for sockets and HTTP in one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import unquote, urlencode, urlsplit

from . import closecodes
from .app import App
from .errors import WireworkError
from .json import MsgspecAdapter
from .transports.memory import Accepted, Closed, MemoryPeer, Refused
from .types import Frame, HeaderList, Receive, Scope, SendMessage

if TYPE_CHECKING:
    import httpx

__all__ = ["HandshakeRefused", "TestClient", "TestWebSocket"]

T = TypeVar("T")
_json = MsgspecAdapter()


class HandshakeRefused(WireworkError):
    """The application answered a handshake with an HTTP response."""

    def __init__(self, status: int, headers: HeaderList, body: bytes) -> None:
        super().__init__(status, headers, body)
        self.status = status
        self.headers = {name.lower(): value for name, value in headers}
        self.body = body

    def __str__(self) -> str:
        return f"handshake refused with {self.status}: {self.body!r}"


class TestClient:
    """Talks with an application in the same process: no sockets, no threads, no waiting for ever.

        async with TestClient(app) as client:
            async with client.connect("/ws") as ws:
                await ws.send_text("hello")
                assert await ws.receive_text() == "hello"

    Entering it runs the application's lifespan. Cookies are kept and shared by HTTP requests and
    connections, so that logging in and then connecting is tested as it happens.

    Args:
        app: the application.
        base_url: what the client believes to talk to.
        headers: sent with every request and handshake.
        timeout: seconds after which anything that is awaited fails with `TimeoutError`.
    """

    __test__ = False

    def __init__(
        self,
        app: App,
        *,
        base_url: str = "http://testserver",
        headers: Mapping[str, str] | None = None,
        timeout: float = 5.0,
    ) -> None:
        self.app = app
        self.base_url = base_url
        self.headers = dict(headers or {})
        self.timeout = timeout
        self.cookies: dict[str, str] = {}
        self._stack = AsyncExitStack()
        self._http: httpx.AsyncClient | None = None
        self._state: dict[str, Any] = {}

    async def __aenter__(self) -> Self:
        starting = self._stack.enter_async_context(self.app.lifespan_context())
        self._state = await _within(self.timeout, starting, "the application to start")
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            await _within(self.timeout, self._stack.aclose(), "the application to stop")
        except Exception as other:
            _keep(error, other)

    # --- HTTP -----------------------------------------------------------------------------------

    async def request(self, method: str, url: str, **options: Any) -> httpx.Response:
        """Send one HTTP request; `options` are those of httpx (`json=`, `data=`, `headers=`...).

        Raises:
            ModuleNotFoundError: httpx is not installed (`pip install wirework[testing]`).
        """
        client = await self._http_client()
        requesting = client.request(method, url, cookies=None, **options)
        response = await _within(self.timeout, requesting, f"the response to {method} {url}")
        self._keep_cookies([("set-cookie", v) for v in response.headers.get_list("set-cookie")])
        return response

    async def get(self, url: str, **options: Any) -> httpx.Response:
        """Send a GET request; see `request`."""
        return await self.request("GET", url, **options)

    async def post(self, url: str, **options: Any) -> httpx.Response:
        """Send a POST request; see `request`."""
        return await self.request("POST", url, **options)

    async def _http_client(self) -> httpx.AsyncClient:
        if self._http is None:
            try:
                import httpx
            except ModuleNotFoundError:
                raise ModuleNotFoundError(
                    "HTTP requests of TestClient need httpx: pip install 'wirework[testing]'"
                ) from None
            client = httpx.AsyncClient(
                transport=httpx.ASGITransport(self._serve_http),
                base_url=self.base_url,
                headers=self.headers,
                timeout=self.timeout,
            )
            self._http = await self._stack.enter_async_context(client)
        self._http.cookies.clear()
        self._http.cookies.update(self.cookies)
        return self._http

    async def _serve_http(self, scope: Scope, receive: Receive, send: SendMessage) -> None:
        scope["state"] = dict(self._state)
        await self.app(scope, receive, send)

    # --- WebSockets -----------------------------------------------------------------------------

    @asynccontextmanager
    async def connect(
        self,
        path: str,
        *,
        headers: Mapping[str, str] | HeaderList = (),
        query: Mapping[str, Any] | None = None,
        session: Mapping[str, Any] | None = None,
        subprotocols: Sequence[str] = (),
    ) -> AsyncIterator[TestWebSocket]:
        """Open a WebSocket; leaving the block closes it and waits for the application's end.

        Args:
            path: with or without a query.
            headers: more headers for the handshake.
            query: query parameters, added to those of `path`.
            session: values of a session, which the connection begins with.
            subprotocols: offered in this order.

        Raises:
            HandshakeRefused: the application answered with an HTTP response.
            TimeoutError: it did not answer, or did not end, in time; its handler is cancelled.
                An error raised in the block goes first, with a note about the time.
        """
        pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
        own = {} if session is None else await self.app.create_session(session)
        scope = self._scope(path, pairs, query, own, subprotocols)
        ws = TestWebSocket(MemoryPeer(self.app, scope), self.timeout)
        await self._answer(ws)
        try:
            yield ws
        except BaseException as error:
            await ws._leave(error)
            raise
        else:
            await ws._leave()

    async def _answer(self, ws: TestWebSocket) -> None:
        try:
            answer = await ws._within(asyncio.shield(ws.peer.answer), "an answer to the handshake")
        except TimeoutError:
            await ws.peer.cancel(self.timeout)
            raise
        self._keep_cookies(answer.headers)
        if isinstance(answer, Refused):
            await ws._leave()
            raise HandshakeRefused(*answer)
        ws.subprotocol = answer.subprotocol
        ws.headers = _joined(answer)

    def _scope(
        self,
        path: str,
        headers: list[tuple[str, str]],
        query: Mapping[str, Any] | None,
        own_cookies: Mapping[str, str],
        subprotocols: Sequence[str],
    ) -> Scope:
        url, base = urlsplit(path), urlsplit(self.base_url)
        parts = [part for part in (url.query, urlencode(query or {}, doseq=True)) if part]
        cookies = {**self.cookies, **own_cookies}
        given = {"host": base.netloc, **self.headers}
        sent = [*given.items(), *headers]
        if cookies:
            sent.append(("cookie", "; ".join(f"{name}={cookies[name]}" for name in cookies)))
        if subprotocols:
            sent.append(("sec-websocket-protocol", ", ".join(subprotocols)))
        return {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.5"},
            "http_version": "1.1",
            "scheme": "wss" if base.scheme == "https" else "ws",
            "server": (base.hostname, base.port or 80),
            "client": ("127.0.0.1", 50000),
            "root_path": "",
            "path": unquote(url.path),
            "raw_path": url.path.encode(),
            "query_string": "&".join(parts).encode(),
            "headers": [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in sent],
            "subprotocols": list(subprotocols),
            "state": dict(self._state),
            "extensions": {"websocket.http.response": {}},
        }

    def _keep_cookies(self, headers: HeaderList) -> None:
        for name, value in headers:
            if name.lower() == "set-cookie":
                for key, morsel in SimpleCookie(value).items():
                    if "1970" in morsel["expires"] or morsel["max-age"] == "0":
                        self.cookies.pop(key, None)
                    else:
                        self.cookies[key] = morsel.coded_value

    # --- dependencies ---------------------------------------------------------------------------

    @contextmanager
    def override(
        self, dependency: Callable[..., Any], stand_in: Callable[..., Any]
    ) -> Iterator[None]:
        """Within the block, call `stand_in` wherever `Depends(dependency)` is asked for."""
        before = dict(self.app.overrides)
        self.app.overrides[dependency] = stand_in
        try:
            yield
        finally:
            self.app.overrides.clear()
            self.app.overrides.update(before)


class TestWebSocket:
    """The client's end of one connection. Everything that waits fails after the timeout."""

    __test__ = False

    def __init__(self, peer: MemoryPeer, timeout: float) -> None:
        self.peer = peer
        self.timeout = timeout
        self.subprotocol: str | None = None
        """What the application chose."""
        self.headers: dict[str, str] = {}
        """Headers of the handshake's answer, names in lower case."""

    async def send_text(self, data: str) -> None:
        """Send a text frame."""
        await self._send(data)

    async def send_bytes(self, data: bytes) -> None:
        """Send a binary frame."""
        await self._send(data)

    async def send_json(self, data: Any) -> None:
        """Send `data` as JSON in a text frame."""
        await self._send(_json.encode(data).decode())

    async def receive(self) -> Frame:
        """Return the next frame; an `AssertionError` tells that the connection was closed."""
        event = await self._within(self.peer.events.get(), "a frame")
        if isinstance(event, Closed):
            self.peer.events.put_nowait(event)
            raise AssertionError(f"expected a frame, got a close: {event.code} {event.reason}")
        return event

    async def receive_text(self) -> str:
        """Return the next frame, which must be text."""
        frame = await self.receive()
        assert isinstance(frame, str), f"expected a text frame, got {frame!r}"
        return frame

    async def receive_bytes(self) -> bytes:
        """Return the next frame, which must be binary."""
        frame = await self.receive()
        assert isinstance(frame, bytes), f"expected a binary frame, got {frame!r}"
        return frame

    async def receive_json(self) -> Any:
        """Return the next frame, decoded from JSON."""
        return _json.decode(await self.receive())

    async def close(self, code: int = closecodes.NORMAL, reason: str = "") -> None:
        """Close, and wait until the application has done with the connection."""
        self.peer.close(code, reason)
        await self._within(self.peer.leave(), "the application to end the connection")

    async def assert_closed(self, code: int | None = None, reason: str | None = None) -> None:
        """Assert that the next thing the application says is a close, with code and reason."""
        event = await self._within(self.peer.events.get(), "a close")
        assert isinstance(event, Closed), f"expected a close, got the frame {event!r}"
        self.peer.events.put_nowait(event)
        assert code is None or event.code == code, f"expected {code}, got {event}"
        assert reason is None or event.reason == reason, f"expected {reason!r}, got {event}"

    async def assert_silent(self, seconds: float = 0.05) -> None:
        """Assert that nothing comes within `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                event = await self.peer.events.get()
        except TimeoutError:
            return
        raise AssertionError(f"expected silence, got {event!r}")

    async def _send(self, frame: Frame) -> None:
        await self._within(self.peer.readable.wait(), "the application to read")
        self.peer.send(frame)

    async def _within(self, awaitable: Awaitable[T], what: str) -> T:
        return await _within(self.timeout, awaitable, what)

    async def _leave(self, error: BaseException | None = None) -> None:
        """Close, and wait for the application's end; `error` is what the block has raised."""
        self.peer.close()
        try:
            await self._within(self.peer.leave(), "the application to end the connection")
        except Exception as other:
            await self.peer.cancel(self.timeout)
            _keep(error, other)


async def _within(seconds: float, awaitable: Awaitable[T], what: str) -> T:
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await awaitable
    except TimeoutError:
        if not limit.expired():
            raise
        raise TimeoutError(f"waited {seconds} s for {what}") from None


def _keep(error: BaseException | None, other: Exception) -> None:
    """Raise `other`, unless the test has failed already: then it is a note of that `error`."""
    if error is None:
        raise other
    error.add_note(f"afterwards: {type(other).__name__}: {other}")


def _joined(answer: Accepted) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.headers}
