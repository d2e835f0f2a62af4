"""What the value of a setting must be, and how to read it from text."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_network
from typing import Any, Final, NamedTuple, get_args

__all__ = [
    "COOKIE_DOMAIN",
    "COOKIE_NAME",
    "COOKIE_PATH",
    "COUNT",
    "FLAG",
    "FLAG_OR_AUTO",
    "INTERVAL",
    "LIMIT",
    "LIMIT_OR_AUTO",
    "MAX_AGE",
    "NAME",
    "ORIGINS",
    "PROXIES",
    "PROXY_HEADERS",
    "RATE",
    "SECONDS",
    "SECONDS_OR_ZERO",
    "SECRET",
    "SIZE",
    "SIZE_OR_NONE",
    "URL",
    "Rule",
    "one_of",
]


class Rule(NamedTuple):
    """The check of one setting; it says in words what it expects.

    `accept` returns the value to keep, or raises ValueError. `parse` reads the text of an
    environment variable; ValueError where it cannot, and the text itself is then not accepted.
    """

    expected: str
    accept: Callable[[Any], Any]
    parse: Callable[[str], Any] = str
    is_secret: bool = False


def one_of(literal: object) -> Rule:
    """Return the rule for the words of a `Literal` type."""
    words = get_args(literal)
    return Rule(" or ".join(repr(word) for word in words), _that(words.__contains__))


def _that(fits: Callable[[Any], bool]) -> Callable[[Any], Any]:
    def accept(value: Any) -> Any:
        if not fits(value):
            raise ValueError
        return value

    return accept


def _or_none(rule: Rule) -> Rule:
    def accept(value: Any) -> Any:
        return None if value is None or value == "none" else rule.accept(value)

    def parse(text: str) -> Any:
        return None if text.strip().lower() in ("", "none") else rule.parse(text)

    return rule._replace(expected=f"{rule.expected}, or none", accept=accept, parse=parse)


def _matching(expected: str, pattern: str) -> Rule:
    regex = re.compile(pattern)

    def fits(value: Any) -> bool:
        return isinstance(value, str) and regex.fullmatch(value) is not None

    return Rule(expected, _that(fits))


def _is_positive_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_secret(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value != "")


def _accept_seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError
    if not 0 < value <= _LONGEST:
        raise ValueError
    return float(value)


def _accept_seconds_or_zero(value: Any) -> float:
    is_zero = isinstance(value, int | float) and not isinstance(value, bool) and value == 0
    return 0.0 if is_zero else _accept_seconds(value)


def _accept_origins(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError
    if not all(isinstance(origin, str) and _ORIGIN.fullmatch(origin) for origin in value):
        raise ValueError
    return tuple(value)


def _accept_rate(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError
    if not 0.001 <= value <= 1e9:
        raise ValueError
    return float(value)


def _is_limit_or_auto(value: Any) -> bool:
    return value == "auto" or _is_positive_int(value)


def _parse_limit_or_auto(text: str) -> Any:
    word = text.strip().lower()
    return word if word == "auto" else int(text)


def _accept_proxies(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
        raise ValueError
    for each in value:
        if each != "unix" and ip_network(each).prefixlen == 0:
            raise ValueError
    return tuple(value)


def _accept_proxy_headers(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
        raise ValueError
    names = tuple(each.lower() for each in value)
    if not set(names) <= _PROXY_HEADERS:
        raise ValueError
    return names


def _parse_flag(text: str) -> bool:
    word = text.strip().lower()
    if word not in _FLAGS:
        raise ValueError
    return _FLAGS[word]


def _is_flag_or_auto(value: Any) -> bool:
    return value == "auto" or isinstance(value, bool)


def _parse_flag_or_auto(text: str) -> Any:
    word = text.strip().lower()
    return word if word == "auto" else _parse_flag(text)


def _parse_size(text: str) -> int:
    match = _SIZE_TEXT.fullmatch(text.strip())
    if match is None:
        raise ValueError
    return int(match[1]) * _UNITS[(match[2] or "").lower()]


def _parse_list(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


_LONGEST = 10 * 365 * 24 * 60 * 60
_FLAGS = {"true": True, "yes": True, "on": True, "1": True}
_FLAGS |= {"false": False, "no": False, "off": False, "0": False}
_UNITS = {"": 1, "kib": 1024, "mib": 1024**2, "gib": 1024**3}
_SIZE_TEXT = re.compile(r"([+-]?\d+(?:_\d+)*)\s*([kmg]ib)?", re.IGNORECASE | re.ASCII)
_ORIGIN = re.compile(r"\*|null|[a-z][a-z0-9+.-]*://[^\s/?#@,]+", re.IGNORECASE | re.ASCII)
_PROXY_HEADERS = {"forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"}

FLAG: Final = Rule("true or false", _that(lambda value: isinstance(value, bool)), _parse_flag)
FLAG_OR_AUTO: Final = Rule("true, false or auto", _that(_is_flag_or_auto), _parse_flag_or_auto)
COUNT: Final = Rule("an int >= 1", _that(_is_positive_int), int)
SIZE: Final = COUNT._replace(parse=_parse_size)
MAX_AGE: Final = _or_none(COUNT)
SECONDS: Final = Rule("a number of seconds > 0 and <= 10 years", _accept_seconds, float)
SECONDS_OR_ZERO: Final = Rule(
    "a number of seconds >= 0 and <= 10 years", _accept_seconds_or_zero, float
)
INTERVAL: Final = _or_none(SECONDS)
LIMIT: Final = _or_none(COUNT)
LIMIT_OR_AUTO: Final = _or_none(
    Rule("an int >= 1, or auto", _that(_is_limit_or_auto), _parse_limit_or_auto)
)
RATE: Final = _or_none(Rule("a number a second, 0.001 at least", _accept_rate, float))
SIZE_OR_NONE: Final = _or_none(SIZE)
URL: Final = Rule("an address", _that(_is_text), str, True)
NAME: Final = _matching("a name", r"[\w.:-]+")
ORIGINS: Final = Rule(
    "a list of origins such as https://example.com:8443 without a path, * or null",
    _accept_origins,
    _parse_list,
)
PROXIES: Final = Rule(
    "a list of proxies' addresses and networks such as 10.0.0.5, 10.0.0.0/8 or unix; not * or /0, "
    "with which everybody could claim to be anybody",
    _accept_proxies,
    _parse_list,
)
PROXY_HEADERS: Final = Rule(
    f"a list of {', '.join(sorted(_PROXY_HEADERS))}", _accept_proxy_headers, _parse_list
)
SECRET: Final = Rule(
    "a str that is not empty, or None", _that(_is_secret), lambda text: text or None, is_secret=True
)

# RFC 6265 section 4.1.1: a cookie's name is a token, its attributes hold no ";" or controls.
COOKIE_NAME: Final = _matching("a cookie name (RFC 6265 token)", r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
COOKIE_PATH: Final = _matching("a path that begins with /", r"/[ -:<-~]*")
COOKIE_DOMAIN: Final = _or_none(_matching("a domain name", r"\.?[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*"))
