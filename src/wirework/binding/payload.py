"""How the payload of a message becomes arguments: whole into one, or field by field."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import msgspec

from ..errors import RegistrationError
from ..json import JsonAdapter, readable
from ..types import Body
from .forms import form_converter, is_model

__all__ = ["Mode", "PayloadPlan"]

Mode: TypeAlias = Literal["text", "bytes", "frame", "json"]
"""How the frames of the dialect Raw are read."""

_FRAME_MODES: dict[Any, Mode] = {str: "text", bytes: "bytes", str | bytes: "frame"}


class PayloadPlan:
    """Reads the body of a call for the parameters of one function.

    One parameter of a model type, or marked `Payload()`, takes the whole; otherwise each takes
    the field of its name, all decoded together in one pass.
    """

    def __init__(
        self,
        json: JsonAdapter,
        body: Body,
        parameters: Sequence[inspect.Parameter],
        *,
        where: str,
        whole: bool = False,
        wants_data: bool = False,
        mode: Mode | None = None,
    ) -> None:
        self.json = json
        self.body = body
        self.parameters = parameters
        self.where = where
        self.wants_data = wants_data
        self.mode: Mode = mode or self._frame_mode()
        self.is_frame = body == "frame" and self.mode != "json"
        """Whether the frame itself is the payload: nothing is decoded."""
        self._check_frame_mode()
        self.is_whole = whole or self.is_frame or self._is_one_model()
        self.type: Any = None
        """What the payload is decoded into: its one parameter's, or a Struct of them all."""
        self._decode = self._decoder(body) if parameters else None
        self._decode_any = _same if body in ("form", "value") else json.decoder(Any)
        self._convert = self._converter(body) if parameters and wants_data else None

    @property
    def is_used(self) -> bool:
        """Whether a parameter is filled from the payload."""
        return bool(self.parameters) or self.wants_data

    @property
    def decode(self) -> Callable[[Any], Any]:
        """The function from a body to a `type`, where there are parameters.

        It raises what `read` raises.
        """
        assert self._decode is not None
        return self._decode

    def read(self, body: Any) -> tuple[Any, Any]:
        """Return the decoded payload and, for a parameter called `data`, the plain one.

        Raises:
            MalformedMessage: it is not JSON.
            ValidationError: it does not fit the parameters; lists every problem.
        """
        if self.is_frame:
            return body, body
        if not self.wants_data:
            return (self._decode(body) if self._decode is not None else None), None
        data = self._decode_any(body)
        return (self._convert(data) if self._convert is not None else None), data

    def _frame_mode(self) -> Mode:
        if not self.parameters:
            return "json" if self.wants_data else "frame"
        if len(self.parameters) == 1 and not self.wants_data:
            return _FRAME_MODES.get(self.parameters[0].annotation, "json")
        return "json"

    def _check_frame_mode(self) -> None:
        if not self.is_frame or not self.parameters:
            return
        kinds = {"text": (str,), "bytes": (bytes,), "frame": (str | bytes, str, bytes)}[self.mode]
        first = self.parameters[0]
        if len(self.parameters) > 1 or first.annotation not in kinds:
            raise RegistrationError(
                self.where,
                f"the dialect gives the frame itself (mode {self.mode!r}), "
                f"which parameter {first.name!r} cannot take",
                "take one parameter, annotated str or bytes, or use Raw('json')",
            )

    def _is_one_model(self) -> bool:
        return len(self.parameters) == 1 and is_model(self.parameters[0].annotation)

    def _decoder(self, body: Body) -> Callable[[Any], Any]:
        if self.is_frame:
            return _same
        if body in ("form", "value"):
            return self._converter(body)
        return self._guard(type(self.json).decoder)

    def _converter(self, body: Body) -> Callable[[Any], Any]:
        if self.is_frame:
            return _same
        return self._guard(form_converter if body == "form" else type(self.json).converter)

    def _guard(self, make: Callable[[Any, Any], Callable[[Any], Any]]) -> Callable[[Any], Any]:
        for parameter in self.parameters:
            self._make(make, parameter.annotation, parameter)
        self.type = self.parameters[0].annotation if self.is_whole else self._struct()
        return self._make(make, self.type, self.parameters[0])

    def _make(
        self,
        make: Callable[[Any, Any], Callable[[Any], Any]],
        annotation: Any,
        parameter: inspect.Parameter,
    ) -> Callable[[Any], Any]:
        try:
            return make(self.json, annotation)
        except (TypeError, NameError) as error:
            raise RegistrationError(
                self.where,
                f"parameter {parameter.name!r} cannot be read from a message: {error}",
                "give it a type that JSON can fill, or say where it comes from "
                "(Annotated[..., Depends(...)], Query(), Header(), Cookie())",
            ) from None

    def _struct(self) -> type[msgspec.Struct]:
        fields: list[Any] = []
        for parameter in self.parameters:
            field = (parameter.name, readable(parameter.annotation))
            default = parameter.default
            fields.append(
                field if default is inspect.Parameter.empty else (*field, _field(default))
            )
        return msgspec.defstruct("Payload", fields, kw_only=True)


def _field(default: Any) -> Any:
    if default.__class__.__hash__ is None:
        return msgspec.field(default_factory=lambda: copy.deepcopy(default))
    return msgspec.field(default=default)


def _same(body: Any) -> Any:
    return body
