from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wirework.errors import SettingsError
from wirework.security.proxies import ALL_HEADERS, Client, Proxies

PROXY = "10.0.0.5"
TRUSTED = Proxies([PROXY, "10.1.0.0/16", "fd00::/8"])
NAMES = [*ALL_HEADERS, "host", "origin", "x-real-ip"]


def request(
    *headers: tuple[str, str], client: Any = (PROXY, 40000), kind: str = "websocket"
) -> Any:
    return {
        "type": kind,
        "scheme": "ws" if kind == "websocket" else "http",
        "client": client,
        "headers": [
            (b"host", b"inner:8000"),
            *((n.encode(), v.encode("latin-1")) for n, v in headers),
        ],
    }


def client_of(*headers: tuple[str, str], proxies: Proxies = TRUSTED) -> str | None:
    """Return the address that is believed behind the proxy; None: no other than the proxy's."""
    found = proxies.client(PROXY, request(*headers)["headers"])
    return found.address[0] if found.address is not None else None


def x_for(*values: str) -> list[tuple[str, str]]:
    return [("x-forwarded-for", value) for value in values]


def forwarded(*values: str) -> list[tuple[str, str]]:
    return [("forwarded", value) for value in values]


# --- who is a proxy ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address", [PROXY, "10.1.2.3", "fd00::1", "::ffff:10.0.0.5", "::ffff:10.1.2.3", "FD00:0::1"]
)
def test_addresses_and_networks_are_trusted_in_any_spelling(address: str) -> None:
    assert TRUSTED.trusts(address)


@pytest.mark.parametrize(
    "address",
    ["10.0.0.6", "10.2.0.1", "fe00::1", "", None, "unix", "/run/x.sock", "10.0.0.5 ", "*"],
)
def test_others_are_not(address: str | None) -> None:
    assert not TRUSTED.trusts(address)


def test_a_peer_without_an_address_is_trusted_where_unix_is_listed() -> None:
    proxies = Proxies(["unix"])
    assert proxies.trusts(None)
    assert proxies.trusts("")
    assert not proxies.trusts(PROXY)
    assert not proxies.trusts("unix")
    scope = request(*x_for("192.0.2.7"), client=None)
    assert proxies.correct(scope)["client"] == ("192.0.2.7", 0)


def test_without_proxies_nothing_is_believed() -> None:
    assert not Proxies()
    assert Proxies(["unix"])
    assert Proxies([PROXY])
    scope = request(*x_for("192.0.2.7"), ("x-forwarded-proto", "https"))
    assert Proxies().correct(scope) is scope


@pytest.mark.parametrize("entry", ["*", "0.0.0.0/0", "::/0"])
def test_everybody_cannot_be_trusted(entry: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Proxies([entry])
    assert str(caught.value) == (
        "trusted proxy: expected an address such as 10.0.0.5, a network such as 10.0.0.0/8, or"
        f" unix, got {entry!r}; so everybody could claim to be anybody"
    )


@pytest.mark.parametrize(
    "entry", ["", "proxy.example", "10.0.0.5/8", "10.0.0", 5, None, "10.0.0.5:80"]
)
def test_what_is_no_address_is_refused(entry: Any) -> None:
    with pytest.raises(SettingsError, match=r"trusted proxy: expected an address .* or unix, got"):
        Proxies([entry])


def test_a_text_is_no_list_and_an_unknown_header_is_named() -> None:
    with pytest.raises(SettingsError, match="expected a list, got the str"):
        Proxies(PROXY)
    with pytest.raises(SettingsError, match=r"x-forwarded-host, got 'x-real-ip'"):
        Proxies([PROXY], ["x-real-ip"])


# --- the address ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("192.0.2.7", ("192.0.2.7", 0)),
        (" 192.0.2.7 ", ("192.0.2.7", 0)),
        ("192.0.2.7:4711", ("192.0.2.7", 4711)),
        ("2001:db8::7", ("2001:db8::7", 0)),
        ("2001:DB8:0::7", ("2001:db8::7", 0)),
        ("[2001:db8::7]", ("2001:db8::7", 0)),
        ("[2001:db8::7]:4711", ("2001:db8::7", 4711)),
        ("::ffff:192.0.2.7", ("192.0.2.7", 0)),
    ],
)
def test_an_address_is_read_as_proxies_write_it(value: str, address: tuple[str, int]) -> None:
    assert TRUSTED.correct(request(*x_for(value)))["client"] == address
    assert TRUSTED.correct(request(*forwarded(f'for="{value.strip()}"')))["client"] == address


