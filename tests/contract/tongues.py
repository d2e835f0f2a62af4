"""How a client says things in each dialect, and reads what it is told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import unescape
from typing import Any, ClassVar

from wirework.types import Frame

__all__ = ["TONGUES", "Tongue"]


class Tongue:
    """One dialect from the client's side; the base class is that of bare JSON values."""

    name: ClassVar[str]
    ends_with_its_call: ClassVar[bool] = False
    """Whether the connection ends with the first call, whatever becomes of it."""

    def path(self, word: str, id: str) -> str:
        """Return where the function called `word` is."""
        return f"/speak/{self.name}?id={id}"

    def call(self, word: str, **fields: Any) -> str:
        """Return the frame that calls the function called `word`."""
        return json.dumps(fields)

    def value(self, frame: Frame) -> Any:
        """Return what an answer or an event says."""
        return json.loads(frame)

    def heard(self, frame: Frame) -> Any:
        """Return the frame as `verdict` has it."""
        return json.loads(frame)

    def complaint(self, frame: Frame) -> str:
        """Return the code or text of an error, which the frame must be."""
        raise NotImplementedError

    def verdict(self, code: int, reason: str) -> Any:
        """Return what is said of a close that the transport cannot carry."""
        raise NotImplementedError


class Typed(Tongue):
    name = "typed"

    def call(self, word: str, **fields: Any) -> str:
        return json.dumps({"type": word, "id": 7, "data": fields})

    def value(self, frame: Frame) -> Any:
        assert isinstance(frame, str)
        return json.loads(frame)["data"]

    def complaint(self, frame: Frame) -> str:
        said = json.loads(frame)
        assert said["type"] == "error"
        return str(said["code"])

    def verdict(self, code: int, reason: str) -> Any:
        return {"type": "disconnect", "code": code, "reason": reason}


class State(Tongue):
    name = "state"

    def call(self, word: str, **fields: Any) -> str:
        return json.dumps({"state": word, "data": fields})

    def value(self, frame: Frame) -> Any:
        assert isinstance(frame, str)
        return json.loads(frame)["data"]

    def complaint(self, frame: Frame) -> str:
        said = json.loads(frame)
        assert said["state"] == "error"
        return str(said["data"]["code"])

    def verdict(self, code: int, reason: str) -> Any:
        return {"state": "error", "error": reason, "data": {"code": code}}


class Status(Tongue):
    name = "status"

    def path(self, word: str, id: str) -> str:
        return f"/speak/{self.name}/{word}?id={id}"

    def value(self, frame: Frame) -> Any:
        assert isinstance(frame, str)
        said = json.loads(frame)
        assert said["statusCode"] == 200
        return said["body"]

    def complaint(self, frame: Frame) -> str:
        said = json.loads(frame)
        (problem,) = said["body"]["errorList"]
        assert said["statusCode"] >= 400
        return "validation" if problem["loc"] != ["__model__"] else str(problem["type"])

    def verdict(self, code: int, reason: str) -> Any:
        problem = {"loc": ["__model__"], "type": str(code), "msg": reason}
        return {"statusCode": 403, "body": {"errorList": [problem]}}


class Htmx(Status):
    name = "htmx"
    _CODES: ClassVar[Mapping[str, str]] = {
        "the message does not fit": "validation",
        "not readable": "malformed",
        "expected a text frame": "wrong_frame",
        "internal error": "internal",
        "no tea left": "sold_out",
    }

    def call(self, word: str, **fields: Any) -> str:
        form = {name: str(value) for name, value in fields.items()}
        return json.dumps({**form, "HEADERS": {"HX-Request": "true"}})

    def heard(self, frame: Frame) -> Any:
        return frame

    def value(self, frame: Frame) -> Any:
        assert isinstance(frame, str)
        return int(unescape(frame))

    def complaint(self, frame: Frame) -> str:
        start, _, text = str(frame).partition(">")
        assert start == '<div id="ws-error" hx-swap-oob="innerHTML"'
        return next(code for words, code in self._CODES.items() if text.startswith(words))

    def verdict(self, code: int, reason: str) -> Any:
        return f'<div id="ws-error" hx-swap-oob="innerHTML">{reason}</div>'


class Named(Tongue):
    name = "named"
    ends_with_its_call = True
    _CODES: ClassVar[Mapping[str, str]] = {**Htmx._CODES, "a: ": "validation"}

    def path(self, word: str, id: str) -> str:
        return f"/speak/{self.name}?name={word}&id={id}"

    def complaint(self, frame: Frame) -> str:
        said = json.loads(frame)
        assert said.keys() == {"error"}
        return next(code for words, code in self._CODES.items() if said["error"].startswith(words))

    def verdict(self, code: int, reason: str) -> Any:
        return {"error": reason}


TONGUES: dict[str, Tongue] = {
    tongue.name: tongue for tongue in (Typed(), State(), Status(), Htmx(), Named())
}
