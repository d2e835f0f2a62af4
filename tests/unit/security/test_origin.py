from __future__ import annotations

from typing import Any, cast
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wirework.errors import SettingsError
from wirework.security.origin import OriginPolicy


@pytest.mark.parametrize(
    ("origin", "host", "scheme"),
    [
        ("http://example.com", "example.com", "ws"),
        ("http://example.com", "example.com:80", "ws"),
        ("http://example.com:80", "example.com", "http"),
        ("http://example.com:8000", "example.com:8000", "ws"),
        ("https://example.com", "example.com", "wss"),
        ("https://example.com", "example.com:443", "https"),
        ("https://example.com:443", "example.com", "wss"),
        ("HTTPS://Example.COM", "eXample.com", "wss"),
        ("http://example.com.", "example.com", "ws"),
        ("http://example.com", "example.com.:80", "ws"),
        ("http://localhost:3000", "localhost:3000", "ws"),
        ("http://127.0.0.1:8000", "127.0.0.1:8000", "ws"),
        ("http://[::1]:8000", "[::1]:8000", "ws"),
        ("http://[::1]", "[0:0:0:0:0:0:0:1]:80", "ws"),
        ("http://[2001:DB8::A]", "[2001:db8::a]", "ws"),
        ("https://xn--bcher-kva.example", "xn--bcher-kva.example", "wss"),
        ("http://my_app:8000", "my_app:8000", "ws"),
    ],
)
def test_the_own_origin_is_allowed(origin: str, host: str, scheme: str) -> None:
    assert OriginPolicy().check([origin], host, scheme)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://example.com", "example.com"),
        ("https://example.com", "example.com:443"),
        ("https://example.com:8443", "example.com:8443"),
    ],
)
def test_an_https_page_is_the_own_origin_behind_a_proxy_that_hides_tls(
    origin: str, host: str
) -> None:
    assert OriginPolicy().check([origin], host, "ws")
    assert OriginPolicy().check([origin], host, "http")


@pytest.mark.parametrize(
    ("origin", "host", "scheme"),
    [
        ("http://example.com", "example.com", "wss"),
        ("http://example.com", "example.com", "https"),
        ("http://example.com:443", "example.com:443", "wss"),
        ("https://example.com", "example.com:80", "ws"),
        ("https://example.com", "example.com:8000", "ws"),
        ("https://example.com:8443", "example.com", "wss"),
        ("http://example.com", "example.com:8000", "ws"),
        ("http://example.com:8001", "example.com:8000", "ws"),
        ("https://example.com.evil.tld", "example.com", "wss"),
        ("https://evilexample.com", "example.com", "wss"),
        ("https://evil-example.com", "example.com", "wss"),
        ("https://sub.example.com", "example.com", "wss"),
        ("https://example.com", "sub.example.com", "wss"),
        ("https://example.co", "example.com", "wss"),
        ("http://localhost", "127.0.0.1", "ws"),
        ("http://[::1]", "[::2]", "ws"),
        ("http://127.0.0.1", "[::ffff:127.0.0.1]", "ws"),
        ("https://xn--exmple-cua.com", "example.com", "wss"),
        ("ftp://example.com", "example.com", "ws"),
        ("ws://example.com", "example.com", "ws"),
        ("wss://example.com", "example.com", "wss"),
        ("capacitor://example.com", "example.com", "ws"),
    ],
)
def test_another_origin_is_refused(origin: str, host: str, scheme: str) -> None:
    verdict = OriginPolicy().check([origin], host, scheme)
    assert not verdict
    assert verdict.reason.startswith("the origin '")
    assert verdict.reason.endswith(
        f"is neither listed nor the request's own ({scheme} to {host!r})"
    )


MALFORMED = [
    "",
    " ",
    "example.com",
    "//example.com",
    "://example.com",
    "https:",
    "https://",
    "https:///",
    "https:example.com",
    "https:/example.com",
    "https://example.com/",
    "https://example.com/path",
    "https://example.com?q",
    "https://example.com#f",
    "https://example.com:",
    "https://example.com:0",
    "https://example.com:65536",
    "https://example.com:4_43",
    "https://example.com:443443",
    "https://example.com:\u0664\u0664\u0663",
    "https://example.com:+443",
    "https://user@example.com",
    "https://user:pw@example.com",
    "https://evil.tld@example.com",
    "https://evil.tld\\@example.com",
    "https://evil.tld\\.example.com",
    "https://evil.tld%2f.example.com",
    "https://evil.tld/.example.com",
    "https://evil.tld#.example.com",
    "https://evil.tld?.example.com",
    "https://evil.tld:443.example.com",
    "https://.example.com",
    "https://a..example.com",
    "https://example.com..",
    "https://.",
    "https://*.example.com",
    "https://*",
    "*",
    "https://example.com https://example.com",
    "https://example.com, https://example.com",
    "https://example.com,https://evil.tld",
    " https://example.com",
    "https://example.com ",
    "https://example.com\n",
    "https://example.com\x00",
    "\nhttps://example.com",
    "https://exam\tple.com",
    "https://ex\u212aample.com",
    "https://b\u00fccher.example",
    "https://\uff45xample.com",
    "https://example\u3002com",
    "https://[::1",
    "https://::1",
    "https://[::1%25eth0]",
    "https://[::1]x",
    "https://[1.2.3.4]",
    "https://[:::]",
    "https://[example.com]",
    "NULL",
    "Null",
    "null null",
    "data:,x",
    "1https://example.com",
    "h\u017fttps://example.com",
]