@pytest.mark.parametrize(
    "value",
    [
        "unknown",
        "_hidden",
        "192.0.2",
        "192.0.2.7.1",
        "192.0.2.007",
        "192.0.2.7:",
        "192.0.2.7:65536",
        "192.0.2.7:port",
        "[192.0.2.7]:80:90",
        "[2001:db8::7",
        "2001:db8::7]",
        "[2001:db8::7]x",
        "fe80::1%eth0",
        "example.com",
        "\u00b9\u00b2.0.0.1",
        "x" * 5000,
    ],
)
def test_what_is_no_address_leaves_the_last_one_that_was_believed(value: str) -> None:
    assert client_of(*x_for(value)) is None
    assert client_of(*x_for(f"192.0.2.7, {value}, 10.1.0.1")) == "10.1.0.1"
    assert client_of(*forwarded(f'for="{value}"')) is None


@pytest.mark.parametrize(
    ("values", "address"),
    [
        (["203.0.113.66, 192.0.2.7"], "192.0.2.7"),
        (["203.0.113.66", "192.0.2.7"], "192.0.2.7"),
        (["192.0.2.7, 10.1.0.1"], "192.0.2.7"),
        (["203.0.113.66, 192.0.2.7, 10.1.0.1, 10.1.0.2"], "192.0.2.7"),
        (["203.0.113.66, 192.0.2.7", "10.1.0.1"], "192.0.2.7"),
        (["10.1.0.1, 203.0.113.66, 192.0.2.7"], "192.0.2.7"),
        (["garbage, 192.0.2.7"], "192.0.2.7"),
        ([", ,192.0.2.7,,"], "192.0.2.7"),
        (["10.1.0.2, 10.1.0.1"], "10.1.0.2"),
        ([""], None),
    ],
)
def test_the_client_is_the_first_from_the_right_that_is_no_proxy(
    values: list[str], address: str | None
) -> None:
    assert client_of(*x_for(*values)) == address
    elements = [", ".join(f"for={e.strip()}" for e in v.split(",") if e.strip()) for v in values]
    assert client_of(*forwarded(*elements)) == address


@pytest.mark.parametrize(
    "line",
    [
        'for=192.0.2.7;proto=https;host="chat.example.com:8443";by=10.0.0.5',
        'For="192.0.2.7" ; PROTO=HTTPS;HOST="chat.example.com:8443"',
        'for=203.0.113.66;proto=http, for=192.0.2.7;proto=https;host="chat.example.com:8443"',
        'for="192.0.2.7";proto="h\\ttps";host="chat.example.com:8443";ext="a,b;c=\\"d"',
        ',;for=192.0.2.7;;proto=https;host="chat.example.com:8443",',
    ],
)
def test_forwarded_is_read_as_the_standard_has_it(line: str) -> None:
    found = TRUSTED.client(PROXY, request(("forwarded", line))["headers"])
    assert found == Client(("192.0.2.7", 0), True, "chat.example.com:8443")


@pytest.mark.parametrize(
    "start",
    [
        'for="',
        'for=1.2.3.4;x="',
        'x="\\',
        "for",
        "for=",
        "=1",
        "for=a b",
        'for="a"b',
        "\x00",
        "for= a",
    ],
)
def test_what_a_client_writes_before_a_proxys_word_never_becomes_the_clients_address(
    start: str,
) -> None:
    for word in ('for="[2001:db8::7]:1"', "for=192.0.2.7", 'for="192.0.2.7";by="10.0.0.5"'):
        assert client_of(*forwarded(f"{start}, {word}")) in (None, "192.0.2.7", "2001:db8::7")
        assert client_of(*forwarded(start, word)) in ("192.0.2.7", "2001:db8::7")


@pytest.mark.parametrize("end", ['for="', 'x="\\', "for", "for=a b"])
def test_a_line_that_cannot_be_read_hides_what_stands_before_it(end: str) -> None:
    assert client_of(*forwarded(f"for=203.0.113.66, {end}, for=192.0.2.7;x=(")) is None
    assert client_of(*forwarded("for=203.0.113.66", f"{end}, for=192.0.2.7;x=(")) is None


