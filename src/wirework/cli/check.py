"""`wirework check`: what an application leaves open, with the place of each route."""

from __future__ import annotations

import functools
import inspect
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import msgspec

from ..app import App
from ..binding.plan import Plan
from ..binding.signatures import name_of
from ..channels.channel import Channel
from ..handlers import ConnectionHandler, Endpoint
from ..reception import Target
from ..security.auth import Anyone
from ..session import MessageEndpoint
from .findings import (
    Finding,
    Level,
    auth_findings,
    metrics_findings,
    origin_findings,
    route_findings,
    settings_findings,
)
from .mistakes import RunError

__all__ = ["ChannelReport", "Report", "RouteReport", "check", "to_json", "to_text"]


class RouteReport(msgspec.Struct, frozen=True, kw_only=True):
    """A WebSocket route: who gets in, and what is open there."""

    path: str
    function: str
    """Module and name; "" where there is none yet."""
    file: str | None
    """Below the working directory relative to it; None where there is no source."""
    line: int | None
    origins: list[str]
    """Those that may connect beside the same origin."""
    requires_origin: bool
    auth: str
    """What says who the peer is, in words."""
    findings: list[Finding]


class ChannelReport(msgspec.Struct, frozen=True, kw_only=True):
    """A channel, or a family of them: what clients may do there."""

    name: str
    subscribe: str
    """Who lets clients in, in words."""
    publish: str
    """Who judges what clients publish, in words."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was found out about an application."""

    target: str
    routes: list[RouteReport]
    channels: list[ChannelReport]
    http: list[str]
    """HTTP routes, a line each: pages, HTTP streams of sockets, mounted applications. Nothing is
    found out about them."""
    findings: list[Finding]
    """Those of the settings."""

    @property
    def counts(self) -> dict[Level, int]:
        """How many findings there are of each level."""
        found = [*self.findings, *(each for route in self.routes for each in route.findings)]
        counts = Counter(finding.level for finding in found)
        return {"error": counts["error"], "warning": counts["warning"], "note": counts["note"]}

    def has_failed(self, *, strict: bool = False) -> bool:
        """Whether there are errors, or warnings too where they count."""
        counts = self.counts
        return counts["error"] > 0 or (strict and counts["warning"] > 0)


def check(target: str, app: Any, *, ignored: Collection[str] = ()) -> Report:
    """Find out what `app` leaves open.

    Args:
        target: what it was called on the command line.
        app: a Wirework application; nothing of it is run.
        ignored: findings to leave out: their codes, or `code:/path` for one route.

    Raises:
        RunError: it is no Wirework application.
        RegistrationError: a method is a route, and its class is none.
    """
    if not isinstance(app, App):
        raise RunError(
            f"{target}: expected a wirework.App, got {type(app).__name__};"
            " name the App that it mounts"
        )
    app.check_methods()
    found = [*settings_findings(app.settings), *metrics_findings(app.metrics)]
    settings = [each for each in found if each.code not in ignored]
    routes = [_route(app, path, target, ignored) for path, target in app.websocket_routes()]
    channels = [_channel(each) for each in app.channels]
    http = [line for line in app.describe_routes() if not line.startswith("websocket ")]
    return Report(target=target, routes=routes, channels=channels, http=http, findings=settings)


def to_json(report: Report) -> str:
    """Return the report as JSON, with `counts`."""
    data = {**msgspec.structs.asdict(report), "counts": report.counts}
    return msgspec.json.format(msgspec.json.encode(data), indent=2).decode()


def to_text(report: Report) -> list[str]:
    """Return the report for people, line by line."""
    lines = [report.target, *_text_of_findings(report.findings, "  ")]
    for route in report.routes:
        place = f"  {route.file}:{route.line}" if route.file else ""
        require = ", Origin required" if route.requires_origin else ""
        lines.append(f"websocket {route.path}  {route.function}{place}")
        lines.append(f"  origins: {', '.join(['same', *route.origins])}{require}")
        lines.append(f"  auth: {route.auth}")
        lines += _text_of_findings(route.findings, "  ")
    for channel in report.channels:
        lines.append(f"channel {channel.name}")
        lines += [f"  subscribe: {channel.subscribe}", f"  publish: {channel.publish}"]
    lines += report.http
    lines.append(", ".join(_counted(level, count) for level, count in report.counts.items()))
    return lines


