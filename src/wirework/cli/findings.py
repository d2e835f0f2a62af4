"""What is open in settings, origins and routes, and how much it matters. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Final, Literal, TypeAlias

import msgspec

from ..observe import Metrics
from ..security.auth import Auth
from ..security.origin import OriginPolicy
from ..security.sources import QueryToken, Ticket
from ..security.tickets import Tickets, UsedTickets
from ..settings import Settings

__all__ = [
    "Finding",
    "Level",
    "auth_findings",
    "metrics_findings",
    "origin_findings",
    "route_findings",
    "settings_findings",
]

Level: TypeAlias = Literal["error", "warning", "note"]
_Findings: TypeAlias = Iterator["Finding"]

_LOCAL = ("localhost", "127.0.0.1", "[::1]")
_MEBIBYTE = 1024 * 1024
_LARGE: Final = {
    "max_message_size": (16 * _MEBIBYTE, "large-messages", "a message may have {:,} bytes"),
    "inbox_bytes": (16 * _MEBIBYTE, "large-inbox", "{:,} bytes of one peer may wait for handlers"),
    "outbox_bytes": (16 * _MEBIBYTE, "large-outbox", "{:,} bytes may wait for one slow peer"),
    "max_body_size": (64 * _MEBIBYTE, "large-bodies", "a request's body may have {:,} bytes"),
    "max_header_bytes": (_MEBIBYTE, "large-heads", "a request's head may have {:,} bytes"),
}
"""By setting: from where on it is large, and what is said then."""
_PUBLIC: Final = (
    *("github.io", "gitlab.io", "pages.dev", "workers.dev", "web.app", "firebaseapp.com"),
    *("herokuapp.com", "netlify.app", "vercel.app", "onrender.com", "fly.dev", "azurewebsites.net"),
    *("cloudfront.net", "amazonaws.com", "appspot.com", "run.app", "blogspot.com", "ngrok.io"),
    *("co.uk", "org.uk", "com.au", "co.jp", "co.nz", "com.br", "co.in", "co.za"),
)
"""Domains below which anybody can have one, beside those of a single label."""
_NO_HEARTBEAT = "peers that vanished are never noticed (heartbeat_interval)"
_PLACEHOLDERS = ("change me", "change-me", "change_me", "changeme", "your secret", "your-secret")


class Finding(msgspec.Struct, frozen=True):
    """One thing that is open."""

    level: Level
    """An error lets strangers in or tells them too much, a warning needs a reason, a note is good
    to know."""
    code: str
    """A word for it that stays the same, for `--ignore`."""
    message: str
    """What is so, and what to do about it."""


def settings_findings(settings: Settings) -> list[Finding]:
    """Return what is open in the settings of an application."""
    parts = (_debug, _secret, _cookie, _limits, _proxies)
    return [finding for part in parts for finding in part(settings)]


def metrics_findings(metrics: Metrics | None) -> list[Finding]:
    """Return what is open in the metrics of an application."""
    if metrics is None or not metrics.is_public:
        return []
    told = f"who reaches {metrics.path} learns which routes there are, and how busy they are"
    remedy = "keep strangers away, or give Metrics a token"
    return [Finding("warning", "public-metrics", f"{told}; {remedy}")]


def origin_findings(policy: OriginPolicy, settings: Settings) -> list[Finding]:
    """Return what is open in the origins of a route."""
    return [finding for entry in policy.allowed for finding in _origin(entry, settings)]


def route_findings(settings: Settings, own: Settings) -> list[Finding]:
    """Return what a route's `own` limits leave open, beside the application's `settings`."""
    found = list(_large(own, besides=settings))
    if own.heartbeat_interval is None and settings.heartbeat_interval is not None:
        found.append(Finding("warning", "no-heartbeat", _NO_HEARTBEAT))
    return found


def auth_findings(auth: Auth, tickets: Tickets | None) -> list[Finding]:
    """Return what is open in what says who the peer is; `tickets` are the application's."""
    found = list(_sources(auth, tickets))
    if auth.optional:
        said = "strangers get in as nobody (optional=True): the handlers must ask who it is"
        found.append(Finding("note", "optional-auth", said))
    return found


def _sources(auth: Auth, tickets: Tickets | None) -> _Findings:
    for source in auth.sources:
        if isinstance(source, Ticket):
            own = source.tickets or tickets
            if own is not None and isinstance(own.store, UsedTickets):
                said = "each worker process takes a ticket once; several need tickets=RedisTickets"
                yield Finding("note", "tickets-of-one-process", said)
        elif isinstance(source, QueryToken):
            said = f"a token is in the address ({source.name}), which logs of others keep"
            yield Finding("note", "query-token", f"{said}; a Ticket is good once")


def _large(settings: Settings, *, besides: Settings | None = None) -> _Findings:
    """Return what is large, and not the same in other settings."""
    for name, (size, code, words) in _LARGE.items():
        value = getattr(settings, name)
        if value > size and (besides is None or value != getattr(besides, name)):
            yield Finding("warning", code, f"{words.format(value)} ({name})")


