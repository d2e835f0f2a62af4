"""The protocol in JSON: text frames, in which each line is a command or a reply."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from ...commands import Command, Output, Pong, Result
from ...errors import MalformedMessage, ValidationError
from ...json import JsonAdapter
from ...publications import Publication
from ...types import Frame
from ..base import SpoiledFrame
from .asking import MAX_COMMANDS, TOO_MANY, Asked, command_of
from .telling import Teller, member_of

__all__ = ["JsonCodec"]

_ESCAPE: Final = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a character in two halves
    r"|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)"
)
"""An escape; that of half a character has a group."""


class JsonCodec(Teller):
    """One connection that speaks JSON; see `Teller` for its arguments."""

    __slots__ = ("_read", "variant")

    def __init__(
        self, version: str, wire_close: Callable[[int, str], tuple[int, str]], json: JsonAdapter
    ) -> None:
        super().__init__(version, wire_close, json)
        self.variant = ("centrifugo", json)
        self._read = json.decoder(Asked)

    def decode(self, frame: Frame) -> Sequence[Command]:
        """Return the commands of the lines; see `Codec.decode`."""
        if not isinstance(frame, str):
            raise SpoiledFrame("expected a text frame, got a binary frame")
        commands: list[Command] = []
        for line in frame.split("\n"):
            if line and not line.isspace():
                if len(commands) == MAX_COMMANDS:
                    raise SpoiledFrame(TOO_MANY, commands)
                try:
                    commands.append(self._command(line))
                except MalformedMessage as error:
                    raise SpoiledFrame(error.message, commands) from None
        return commands

    def _command(self, line: str) -> Command:
        if line == "{}":
            return Pong()
        try:
            asked = self._asked(line)
        except ValidationError as error:
            raise MalformedMessage(f"expected a command: {error}") from None
        command = command_of(asked)
        self.note(asked)
        return command

    def _asked(self, line: str) -> Asked:
        """Return the command; half of a character in its text is read as U+FFFD.

        JavaScript writes one where it cuts text within a character, and Go, whose JSON clients of
        this protocol are made for, reads it so. An error would end the client for good.
        """
        try:
            asked: Asked = self._read(line)
        except MalformedMessage:
            whole = _ESCAPE.sub(_whole, line)
            if whole == line:
                raise
            asked = self._read(whole)
        return asked

    def encode(self, output: Output) -> Frame | None:
        """Return the line that says `output`, or the lines; see `Codec.encode`."""
        if isinstance(output, Publication):
            channel, said = self._text(output.channel), self._publication(output)
            return f'{{"push":{{"channel":{channel},"pub":{said}}}}}'
        if isinstance(output, Result):
            return self._result(output)
        return "\n".join(map(self._text, self.replies(output))) or None

    def publication(self, publication: Publication) -> Any:
        """Return one of several publications; see `Teller.publication`."""
        return msgspec.Raw(self._publication(publication).encode())

    def _result(self, output: Result) -> str:
        value = self._text(output.value)
        if output.id is None:
            return f'{{"push":{{"message":{{"data":{value}}}}}}}'
        if output.index is None:
            return f'{{"id":{output.id},"rpc":{{"data":{value}}}}}'
        part = f'{{"id":{output.id},"seq":{output.index},"data":{value}}}'
        return f'{{"push":{{"message":{{"data":{part}}}}}}}'

    def _publication(self, publication: Publication) -> str:
        """Return a publication with its data as it was published: no adapter reads it."""
        message = publication.message
        parts = [f'"data":{_one_line(message.data.decode())}']
        if message.by is not None:
            parts.append(f'"info":{self._text(member_of(message.by))}')
        if publication.offset:
            parts.append(f'"offset":{publication.offset}')
        if message.key:
            parts.append(f'"tags":{self._text({"key": message.key})}')
        return "{" + ",".join(parts) + "}"

    def _text(self, value: object) -> str:
        return _one_line(self.json.encode(value).decode())


def _one_line(text: str) -> str:
    """Return JSON without ends of lines, which there may be between its tokens: they end ours."""
    return text.replace("\n", " ").replace("\r", " ")


def _whole(escape: re.Match[str]) -> str:
    return r"\ufffd" if escape[1] else escape[0]
