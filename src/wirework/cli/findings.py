"""What is open in settings, origins and routes, and how much it matters. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Literal, TypeAlias

import msgspec

from ..observe import Metrics
from ..security.origin import OriginPolicy
from ..settings import Settings

__all__ = ["Finding", "Level", "metrics_findings", "origin_findings", "settings_findings"]

Level: TypeAlias = Literal["error", "warning", "note"]
_Findings: TypeAlias = Iterator["Finding"]

_LOCAL = ("localhost", "127.0.0.1", "[::1]")
_LARGE = 16 * 1024 * 1024
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
    if not settings.session_https_only:
        said = "the session cookie travels without TLS too; set session_https_only=True"
        yield Finding("warning", "cookie-not-secure", said)
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
        said = "peers that vanished are never noticed (heartbeat_interval)"
        yield Finding("warning", "no-heartbeat", said)
    if settings.max_message_size > _LARGE:
        said = f"a message may have {settings.max_message_size:,} bytes (max_message_size)"
        yield Finding("warning", "large-messages", said)
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
    elif entry.lower().startswith("http://") and not _is_local(entry):
        said = f"pages without TLS may connect: anybody on the way can forge them (origin {entry})"
        yield Finding("warning", "http-origin", said)
    elif "://*." in entry:
        yield Finding("note", "origin-subdomains", f"every sub-domain may connect (origin {entry})")


def _is_local(entry: str) -> bool:
    host = entry.partition("://")[2].lower()
    return host.rpartition(":")[0] in _LOCAL or host in _LOCAL
