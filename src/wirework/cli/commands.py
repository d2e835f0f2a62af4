"""The commands and their options."""

from __future__ import annotations

import sys
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import WireworkError
from ..json import MsgspecAdapter
from ..publisher import Publisher
from .check import check as check_app
from .check import to_json, to_text
from .loading import load
from .mistakes import RunError
from .run import Options, serve

__all__ = ["cli"]

cli = typer.Typer(
    name="wirework",
    help="Serve applications with Wirework.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


class Server(StrEnum):
    """Who accepts connections."""

    uvicorn = "uvicorn"
    granian = "granian"


class Transport(StrEnum):
    """What carries WebSockets."""

    native = "native"
    asgi = "asgi"
    rsgi = "rsgi"


class LogLevel(StrEnum):
    """How much is logged."""

    critical = "critical"
    error = "error"
    warning = "warning"
    info = "info"
    debug = "debug"


class Format(StrEnum):
    """How a report is written."""

    text = "text"
    json = "json"


def _say_version(asked: bool) -> None:
    if asked:
        typer.echo(f"wirework {metadata.version('wirework')}")
        raise typer.Exit


@cli.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Say which.")
    ] = False,
) -> None:
    """Serve applications with Wirework."""


@cli.command()
def run(
    app: Annotated[str, typer.Argument(help="Where the application is: module:name.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free port.")] = 8000,
    uds: Annotated[Path | None, typer.Option(help="A Unix socket to listen at, no port.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    reload: Annotated[bool, typer.Option(help="Restart when a file changes.")] = False,
    factory: Annotated[
        bool, typer.Option("--factory", help="The name is a function that makes the application.")
    ] = False,
    server: Annotated[Server, typer.Option(help="Who accepts connections.")] = Server.uvicorn,
    transport: Annotated[
        Transport | None,
        typer.Option(
            help="What carries WebSockets; native with uvicorn; with granian rsgi, or asgi for"
            " applications that have no RSGI."
        ),
    ] = None,
    access_log: Annotated[
        bool, typer.Option(help="A line for every HTTP request, handshake and end of a connection.")
    ] = False,
    log_level: Annotated[
        LogLevel | None, typer.Option(help="Log from this level on; the server's default.")
    ] = None,
    ssl_certfile: Annotated[Path | None, typer.Option(help="TLS certificate (PEM).")] = None,
    ssl_keyfile: Annotated[Path | None, typer.Option(help="TLS key (PEM).")] = None,
    root_path: Annotated[str, typer.Option(help="The prefix that a proxy strips.")] = "",
    forwarded_allow_ips: Annotated[
        str | None, typer.Option(help="Proxies whose X-Forwarded-* headers are believed.")
    ] = None,
) -> None:
    """Serve any ASGI application; a Wirework application at full speed."""
    given: dict[str, Any] = dict(locals())
    given["server"] = server.value
    given["transport"] = None if transport is None else transport.value
    given["log_level"] = None if log_level is None else log_level.value
    try:
        serve(Options(**given), typer.echo)
    except RunError as error:
        typer.echo(f"wirework run: {error}", err=True)
        raise typer.Exit(1) from None


@cli.command()
def check(
    app: Annotated[str, typer.Argument(help="Where the application is: module:name.")],
    strict: Annotated[bool, typer.Option(help="Warnings count as errors.")] = False,
    ignore: Annotated[
        list[str] | None, typer.Option(help="A finding to leave out: code, or code:/path.")
    ] = None,
    format: Annotated[Format, typer.Option(help="text or json.")] = Format.text,
) -> None:
    """Print what an application leaves open; exit status 1 if there are errors."""
    try:
        report = check_app(app, load(app).app, ignored=ignore or ())
    except (RunError, WireworkError) as error:
        typer.echo(f"wirework check: {error}", err=True)
        raise typer.Exit(2) from None
    lines = [to_json(report)] if format is Format.json else to_text(report)
    for line in lines:
        typer.echo(line)
    raise typer.Exit(int(report.has_failed(strict=strict)))


@cli.command()
def publish(
    channel: Annotated[str, typer.Argument(help="The channel's name, such as chat:42.")],
    data: Annotated[str, typer.Argument(help="JSON; - reads it from standard input.")],
    broker: Annotated[
        str, typer.Option(help="redis://... or nats://...", envvar="WIREWORK_BROKER")
    ],
    prefix: Annotated[
        str, typer.Option(help="The setting broker_prefix.", envvar="WIREWORK_BROKER_PREFIX")
    ] = "wirework",
    key: Annotated[str, typer.Option(help="In mode latest, which value it is.")] = "",
    idempotency_key: Annotated[
        str, typer.Option(help="The same within 5 minutes is published once.")
    ] = "",
) -> None:
    """Publish JSON in a channel of applications that use the same broker."""
    text = sys.stdin.read() if data == "-" else data
    try:
        publisher = Publisher(broker, prefix=prefix)
        try:
            position = publisher.publish_now(
                channel, MsgspecAdapter().decode(text), key=key, idempotency_key=idempotency_key
            )
        finally:
            publisher.close_now()
    except WireworkError as error:
        typer.echo(f"wirework publish: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo("published" if position is None else f"{position.epoch} {position.offset}")
