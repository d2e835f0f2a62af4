"""The short way of the messages of one connection: what is usual is done in one loop.

Calls cost much here, so it does by itself what methods of the connection do otherwise.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod

from ..binding.plan import Context
from ..commands import Call, Id
from ..handlers import stray
from ..shortcut import Shortcut
from ..types import Frame
from .calls import Calls

__all__ = ["ShortCalls"]


class ShortCalls(Calls):
    """Runs the calls of one connection, those that can be the short way."""

    __slots__ = ()

    async def work_shortly(self, shortcut: Shortcut) -> None:
        """Handle the inbox the short way; what that cannot do takes the long one."""
        connection = self.ws.connection
        inbox, outbox = connection.inbox, connection.outbox
        half_bytes, half_frames = connection.bounds.half_bytes, connection.bounds.half_frames
        read, lane, lanes, encode, special, is_nested = shortcut
        has_lanes = lane is None
        is_saving = self.ws.handshake.stored is not None
        if lane is not None:
            name, function, fill, answer, event = lane
        context: Context | None = None
        id: Id | None = None
        usual: type | None = None
        while inbox:
            frame = inbox.popleft()
            connection.inbox_size -= len(frame)
            if connection.is_paused:
                connection.read_on()
            if type(frame) is not str:
                await self.take(frame)
                continue
            try:
                payload = read(frame)
                if has_lanes:
                    call = payload.call if is_nested else payload
                    name, function, fill, answer, event = lanes[type(call)]
                    id, payload = payload.id, call.body
                is_usual = fill is None or not is_saving  # else it may write to the session
            except Exception:
                is_usual = False
            if not is_usual:
                await self.take(frame)
                continue
            try:
                if fill is None:
                    value = await function(payload)
                else:
                    context = context or Context(self.ws, self.ws.handshake, self.lasting)
                    context.payload = payload
                    value = await function(*fill(context))
                if connection.close_code is not None:
                    continue
                data = None
                kind = type(value)
                if value is not None and (kind is usual or kind not in special):
                    try:
                        if event is None or answer is None:
                            data = encode(value)
                        elif id is None:
                            data = encode(event(value))
                        else:
                            data = encode(answer(id, event(value) if is_nested else value))
                        usual = kind
                    except Exception:
                        data = None
                if data is None:
                    if value is not None or id is not None:
                        await self.answer(value, Call(None, name, id))
                    continue
                if outbox.is_congested:
                    await connection.make_room()
                    connection.push(data)
                    continue
                frames, size = outbox.frames, outbox.size + len(data)
                if frames is None or size > half_bytes or len(frames) >= half_frames:
                    connection.push(data)
                else:
                    frames.append(data)
                    outbox.size = size
            except asyncio.CancelledError as error:
                await self.fail(stray(error), Call(None, name, id))
            except Exception as error:
                await self.fail(error, Call(None, name, id))
            finally:
                if self._unwanted is not None:
                    self._forget(id)

    @abstractmethod
    async def take(self, frame: Frame) -> None:
        """Do what a frame says, the long way."""
