"""A wire whose peer has agreed on permessage-deflate (RFC 7692)."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from ... import closecodes
from .deflate import Agreement, DeflateError, Deflater, Inflater, deflater_of
from .flushing import Flusher
from .parser import Reader
from .wire import BINARY, CONTINUATION, TEXT, Sink, Wire

__all__ = ["CompressedWire"]


class CompressedWire(Wire):
    """Inflates what comes with the first reserved bit set; `deflater` makes what goes out.

    Args:
        max_message_size: bytes of a message after inflation.
        threshold: messages under so many bytes go out plain.
        flusher: that of the event loop.
    """

    reader: ClassVar[type[Reader]] = Reader

    __slots__ = ("_inflater", "_is_deflated", "deflater", "extension")

    def __init__(
        self,
        transport: asyncio.Transport,
        sink: Sink,
        max_message_size: int,
        agreement: Agreement,
        threshold: int,
        flusher: Flusher,
    ) -> None:
        super().__init__(transport, sink, max_message_size, flusher)
        self.extension: str | None = agreement.extension
        self.deflater: Deflater | None = deflater_of(agreement.server_bits, threshold)
        self._inflater = Inflater(agreement)
        self._is_deflated = False
        """Whether the fragments at hand are those of a compressed message."""

    def on_frame(self, kind: int, frame: Any) -> None:
        """Take one frame; the payload is only valid within this call."""
        is_data = kind in (TEXT, BINARY)
        if frame.rsv1 and is_data and not frame.rsv2 and not frame.rsv3:
            if self.is_plain and frame.fin:
                self._take_deflated(kind, frame)
            elif not self._is_lost:
                self._take(kind, frame)
        elif frame.payload_size > self._max_size and is_data and self.is_plain:
            self._fail_size()
        else:
            super().on_frame(kind, frame)

    def _max_frame(self) -> int:
        """What cannot be compressed becomes a little larger by it."""
        return self._max_size + self._max_size // 64 + 64

    def _take_deflated(self, kind: int, frame: Any) -> None:
        data = self._inflate(frame.get_payload_as_memoryview(), self._max_size, is_last=True)
        if data is None:
            return
        if kind == BINARY:
            self.sink.feed(data)
            return
        try:
            text = data.decode()
        except UnicodeDecodeError:
            self.fail(closecodes.INVALID_DATA, "not UTF-8")
            return
        self.sink.feed(text)

    def _take_fragment(self, kind: int, frame: Any) -> None:
        if kind != CONTINUATION:
            self._is_deflated = frame.rsv1
        super()._take_fragment(kind, frame)

    def _add(self, parts: bytearray, payload: bytes, is_last: bool) -> None:
        if self._is_deflated:
            inflated = self._inflate(payload, self._max_size - len(parts), is_last=is_last)
            if inflated is None:
                return
            payload = inflated
        super()._add(parts, payload, is_last)

    def _inflate(
        self, payload: bytes | memoryview, max_size: int, *, is_last: bool
    ) -> bytes | None:
        try:
            return self._inflater.inflate(payload, max_size, is_last=is_last)
        except DeflateError as error:
            if error.code == closecodes.MESSAGE_TOO_BIG:
                self._fail_size()
            else:
                self.fail(error.code, str(error))
            return None
