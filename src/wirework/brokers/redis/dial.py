"""Opening a connection: the address, the credentials, and what kind of server answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from ...errors import BrokerUnavailable
from .link import Link
from .refusal import Refusal
from .resp import pack
from .url import Address, Target

__all__ = ["dial", "master_of"]


async def dial(
    target: Target,
    address: Address,
    timeout: float,
    *,
    on_push: Callable[[list[Any]], None] = lambda push: None,
    scripts: Sequence[str] = (),
    only_to_ask: bool = False,
) -> Link:
    """Return an open connection whose server has let us in and, unless it is `only_to_ask`, writes.

    Raises:
        BrokerUnavailable: it cannot be reached within `timeout`, or refuses us.
    """
    link: Link | None = None
    try:
        async with asyncio.timeout(timeout):
            link = await _connect(target, address, timeout, on_push)
            await _enter(link, target, scripts)
            if not only_to_ask:
                await _examine(link, is_cluster=target.kind == "cluster")
            return link
    except Refusal as refusal:
        _drop(link)
        raise _without(target.password, address, refusal) from None
    except BrokerUnavailable:
        _drop(link)
        raise
    except TimeoutError:
        _drop(link)
        raise BrokerUnavailable(f"Redis at {address}: no answer within {timeout:g} s") from None
    except OSError as error:
        _drop(link)
        said = error.strerror or str(error) or type(error).__name__
        raise BrokerUnavailable(f"Redis at {address}: {said}") from None
    except BaseException:
        _drop(link)
        raise


async def _connect(
    target: Target, address: Address, timeout: float, on_push: Callable[[list[Any]], None]
) -> Link:
    loop = asyncio.get_running_loop()

    def protocol() -> Link:
        return Link(str(address), timeout, on_push)

    if not address.port:
        return (await loop.create_unix_connection(protocol, address.host))[1]
    found = await loop.create_connection(
        protocol,
        address.host,
        address.port,
        ssl=target.tls,
        ssl_handshake_timeout=timeout if target.tls else None,
    )
    return found[1]


async def _enter(link: Link, target: Target, scripts: Sequence[str]) -> None:
    # AUTH before HELLO: an old server repeats the arguments of a command that it does not know.
    commands: list[tuple[str | int, ...]] = []
    if target.password:
        user = (target.user,) if target.user else ()
        commands.append(("AUTH", *user, target.password))
    commands.append(("HELLO", 3))
    if target.database:
        commands.append(("SELECT", target.database))
    commands += [("SCRIPT", "LOAD", script) for script in scripts]
    answers = [link.ask(pack(*command)) for command in commands]
    for result in await asyncio.gather(*answers, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


async def _examine(link: Link, *, is_cluster: bool) -> None:
    text = await link.ask(pack("INFO"))
    lines = bytes(text).decode("utf-8", "replace").splitlines()
    info = dict(line.split(":", 1) for line in lines if ":" in line)
    if info.get("role", "master") != "master":
        raise BrokerUnavailable(f"Redis at {link.where}: expected a master, got a replica")
    if info.get("cluster_enabled") == "1" and not is_cluster:
        raise Refusal(link.where, "MOVED")
    was_promoted = info.get("master_replid2", "").strip("0") != ""
    link.run = info.get("run_id", "")[:16]
    link.is_durable = info.get("aof_enabled") == "1" and not was_promoted


def _without(password: str, address: Address, refusal: Refusal) -> Refusal:
    if password and password in refusal.text:
        return Refusal(str(address), refusal.text.replace(password, "***"))
    return refusal


def _drop(link: Link | None) -> None:
    if link is not None:
        link.drop("given up")


async def master_of(target: Target, timeout: float) -> Address:
    """Return the address of the master that the first Sentinel to answer names.

    Raises:
        BrokerUnavailable: no Sentinel answers, or none knows the service.
    """
    reasons = []
    for sentinel in target.addresses:
        try:
            return await _ask_sentinel(target, sentinel, timeout / len(target.addresses))
        except BrokerUnavailable as error:
            reasons.append(error.reason)
    raise BrokerUnavailable(
        f"no Sentinel knows the master of {target.service!r}: {'; '.join(reasons)}"
    )


async def _ask_sentinel(target: Target, sentinel: Address, timeout: float) -> Address:
    link = await dial(target.of_sentinels, sentinel, timeout, only_to_ask=True)
    try:
        command = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", target.service)
        found = await asyncio.wait_for(link.ask(pack(*command)), timeout)
    except TimeoutError:
        raise BrokerUnavailable(f"Sentinel at {sentinel}: no answer") from None
    finally:
        link.drop("no longer needed")
    if not found:
        raise BrokerUnavailable(f"Sentinel at {sentinel} does not know it")
    return Address(found[0].decode(), int(found[1]))
