"""The broker for Redis and Valkey: one server, Sentinel, or a Cluster.

It speaks RESP3 over connections of its own, parsed by hiredis: see `link`.
"""

from .broker import RedisBroker

__all__ = ["RedisBroker"]