@pytest.mark.parametrize("origin", MALFORMED)
def test_a_malformed_origin_is_refused_even_where_any_is_allowed(origin: str) -> None:
    policies = [
        OriginPolicy(),
        OriginPolicy(["https://example.com", "https://*.example.com", "https://*.example"]),
        OriginPolicy(["*", "null"]),
    ]
    for policy in policies:
        verdict = policy.check([origin], "example.com", "wss")
        assert not verdict
        assert verdict.reason.startswith("malformed Origin '")
        assert verdict.reason.isascii()
        assert "\n" not in verdict.reason


def test_the_reason_does_not_grow_with_what_a_stranger_sends() -> None:
    origin = "https://" + "a" * 100_000
    assert len(OriginPolicy().check([origin], "b" * 100_000, "ws").reason) < 400
    assert len(OriginPolicy().check([origin + "/"], "b", "ws").reason) < 400


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "example.com:",
        "example.com:x",
        "example.com:0",
        "example.com:99999",
        "example.com, example.com",
        "user@example.com",
        "example.com/",
        " example.com",
        "[::1",
        "*",
    ],
)
def test_without_a_usable_host_only_the_list_counts(host: str | None) -> None:
    assert not OriginPolicy().check(["https://example.com"], host, "wss")
    assert OriginPolicy(["https://example.com"]).check(["https://example.com"], host, "wss")


def test_a_missing_host_is_named_as_the_reason() -> None:
    assert "(no Host header)" in OriginPolicy().check(["https://a.b"], None, "wss").reason