def _text_of_findings(findings: list[Finding], indent: str) -> Iterator[str]:
    for level in ("error", "warning", "note"):
        for each in findings:
            if each.level == level:
                yield f"{indent}{level}: {each.message} [{each.code}]"


def _counted(level: str, count: int) -> str:
    return f"{count} {level}" + ("" if count == 1 else "s")


def _route(app: App, path: str, target: Target, ignored: Collection[str]) -> RouteReport:
    plan, origin = _plan_of(target.endpoint), target.origin
    file, line = _place_of(plan.function) if plan is not None else (None, None)
    found = [
        *origin_findings(origin, app.settings),
        *route_findings(app.settings, target.settings),
        *_auth_findings(app, target),
    ]
    return RouteReport(
        path=path,
        function=f"{plan.function.__module__}.{name_of(plan.function)}" if plan else "",
        file=file,
        line=line,
        origins=list(origin.allowed),
        requires_origin=origin.requires_origin,
        auth=_auth_of(target),
        findings=[each for each in found if not {each.code, f"{each.code}:{path}"} & {*ignored}],
    )


def _channel(channel: Channel[Any]) -> ChannelReport:
    subscribe = _judge(channel.may_subscribe)
    if channel.token is not None:
        with_token = "clients with a token"
        is_alone = channel.may_subscribe is None
        subscribe = with_token if is_alone else f"{with_token}, {subscribe}"
    publish = _judge(channel.may_publish)
    return ChannelReport(name=channel.template.text, subscribe=subscribe, publish=publish)


def _judge(plan: Plan | None) -> str:
    if plan is None:
        return "no client"
    file, line = _place_of(plan.function)
    place = f"  {file}:{line}" if file else ""
    return f"as {plan.function.__module__}.{name_of(plan.function)} says{place}"


def _plan_of(endpoint: Endpoint) -> Plan | None:
    """Return the plan of the route's function, of its first one where it has several."""
    if isinstance(endpoint, ConnectionHandler):
        return endpoint.plan
    assert isinstance(endpoint, MessageEndpoint)
    if endpoint.function is not None:
        return endpoint.function.plan
    return next((each.plan for each in endpoint.functions.values()), None)


def _auth_of(target: Target) -> str:
    """Return what says who the peer is, in words."""
    endpoint = target.endpoint
    if target.gate is not None:
        auth = target.gate.auth
        found = " or ".join(repr(source) for source in auth.sources)
        return f"{found}, or nobody" if auth.optional else found
    if isinstance(target.route.auth, Anyone):
        return "none, as Anyone() says"
    if isinstance(endpoint, ConnectionHandler):
        return "none but the handler"
    assert isinstance(endpoint, MessageEndpoint)
    hook = endpoint.hooks.connect
    return "none" if hook is None else f"none but the hook {name_of(hook.function)}"


def _auth_findings(app: App, target: Target) -> Iterator[Finding]:
    if target.gate is not None:
        tickets = None if app.settings.secret_key is None else app.tickets
        yield from auth_findings(target.gate.auth, tickets)
        return
    auth = _auth_of(target)
    if auth == "none":
        said = "nobody asks who connects; give the route an auth=, or a hook that refuses"
        yield Finding("warning", "no-auth", said)
    elif auth.startswith("none but"):
        said = f"whether strangers get in is up to {auth.removeprefix('none but ')}"
        yield Finding("note", "own-auth", said)


def _place_of(function: Callable[..., Any]) -> tuple[str | None, int | None]:
    """Return the file and the line of a function, that of its first decorator if it has any."""
    inner: Any = inspect.unwrap(function)
    while isinstance(inner, functools.partial):
        inner = inspect.unwrap(inner.func)
    inner = getattr(inner, "__func__", inner)
    code = getattr(inner, "__code__", None) or getattr(type(inner).__call__, "__code__", None)
    if code is None:
        return None, None
    path, here = Path(code.co_filename), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path), code.co_firstlineno
