"""Routes as they were declared; an application makes endpoints of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import FunctionType
from typing import TYPE_CHECKING, Any

from ..binding.depends import kind_of
from ..binding.signatures import LocalNames, can_take, name_of
from ..dialects.base import Dialect
from ..errors import RegistrationError
from ..security.auth import Auth
from ..session import Middleware

if TYPE_CHECKING:
    from .events import Events

__all__ = [
    "HttpRoute",
    "WebSocketRoute",
    "check_auth",
    "check_dialect",
    "check_functions",
    "check_middleware",
    "check_path",
    "is_method",
    "join",
]


@dataclass(frozen=True)
class WebSocketRoute:
    """A WebSocket route: a connection handler, or functions for messages.

    `function` is called for each message, or for the connection; it is None where `events` holds
    one for each name. `controller` is the class whose methods the functions are.
    """

    where: str
    path: str
    function: Callable[..., Any] | None
    is_per_message: bool
    name: str | None = None
    events: Events | None = None
    controller: type | None = None
    conn: Callable[..., Any] | None = None
    disconn: Callable[..., Any] | None = None
    dialect: Dialect | None = None
    auth: Auth | None = None
    requires: Any = None
    limits: Mapping[str, Any] = field(default_factory=dict)
    middleware: tuple[Middleware, ...] = ()
    concurrency: int = 1
    cancel_on_disconnect: bool = False
    allowed_origins: Sequence[str] | None = None
    require_origin: bool | None = None
    locals: LocalNames = field(default_factory=LocalNames)


@dataclass(frozen=True)
class HttpRoute:
    """An HTTP route."""

    where: str
    path: str
    function: Callable[..., Any]
    methods: tuple[str, ...]
    name: str | None = None
    locals: LocalNames = field(default_factory=LocalNames)


def check_path(verb: str, path: object) -> None:
    """Refuse a decorator that got something else as its path, such as the function itself."""
    if isinstance(path, str):
        return
    if callable(path):
        raise RegistrationError(
            f"{verb}, {name_of(path)}",
            "the decorator has no path, and so got the function for one",
            f"write @app.{verb}('/path')",
        )
    raise RegistrationError(verb, f"path: expected a str such as '/path', got {path!r}")


def check_functions(where: str, function: object, *hooks: object) -> None:
    """Refuse a handler or hooks that are no functions; None is a hook that is not there."""
    if function is None:
        raise RegistrationError(where, "expected a function, got None")
    for each in (function, *hooks):
        if isinstance(each, type):
            raise RegistrationError(
                f"{where}, {name_of(each)}",
                "expected a function, got a class",
                "give it a function, or a method of an object",
            )
        if each is not None and not callable(each):
            raise RegistrationError(where, f"expected a function, got {each!r}")


def check_dialect(where: str, dialect: object) -> None:
    """Refuse what is given as `dialect=` and is none.

    Raises:
        RegistrationError: a class instead of an object, or no dialect at all.
    """
    if isinstance(dialect, type):
        name = dialect.__name__
        raise RegistrationError(
            where, f"dialect: expected an object, got the class {name}", f"write dialect={name}()"
        )
    if dialect is not None and not callable(getattr(dialect, "open", None)):
        raise RegistrationError(
            where, f"dialect: expected one such as Raw() or Htmx(), got {dialect!r}"
        )


def check_auth(where: str, auth: object) -> None:
    """Refuse what is given as `auth=` and is none."""
    if auth is not None and not isinstance(auth, Auth):
        raise RegistrationError(where, f"auth: expected one such as Bearer(verify), got {auth!r}")


def check_middleware(where: str, middleware: Sequence[object]) -> None:
    """Refuse what cannot be called as middleware of messages."""
    remedy = "write async def middleware(message, ws, call_next)"
    if not isinstance(middleware, (list, tuple)):
        raise RegistrationError(where, f"middleware: expected a list, got {middleware!r}", remedy)
    for each in middleware:
        if not callable(each) or kind_of(each) != "async" or not can_take(each, 3):
            name = name_of(each)
            raise RegistrationError(where, f"middleware {name} cannot be called as such", remedy)


def is_method(function: Any) -> bool:
    """Whether `function` is written in the body of a class, as a method of its objects."""
    if not isinstance(function, FunctionType):
        return False
    owner = function.__qualname__.rpartition(".")[0]
    names = function.__code__.co_varnames
    return bool(owner) and not owner.endswith("<locals>") and names[:1] == ("self",)


def join(*parts: str) -> str:
    """Join prefixes and a path; a trailing slash of a prefix does not count."""
    *prefixes, path = parts
    return "".join(prefix.rstrip("/") for prefix in prefixes) + path