def test_an_element_that_says_something_twice_says_nothing() -> None:
    assert client_of(*forwarded("for=192.0.2.7;for=203.0.113.66")) is None


# --- scheme and host --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("proto", "kind", "scheme"),
    [
        ("https", "websocket", "wss"),
        ("wss", "websocket", "wss"),
        ("HTTPS", "websocket", "wss"),
        ("http", "websocket", "ws"),
        ("https", "http", "https"),
        ("wss", "http", "https"),
        ("ftp", "websocket", "ws"),
        ("https;", "websocket", "ws"),
        ("", "http", "http"),
    ],
)
def test_the_scheme_is_that_of_the_client(proto: str, kind: str, scheme: str) -> None:
    scope = request(*x_for("192.0.2.7"), ("x-forwarded-proto", proto), kind=kind)
    assert TRUSTED.correct(scope)["scheme"] == scheme


@pytest.mark.parametrize(
    ("addresses", "protos", "scheme"),
    [
        ("203.0.113.66, 192.0.2.7", "https, http", "ws"),
        ("203.0.113.66, 192.0.2.7", "http, https", "wss"),
        ("192.0.2.7, 10.1.0.1", "https, http", "wss"),
        ("192.0.2.7, 10.1.0.1", "https", "wss"),
        ("192.0.2.7", "http, http, https", "wss"),
    ],
)
def test_the_scheme_is_the_word_of_the_proxy_next_to_the_client(
    addresses: str, protos: str, scheme: str
) -> None:
    scope = request(*x_for(addresses), ("x-forwarded-proto", protos))
    assert TRUSTED.correct(scope)["scheme"] == scheme


def test_the_host_takes_the_place_of_the_proxys() -> None:
    scope = request(*x_for("192.0.2.7"), ("x-forwarded-host", "chat.example.com:8443"))
    headers = TRUSTED.correct(scope)["headers"]
    assert [value for name, value in headers if name == b"host"] == [b"chat.example.com:8443"]
    assert len(headers) == len(scope["headers"])


@pytest.mark.parametrize(
    "host", ["", "a b", "a/b", "a@b", "a;b", "[::1", "a:123456", "h\u00f6st", "a\\b", "a\x01", "#"]
)
def test_what_is_no_host_is_not_believed(host: str) -> None:
    scope = request(*x_for("192.0.2.7"), ("x-forwarded-host", host))
    assert (b"host", b"inner:8000") in TRUSTED.correct(scope)["headers"]


# --- two headers that say who it is -----------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("for=203.0.113.66", "192.0.2.7"),
        ("for=unknown", "192.0.2.7"),
        ("proto=https", "192.0.2.7"),
        ('for="', "192.0.2.7"),
        ("for=192.0.2.7", "unknown"),
        ("for=192.0.2.7", ""),
    ],
)
def test_headers_that_contradict_each_other_are_not_believed(one: str, other: str) -> None:
    headers = (("forwarded", one), ("x-forwarded-for", other), ("x-forwarded-proto", "https"))
    found = TRUSTED.client(PROXY, request(*headers)["headers"])
    assert found.is_unchanged
    assert found.problem == "Forwarded and X-Forwarded-For name different clients"


def test_headers_that_agree_are_believed_with_what_either_tells() -> None:
    headers = (
        ("forwarded", 'for="192.0.2.7:4711"'),
        *x_for("192.0.2.7"),
        ("x-forwarded-proto", "https"),
    )
    assert TRUSTED.client(PROXY, request(*headers)["headers"]) == Client(("192.0.2.7", 4711), True)


def test_a_scheme_on_which_they_differ_is_not_believed() -> None:
    headers = (
        *forwarded("for=192.0.2.7;proto=http"),
        *x_for("192.0.2.7"),
        ("x-forwarded-proto", "https"),
    )
    assert TRUSTED.client(PROXY, request(*headers)["headers"]) == Client(("192.0.2.7", 0))


def test_headers_that_are_not_named_are_not_read() -> None:
    one, other = Proxies([PROXY], ["x-forwarded-for"]), Proxies([PROXY], ["forwarded"])
    headers = (
        *forwarded("for=203.0.113.66;host=x"),
        *x_for("192.0.2.7"),
        ("x-forwarded-host", "y"),
    )
    assert one.client(PROXY, request(*headers)["headers"]) == Client(("192.0.2.7", 0))
    assert other.client(PROXY, request(*headers)["headers"]) == Client(
        ("203.0.113.66", 0), host="x"
    )


