"""Channels: named streams that connections of every worker subscribe to."""

from .channel import Channel, NamedChannel, Received
from .options import Allow, History, Post, Presence

__all__ = ["Allow", "Channel", "History", "NamedChannel", "Post", "Presence", "Received"]