@pytest.mark.parametrize(
    ("entry", "origin"),
    [
        ("https://app.example.com", "https://app.example.com"),
        ("https://app.example.com", "https://app.example.com:443"),
        ("https://app.example.com:443", "https://APP.example.com."),
        ("HTTPS://App.Example.com", "https://app.example.com"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://[::1]:3000", "http://[0::1]:3000"),
        ("https://*.example.com", "https://a.example.com"),
        ("https://*.example.com", "https://a.b.c.example.com:443"),
        ("https://*.Example.com:8443", "https://a.example.com:8443"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("chrome-extension://abcdefgh", "chrome-extension://abcdefgh"),
        ("*", "https://evil.tld"),
        ("*", "capacitor://localhost"),
        ("null", "null"),
    ],
)
def test_a_listed_origin_is_allowed(entry: str, origin: str) -> None:
    verdict = OriginPolicy(["https://other.example", entry]).check([origin], "server.tld", "wss")
    assert verdict.allowed
    assert verdict.reason.endswith("listed")


@pytest.mark.parametrize(
    ("entry", "origin"),
    [
        ("https://app.example.com", "http://app.example.com"),
        ("https://app.example.com", "https://app.example.com:8443"),
        ("https://app.example.com", "https://x.app.example.com"),
        ("https://app.example.com", "https://app.example.com.evil.tld"),
        ("https://app.example.com", "https://evilapp.example.com"),
        ("https://app.example.com", "https://appxexample.com"),
        ("https://*.example.com", "https://example.com"),
        ("https://*.example.com", "https://evilexample.com"),
        ("https://*.example.com", "https://a.example.com.evil.tld"),
        ("https://*.example.com", "http://a.example.com"),
        ("https://*.example.com", "https://a.example.com:8443"),
        ("https://*.example.com:8443", "https://a.example.com"),
        ("https://*.example.com", "capacitor://a.example.com"),
        ("http://localhost:3000", "http://localhost:3001"),
        ("http://localhost:3000", "http://localhost"),
        ("capacitor://localhost", "http://localhost"),
        ("capacitor://localhost", "capacitor://localhost:80"),
        ("*", "null"),
        ("https://app.example.com", "null"),
    ],
)
def test_an_origin_that_only_resembles_a_listed_one_is_refused(entry: str, origin: str) -> None:
    assert not OriginPolicy([entry]).check([origin], "server.tld", "wss")


def test_a_list_is_taken_beside_the_own_origin() -> None:
    policy = OriginPolicy(["https://app.example.com"])
    assert policy.check(["https://api.example.com"], "api.example.com", "wss")


@pytest.mark.parametrize("allowed", [[], ["*"], ["null"]])
def test_an_absent_origin_is_refused_only_where_one_is_required(allowed: list[str]) -> None:
    assert OriginPolicy(allowed).check([], "example.com", "wss")
    verdict = OriginPolicy(allowed, require_origin=True).check([], "example.com", "wss")
    assert not verdict
    assert verdict.reason == "there is no Origin header"


def test_several_origins_are_refused_even_if_they_are_equal() -> None:
    verdict = OriginPolicy(["*"]).check(["https://a.b", "https://a.b"], "a.b", "wss")
    assert not verdict
    assert verdict.reason == "expected one Origin header, got 2"


@pytest.mark.parametrize(
    ("entry", "hint"),
    [
        ("example.com", "the scheme is missing"),
        ("*.example.com", "the scheme is missing"),
        ("", "the scheme is missing"),
        ("NULL", "the scheme is missing"),
        ("wss://example.com", "http or https"),
        ("ws://*.example.com", "http or https"),
        ("https://example.com/", "no path"),
        ("https://example.com/app", "no path"),
        ("https://b\u00fccher.example", "punycode"),
        ("https://*", "expected 'https://host[:port]'"),
        ("https://*example.com", "expected 'https://host[:port]'"),
        ("https://a.*.example.com", "expected 'https://host[:port]'"),
        ("https://*.*.example.com", "expected 'https://host[:port]'"),
        ("https://*.", "expected 'https://host[:port]'"),
        ("https://*.[::1]", "expected 'https://host[:port]'"),
        ("https://example.com:*", "expected 'https://host[:port]'"),
        ("https://user@example.com", "expected 'https://host[:port]'"),
        ("https://example.com:0", "expected 'https://host[:port]'"),
        ("https://a.example,https://b.example", "no path"),
        (" https://example.com", "expected 'https://host[:port]'"),
        (5, "the scheme is missing"),
    ],
)
def test_an_entry_that_cannot_match_fails_at_once_and_says_what_was_expected(
    entry: str, hint: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        OriginPolicy(["https://fine.example", entry])
    assert repr(str(entry)) in str(caught.value)
    assert "expected 'https://host[:port]'" in str(caught.value)
    assert hint in str(caught.value)


def test_a_single_str_is_not_taken_for_a_list_of_characters() -> None:
    with pytest.raises(SettingsError, match="expected a list"):
        OriginPolicy(cast("Any", "https://example.com"))


def oracle(origin: str, host: str, scheme: str) -> bool:
    """Same origin by another parser; for origins without case, dots or address forms to fold."""
    page = urlsplit(origin)
    if page.geturl() != f"{page.scheme}://{page.netloc}" or "@" in page.netloc:
        return False
    default = {"http": 80, "https": 443}.get(page.scheme)
    request = urlsplit(f"{page.scheme}://{host}")
    if default is None or (page.scheme == "http" and scheme in ("wss", "https")):
        return False
    same_port = (page.port or default) == (request.port or default)
    return same_port and page.hostname == request.hostname


hosts = st.sampled_from(
    ["a.b", "b", "xa.b", "a.b.c", "127.0.0.1", "[::1]", "[::2]", "localhost", "a-b", "a_b.c"]
)
ports = st.sampled_from(["", ":80", ":443", ":8000", ":65535", ":1"])
schemes = st.sampled_from(["http", "https", "ws", "wss", "ftp"])


@given(
    st.builds("{}://{}{}".format, schemes, hosts, ports),
    st.builds("{}{}".format, hosts, ports),
    st.sampled_from(["ws", "wss", "http", "https"]),
)
@example("https://a.b", "a.b", "ws")
@example("http://a.b", "a.b", "wss")
def test_the_verdict_agrees_with_an_independent_parser(origin: str, host: str, scheme: str) -> None:
    assert bool(OriginPolicy().check([origin], host, scheme)) == oracle(origin, host, scheme)


@given(
    st.builds(
        "{}{}{}{}".format,
        st.sampled_from(["https://", "http://", "", "https:", "//"]),
        st.text(alphabet="ab.@:/\\?#[]%*\t\u3002", max_size=12),
        st.sampled_from(["", "example.com", ".example.com", "@example.com"]),
        st.sampled_from(["", ":443", "/", ":"]),
    )
)
@example("https://evil.tld\\@example.com")
def test_whatever_is_allowed_by_a_list_has_a_listed_host_to_an_independent_parser(
    origin: str,
) -> None:
    policy = OriginPolicy(["https://example.com", "https://*.example.com"])
    if policy.check([origin], "server.tld", "wss"):
        page = urlsplit(origin)
        assert page.scheme == "https"
        assert page.username is None
        assert (page.port or 443) == 443
        name = (page.hostname or "").removesuffix(".")
        assert name == "example.com" or name.endswith(".example.com")


@given(st.lists(st.text(), max_size=2), st.none() | st.text(), st.text())
def test_nothing_that_a_stranger_sends_raises(
    origins: list[str], host: str | None, scheme: str
) -> None:
    OriginPolicy(["https://*.example.com"]).check(origins, host, scheme)