# --- the scope --------------------------------------------------------------------------------


def test_the_given_scope_stays_as_it_is() -> None:
    scope = request(*x_for("192.0.2.7"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "x"))
    before = {**scope, "headers": list(scope["headers"])}
    corrected = TRUSTED.correct(scope)
    assert corrected is not scope
    assert scope == before


def test_a_scope_without_client_or_headers_is_left_alone() -> None:
    scope: Any = {"type": "websocket"}
    assert TRUSTED.correct(scope) is scope
    assert Proxies(["unix"]).correct(scope) is scope


PIECES = [
    "10.1.0.1",
    "192.0.2.7",
    "for=",
    "proto=https",
    "host=x",
    '"',
    "\\",
    ",",
    ";",
    " ",
    "unknown",
    "[::1]",
]
VALUES = st.one_of(
    st.text(st.characters(max_codepoint=255), max_size=40),
    st.lists(st.sampled_from(PIECES), max_size=12).map("".join),
)
HEADERS = st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=8)


@given(
    headers=HEADERS, client=st.sampled_from([("203.0.113.1", 1), None, ["", 0], ("10.0.0.6", 1)])
)
def test_an_untrusted_peer_changes_nothing(headers: list[tuple[str, str]], client: Any) -> None:
    scope = request(*headers, client=client)
    assert TRUSTED.correct(scope) is scope


@given(headers=HEADERS, kind=st.sampled_from(["websocket", "http"]))
@example(headers=[("forwarded", "\\" * 40)], kind="http")
def test_no_header_makes_it_raise_and_what_is_corrected_is_valid(
    headers: list[tuple[str, str]], kind: str
) -> None:
    corrected = TRUSTED.correct(request(*headers, kind=kind))
    address, port = corrected["client"]
    assert 0 <= port <= 65535
    assert TRUSTED.correct({**corrected, "client": (address, port)})["client"][0] == address
    assert corrected["scheme"] in (("ws", "wss") if kind == "websocket" else ("http", "https"))


@given(headers=HEADERS)
def test_what_a_client_sends_before_the_proxys_own_word_makes_it_nobody_else(
    headers: list[tuple[str, str]],
) -> None:
    only = Proxies([PROXY, "10.1.0.0/16"], ["x-forwarded-for", "x-forwarded-proto"])
    told = (*x_for("192.0.2.99"), ("x-forwarded-proto", "https"))
    corrected = only.correct(request(*headers, *told))
    assert corrected["client"] == ("192.0.2.99", 0)
    assert corrected["scheme"] == "wss"


@given(text=VALUES)
def test_what_a_client_sends_in_forwarded_makes_it_at_most_the_proxy(text: str) -> None:
    word = 'for="192.0.2.99:1";proto=https'
    for headers in (
        forwarded(text, word),
        forwarded(f"{text}, {word}"),
        forwarded(f"{text},{word}"),
    ):
        assert client_of(*headers) in (None, "192.0.2.99")


def test_of_a_long_header_the_end_is_read() -> None:
    for text in ("x" * 60_000, "10.1.0.1," * 7000, "," * 60_000):
        assert client_of(*x_for(f"{text}, 192.0.2.7")) == "192.0.2.7"
        assert client_of(*x_for(text, "192.0.2.7")) == "192.0.2.7"
    for text in ('"' * 60_000, "a=b;" * 15_000, "\\" * 60_000, "," * 60_000):
        assert client_of(*forwarded(text, "for=192.0.2.7")) == "192.0.2.7"
        assert client_of(*forwarded(f"{text}, for=192.0.2.7")) is None


def test_nobody_has_a_hundred_proxies() -> None:
    assert client_of(*x_for("192.0.2.7, " + "10.1.0.1, " * 50)) == "192.0.2.7"
    assert client_of(*x_for("192.0.2.7, " + "10.1.0.1, " * 100)) == "10.1.0.1"
    assert client_of(*forwarded("for=192.0.2.7", *["for=10.1.0.1"] * 50)) == "192.0.2.7"
    assert client_of(*forwarded("for=192.0.2.7", *["for=10.1.0.1"] * 1000)) == "10.1.0.1"
