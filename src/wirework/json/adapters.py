"""The three adapters. msgspec settles whatever the other two parsers or writers stumble over."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any, TypeVar, overload

from ..errors import SettingsError
from .base import JsonAdapter
from .depth import Shallow
from .encoding import UNENCODABLE, encode, explain, to_builtins
from .plan import FAILURES, plan_of

__all__ = ["MsgspecAdapter", "OrjsonAdapter", "StdlibAdapter", "adapter_of"]

T = TypeVar("T")

_MAX_KEPT_DECODERS = 1024


class _Adapter:
    """What all adapters share: the way of a decoded value into its type."""

    def __init__(self) -> None:
        self._decoders: dict[Any, Callable[[bytes | str], Any]] = {}

    @overload
    def decode(self, data: bytes | str) -> Any: ...

    @overload
    def decode(self, data: bytes | str, type: type[T]) -> T: ...

    @overload
    def decode(self, data: bytes | str, type: Any) -> Any: ...

    def decode(self, data: bytes | str, type: Any = Any) -> Any:
        """Return what `data` says, as a `type`; see `JsonAdapter.decode`."""
        try:
            decode = self._decoders[type]
        except KeyError:
            decode = self.decoder(type)
            if len(self._decoders) < _MAX_KEPT_DECODERS:
                self._decoders[type] = decode
        except TypeError:
            decode = self.decoder(type)
        return decode(data)

    def decoder(self, type: Any) -> Callable[[bytes | str], Any]:
        """Return `decode` for one type, compiled; see `JsonAdapter.decoder`."""
        return plan_of(type).decoder()

    def convert(self, value: object, type: Any, *, strict: bool = True) -> Any:
        """Return decoded builtins as a `type`; see `JsonAdapter.convert`."""
        return self.converter(type, strict=strict)(value)

    def converter(self, type: Any, *, strict: bool = True) -> Callable[[object], Any]:
        """Return `convert` for one type, compiled; see `JsonAdapter.converter`."""
        return plan_of(type).converter(strict=strict)


class MsgspecAdapter(_Adapter):
    """The default: decodes straight into the type, in one pass."""

    name = "msgspec"
    bare_encode = staticmethod(encode)
    """`encode` with msgspec's errors, for who falls back to `encode` on any of them."""

    def bare_decoder(self, type: Any) -> Callable[[bytes | str], Any]:
        """Return `decoder` with msgspec's errors, for who falls back to it on any of them."""
        return plan_of(type).bare_decoder()

    def encode(self, value: object) -> bytes:
        """Return `value` as JSON; see `JsonAdapter.encode`."""
        try:
            return encode(value)
        except UNENCODABLE as error:
            raise explain(value, error) from error


class OrjsonAdapter(_Adapter):
    """Parses and writes with orjson; types are checked by msgspec afterwards.

    Raises:
        SettingsError: orjson is not installed.
    """

    name = "orjson"

    def __init__(self) -> None:
        super().__init__()
        try:
            import orjson
        except ImportError as error:
            raise SettingsError(
                "the JSON adapter 'orjson' needs the package orjson: install orjson"
            ) from error
        self._loads = orjson.loads
        self._dumps = orjson.dumps
        self._option = (
            orjson.OPT_PASSTHROUGH_DATACLASS
            | orjson.OPT_PASSTHROUGH_DATETIME
            | orjson.OPT_PASSTHROUGH_SUBCLASS
        )

    def encode(self, value: object) -> bytes:
        """Return `value` as JSON; see `JsonAdapter.encode`."""
        try:
            return self._dumps(value, to_builtins, self._option)
        except UNENCODABLE:
            return _encode_as_msgspec(value)

    def decoder(self, type: Any) -> Callable[[bytes | str], Any]:
        """Return `decode` for one type, compiled; see `JsonAdapter.decoder`."""
        # orjson turns integers beyond 64 bits into floats without a word.
        is_unsure = _has_long_number if plan_of(type).keeps_integers else None
        return _parsing_decoder(type, self._loads, is_unsure)


class StdlibAdapter(_Adapter):
    """Parses and writes with the standard library; types are checked by msgspec afterwards."""

    name = "stdlib"

    def encode(self, value: object) -> bytes:
        """Return `value` as JSON; see `JsonAdapter.encode`."""
        try:
            return _WRITER.encode(to_builtins(value)).encode()
        except UNENCODABLE:
            return _encode_as_msgspec(value)

    def decoder(self, type: Any) -> Callable[[bytes | str], Any]:
        """Return `decode` for one type, compiled; see `JsonAdapter.decoder`."""
        return _parsing_decoder(type, _parse, None)


def adapter_of(name_or_adapter: str | JsonAdapter, depth: int | None = None) -> JsonAdapter:
    """Return the adapter of that name; an adapter is returned as it is.

    Args:
        name_or_adapter: one or the other.
        depth: arrays and objects inside each other that it takes; None: as many as its parser does.

    Raises:
        SettingsError: no such adapter, or its package is not installed.
    """
    adapter = _named(name_or_adapter) if isinstance(name_or_adapter, str) else name_or_adapter
    return adapter if depth is None else Shallow(adapter, depth)


def _named(name: str) -> JsonAdapter:
    try:
        adapter = _ADAPTERS[name]
    except KeyError:
        choices = ", ".join(map(repr, _ADAPTERS))
        raise SettingsError(f"JSON adapter: expected one of {choices}, got {name!r}") from None
    return adapter()


def _parsing_decoder(
    type: Any, parse: Callable[[bytes | str], Any], is_unsure: Callable[[bytes | str], bool] | None
) -> Callable[[bytes | str], Any]:
    plan = plan_of(type)
    settle = plan.decoder()
    if plan.needs_text:
        return settle
    convert = plan.bare_converter(strict=True)

    def decode_typed(data: bytes | str) -> Any:
        try:
            if is_unsure is None or not is_unsure(data):
                return convert(parse(data))
        except FAILURES:
            pass
        return settle(data)

    return decode_typed


def _encode_as_msgspec(value: object) -> bytes:
    try:
        return encode(value)
    except UNENCODABLE as error:
        raise explain(value, error) from error


_LONG_NUMBER = re.compile(r"[0-9]{19}")
_LONG_NUMBER_BYTES = re.compile(rb"[0-9]{19}")


def _has_long_number(data: bytes | str) -> bool:
    if isinstance(data, str):
        return _LONG_NUMBER.search(data) is not None
    return _LONG_NUMBER_BYTES.search(data) is not None


_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")


def _parse(data: bytes | str) -> Any:
    text = data if isinstance(data, str) else bytes(data).decode()
    if _SURROGATE.search(text):
        raise ValueError("surrogates: msgspec decides")
    return _READER.decode(text)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("number out of range")
    return number


_READER = json.JSONDecoder(parse_float=_finite, parse_constant=_finite)
_WRITER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))

_ADAPTERS: dict[str, Callable[[], JsonAdapter]] = {
    adapter.name: adapter for adapter in (MsgspecAdapter, OrjsonAdapter, StdlibAdapter)
}
