"""What every JSON adapter does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar, overload

__all__ = ["JsonAdapter"]

T = TypeVar("T")


class JsonAdapter(Protocol):
    """JSON in and out, typed. All adapters accept, refuse and say the same.

    Types that can be decoded: builtins, msgspec Structs, dataclasses, TypedDicts, NamedTuples,
    attrs classes, unions (of tagged Structs too), Literals, enums, UUID, dates and times,
    timedelta (ISO 8601), Decimal, sets, paths, and where pydantic is installed its models,
    dataclasses and annotated types.
    """

    name: str
    """Short name for settings: "msgspec", "orjson", "stdlib"."""

    def encode(self, value: object) -> bytes:
        """Return `value` as compact UTF-8 JSON.

        NaN and the infinities become null (RFC 8259, section 6, has no words for them), sets and
        tuples arrays, bytes base64. Keys of dicts are text, numbers, UUIDs, dates or enums. The
        adapters may differ in how they write the exponent of a float.

        Raises:
            TypeError: it cannot be encoded; the text says which type sits where.
        """

    @overload
    def decode(self, data: bytes | str) -> Any: ...

    @overload
    def decode(self, data: bytes | str, type: type[T]) -> T: ...

    @overload
    def decode(self, data: bytes | str, type: Any) -> Any: ...

    def decode(self, data: bytes | str, type: Any = Any) -> Any:
        """Return what `data` says, as a `type`.

        Raises:
            MalformedMessage: not JSON as RFC 8259 has it, not UTF-8, nested too deeply, or with a
                number that is out of range.
            ValidationError: it does not fit `type`; every problem is listed.
            TypeError: nothing can be decoded into `type`.
        """

    def decoder(self, type: Any) -> Callable[[bytes | str], Any]:
        """Return `decode` for one type, compiled: for hot paths.

        Raises:
            TypeError: at once, when nothing can be decoded into `type`.
        """

    def convert(self, value: object, type: Any, *, strict: bool = True) -> Any:
        """Return decoded builtins as a `type`; with `strict=False` form fields are coerced.

        Coercion: "5" for numbers, "true", "on", "yes", "1" and their opposites for bool, one
        value for a list, dates and times as HTML inputs write them; an empty field counts as not
        filled in where its type has no text: None for optional types, else the default.

        Raises:
            ValidationError: it does not fit `type`; every problem is listed.
            TypeError: nothing can be decoded into `type`.
        """

    def converter(self, type: Any, *, strict: bool = True) -> Callable[[object], Any]:
        """Return `convert` for one type, compiled: for hot paths.

        Raises:
            TypeError: at once, when nothing can be decoded into `type`.
        """