def _debug(settings: Settings) -> _Findings:
    if settings.debug:
        yield Finding("error", "debug", "debug is on: peers are told the text of unforeseen errors")


def _secret(settings: Settings) -> _Findings:
    key = settings.secret_key
    if key is None:
        yield Finding("note", "no-secret", "there is no secret_key, so there are no sessions")
        return
    remedy = "make one with secrets.token_urlsafe(32)"
    if len(key) < 32:
        level: Level = "error" if len(key) < 16 else "warning"
        said = f"secret_key has {len(key)} characters; {remedy}"
        yield Finding(level, "short-secret", said)
    elif len(set(key)) < 10 or any(each in key.lower() for each in _PLACEHOLDERS):
        yield Finding("error", "guessable-secret", f"secret_key can be guessed; {remedy}")


def _cookie(settings: Settings) -> _Findings:
    if settings.secret_key is None:
        return
    if settings.session_https_only is False:
        said = "the session cookie travels without TLS too (session_https_only)"
        yield Finding("warning", "cookie-not-secure", said)
    elif settings.session_https_only == "auto" and not settings.trusted_proxies:
        said = "the session cookie is Secure where TLS ends here; behind a proxy that ends it, set"
        remedy = "trusted_proxies, or session_https_only=True"
        yield Finding("note", "cookie-auto-secure", f"{said} {remedy}")
    if settings.session_same_site == "none":
        said = "the session cookie is sent with requests of foreign pages (session_same_site)"
        yield Finding("warning", "cookie-same-site", said)
    if settings.session_max_age is None:
        said = "a copied session cookie is good for ever (session_max_age)"
        yield Finding("warning", "cookie-no-end", said)


def _limits(settings: Settings) -> _Findings:
    if settings.max_connections is None:
        said = "there may be any number of connections (max_connections)"
        yield Finding("warning", "no-max-connections", said)
    if settings.max_unauthenticated is None:
        said = "strangers may take every place (max_unauthenticated)"
        yield Finding("warning", "no-max-unauthenticated", said)
    if settings.heartbeat_interval is None:
        yield Finding("warning", "no-heartbeat", _NO_HEARTBEAT)
    yield from _large(settings)
    yield from _optional_limits(settings)


def _optional_limits(settings: Settings) -> _Findings:
    if settings.max_connections_per_address is None:
        said = "one address may take every place (max_connections_per_address)"
        yield Finding("note", "no-max-connections-per-address", said)
    if settings.max_connections_per_user is None:
        said = "one user may take every place (max_connections_per_user)"
        yield Finding("note", "no-max-connections-per-user", said)
    if settings.handshake_rate is None and settings.handshake_rate_per_address is None:
        said = "handshakes may come at any rate (handshake_rate, handshake_rate_per_address)"
        yield Finding("note", "no-handshake-rate", said)
    if settings.message_rate is None and settings.byte_rate is None:
        said = "a peer may send at any rate that it is read at (message_rate, byte_rate)"
        yield Finding("note", "no-message-rate", said)
    if settings.handler_timeout is None:
        said = "handling a message may take any time (handler_timeout)"
        yield Finding("note", "no-handler-timeout", said)


def _proxies(settings: Settings) -> _Findings:
    for entry in settings.trusted_proxies:
        if entry != "unix" and _is_wide(entry):
            said = f"trusted_proxies has the network {entry}: everybody there is believed"
            yield Finding("warning", "wide-proxies", said)
    if settings.trusted_proxies and {"forwarded", "x-forwarded-for"} <= {*settings.proxy_headers}:
        said = "proxy_headers has Forwarded and X-Forwarded-For; name what your proxies write"
        yield Finding("note", "proxy-headers", said)


def _is_wide(entry: str) -> bool:
    network = ip_network(entry)
    return network.prefixlen < (8 if network.version == 4 else 16)


def _origin(entry: str, settings: Settings) -> _Findings:
    has_cookie = settings.secret_key is not None
    level: Level = "error" if has_cookie else "warning"
    tail = " and use its visitors' session" if has_cookie else ""
    if entry == "*":
        yield Finding(level, "any-origin", f"every page of the web may connect{tail} (origin *)")
    elif entry == "null":
        said = f"every page may connect{tail} from a sandboxed frame (origin null)"
        yield Finding(level, "null-origin", said)
    elif "://*." in entry and _is_public(entry):
        said = f"anybody can have a sub-domain there, and pages that connect{tail} (origin {entry})"
        yield Finding("warning", "public-suffix-origin", said)
    elif entry.lower().startswith("http://") and not _is_local(entry):
        said = f"pages without TLS may connect: anybody on the way can forge them (origin {entry})"
        yield Finding("warning", "http-origin", said)
    elif "://*." in entry:
        yield Finding("note", "origin-subdomains", f"every sub-domain may connect (origin {entry})")


def _is_public(entry: str) -> bool:
    domain = entry.partition("://*.")[2].partition(":")[0].lower()
    return domain in _PUBLIC or ("." not in domain and domain != "localhost")


def _is_local(entry: str) -> bool:
    host = entry.partition("://")[2].lower()
    return host.rpartition(":")[0] in _LOCAL or host in _LOCAL
