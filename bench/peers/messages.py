"""What `/json` takes and gives."""

import msgspec


class Move(msgspec.Struct):
    x: int
    y: int
    text: str


class Moved(msgspec.Struct):
    sum: int
    text: str


def answer(move: Move) -> Moved:
    return Moved(move.x + move.y, move.text)


decode = msgspec.json.Decoder(Move).decode
encode = msgspec.json.Encoder().encode
