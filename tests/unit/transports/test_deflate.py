"""permessage-deflate: what is agreed on, what is inflated and what is not, what goes out."""

from __future__ import annotations

import os
import re
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wirework.transports.native.deflate import (
    Agreement,
    DeflateError,
    Deflater,
    Inflater,
    deflater_of,
    negotiate,
)

TAIL = b"\x00\x00\xff\xff"
PLAIN = b"permessage-deflate"
OURS = "permessage-deflate; server_no_context_takeover"
NARROW = "server_max_window_bits=12; client_max_window_bits=12"
KEEPING = Agreement(12, 12, has_context=True)
FORGETTING = Agreement(12, 12, has_context=False)
WIDE = Agreement(12, None, has_context=False)
LIMIT = 1024 * 1024


class Client:
    """The other side: compresses messages as a browser does."""

    def __init__(self, bits: int = 12) -> None:
        self._stream = zlib.compressobj(wbits=-bits)

    def message(self, data: bytes, flush: int = zlib.Z_SYNC_FLUSH) -> bytes:
        return (self._stream.compress(data) + self._stream.flush(flush))[:-4]


def final(data: bytes) -> bytes:
    """Return `data` in one stream that ends with a final block."""
    stream = zlib.compressobj(wbits=-12)
    return stream.compress(data) + stream.flush()


def inflated(data: bytes, agreement: Agreement = KEEPING, limit: int = LIMIT) -> bytes:
    return Inflater(agreement).inflate(data, limit, is_last=True)


def code_of(data: bytes, agreement: Agreement = KEEPING, limit: int = LIMIT) -> int:
    with pytest.raises(DeflateError) as caught:
        inflated(data, agreement, limit)
    return caught.value.code


# --- negotiation --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offer", "answer"),
    [
        # Chrome, Firefox and Safari, the `websockets` library
        ("; client_max_window_bits", f"{OURS}; {NARROW}"),
        ("", f"{OURS}; client_no_context_takeover; server_max_window_bits=12"),
        (";client_max_window_bits;server_max_window_bits=12", f"{OURS}; {NARROW}"),
        # each parameter
        ("; server_no_context_takeover; client_max_window_bits", f"{OURS}; {NARROW}"),
        (
            "; client_no_context_takeover; client_max_window_bits",
            f"{OURS}; client_no_context_takeover; {NARROW}",
        ),
        (
            "; server_max_window_bits=9; client_max_window_bits=10",
            f"{OURS}; server_max_window_bits=9; client_max_window_bits=10",
        ),
        ("; server_max_window_bits=15; client_max_window_bits=15", f"{OURS}; {NARROW}"),
        (
            "; client_max_window_bits=8",
            f"{OURS}; server_max_window_bits=12; client_max_window_bits=8",
        ),
        # spellings
        ('; client_max_window_bits="11"', f"{OURS}; {NARROW[:-1]}1"),
        (r'; client_max_window_bits="\11"', f"{OURS}; {NARROW[:-1]}1"),
        ("\t ;\tclient_max_window_bits = 11 ", f"{OURS}; {NARROW[:-1]}1"),
    ],
)
def test_an_offer_is_answered_within_what_it_allows(offer: str, answer: str) -> None:
    agreement = negotiate(PLAIN + offer.encode())
    assert agreement is not None
    assert agreement.extension == answer


@pytest.mark.parametrize(
    "header",
    [
        "",
        ",",
        "permessage-bzip2",
        "x-webkit-deflate-frame",
        "permessage-deflate-2",
        'x; y="permessage-deflate"',
        'x; y="a, permessage-deflate',
        "permessage-deflate; unknown",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; client_no_context_takeover=true",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; client_max_window_bits; client_max_window_bits=10",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=8",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=+9",
        "permessage-deflate; server_max_window_bits=09",
        "permessage-deflate; server_max_window_bits=1_0",
        "permessage-deflate; client_max_window_bits=0",
        "permessage-deflate; client_max_window_bits=",
        'permessage-deflate; client_max_window_bits=""',
        'permessage-deflate; client_max_window_bits="10',
        "permessage-deflate; client_max_window_bits=1\u0661",
        "permessage-deflate;",
        "permessage-deflate;;",
        "permessage-deflate x",
        "permessage-deflate=1",
        "; permessage-deflate",
    ],
)
def test_an_offer_that_means_nothing_to_us_is_declined(header: str) -> None:
    assert negotiate(header.encode()) is None


@pytest.mark.parametrize(
    "header",
    [
        "permessage-deflate; server_max_window_bits=8, permessage-deflate; client_max_window_bits",
        "permessage-deflate; unknown, permessage-deflate; client_max_window_bits",
        'x; y="a, permessage-deflate", permessage-deflate; client_max_window_bits',
        r'x; y="\", permessage-deflate", permessage-deflate; client_max_window_bits',
        ", ,permessage-deflate; client_max_window_bits, permessage-deflate",
        "permessage-deflate; client_max_window_bits, what is this",
    ],
)
def test_the_first_offer_that_can_be_accepted_is(header: str) -> None:
    agreement = negotiate(header.encode())
    assert agreement is not None
    assert agreement.extension == f"{OURS}; {NARROW}"


HEADERS = st.lists(
    st.sampled_from(
        [
            *(PLAIN, b"server_max_window_bits", b"client_max_window_bits", b"9", b"\xff"),
            *(b"server_no_context_takeover", b"client_no_context_takeover"),
            *(b"=", b'"', b";", b",", b" ", b"\\"),
        ]
    )
).map(b"".join)


@given(st.binary() | HEADERS | HEADERS.map(lambda rest: PLAIN + b";" + rest))
def test_whatever_is_offered_the_answer_is_legal(header: bytes) -> None:
    agreement = negotiate(header)
    if agreement is None:
        return
    _, *parameters = agreement.extension.split("; ")
    names = [each.partition("=")[0] for each in parameters]
    assert len(set(names)) == len(names)
    assert all(9 <= int(bits) <= 12 for bits in re.findall(r"server\w*=(\d+)", agreement.extension))
    assert "client_max_window_bits" not in names or b"client_max_window_bits" in header


def test_long_headers_are_read_in_one_pass() -> None:
    for piece in (b" ", b"a", b"a;", b"a,", b'a;b="', b'a;b="\\', b";", b","):
        assert negotiate(piece * 50_000 + b"\x00") is None


# --- from the client ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload",
    [
        "f248cdc9c90700",  # 7.2.3.1: one block
        "000500faff48656c6c6f00",  # 7.2.3.3: not compressed
        "f348cdc9c9070000",  # 7.2.3.4: a final block
        "f248050000 00ffff cac9c90700",  # 7.2.3.5: two blocks
        "f348cdc9c90700",  # a final block, and the end left out
    ],
)
@pytest.mark.parametrize("agreement", [KEEPING, FORGETTING, WIDE])
def test_the_examples_of_the_rfc_are_read(payload: str, agreement: Agreement) -> None:
    assert inflated(bytes.fromhex(payload), agreement) == b"Hello"


def test_the_context_of_the_client_is_taken_over() -> None:
    inflater = Inflater(KEEPING)
    hello = bytes.fromhex("f248cdc9c90700")
    again = bytes.fromhex("f200110000")  # 7.2.3.2: refers to the message before
    assert inflater.inflate(hello, LIMIT, is_last=True) == b"Hello"
    assert inflater.inflate(again, LIMIT, is_last=True) == b"Hello"
    assert code_of(again) == 1007


def test_without_context_a_message_refers_to_none_before() -> None:
    inflater = Inflater(FORGETTING)
    inflater.inflate(bytes.fromhex("f248cdc9c90700"), LIMIT, is_last=True)
    with pytest.raises(DeflateError) as caught:
        inflater.inflate(bytes.fromhex("f200110000"), LIMIT, is_last=True)
    assert caught.value.code == 1007


def test_a_client_that_cannot_narrow_its_window_uses_all_of_it() -> None:
    block = os.urandom(30_000)
    payload = Client(15).message(block * 3)
    assert len(payload) < 31_000
    assert inflated(payload, WIDE) == block * 3


@given(st.lists(st.tuples(st.binary(max_size=300), st.integers(1, 40), st.booleans())))
def test_messages_in_any_fragments_come_out_as_they_went_in(
    messages: list[tuple[bytes, int, bool]],
) -> None:
    client, inflater = Client(), Inflater(KEEPING)
    for data, step, is_stored in messages:
        payload = client.message(data, zlib.Z_FULL_FLUSH if is_stored else zlib.Z_SYNC_FLUSH)
        pieces = [payload[start : start + step] for start in range(0, len(payload), step)]
        got = [inflater.inflate(piece, LIMIT, is_last=False) for piece in pieces]
        got.append(inflater.inflate(b"", LIMIT, is_last=True))
        assert b"".join(got) == data


@pytest.mark.parametrize("payload", ["", "00", "0200", "0300", "030000"])
@pytest.mark.parametrize("agreement", [KEEPING, FORGETTING])
def test_an_empty_message_has_many_spellings_and_the_next_is_read(
    payload: str, agreement: Agreement
) -> None:
    inflater = Inflater(agreement)
    assert inflater.inflate(bytes.fromhex(payload), LIMIT, is_last=True) == b""
    assert inflater.inflate(bytes.fromhex(payload), LIMIT, is_last=True) == b""
    assert inflater.inflate(Client().message(b"next"), LIMIT, is_last=True) == b"next"


def test_more_may_follow_a_final_block_in_the_same_message_and_in_the_next() -> None:
    inflater = Inflater(KEEPING)
    payload = final(b"one, ") + final(b"two, ") + Client().message(b"three")
    assert inflater.inflate(payload, LIMIT, is_last=True) == b"one, two, three"
    assert inflater.inflate(final(b"four"), LIMIT, is_last=False) == b"four"
    assert inflater.inflate(final(b"five"), LIMIT, is_last=False) == b"five"
    assert inflater.inflate(b"", LIMIT, is_last=True) == b""


@pytest.mark.parametrize(
    "payload",
    [
        b"\xff\xff\xff",
        b"\x07",
        b"plain text",
        Client().message(b"Hello")[:-2],
        Client().message(bytes(range(256)) * 4)[:200],
        zlib.compress(b"with a header of zlib"),
        final(b"") * 17,
    ],
)
@pytest.mark.parametrize("agreement", [KEEPING, FORGETTING])
def test_what_is_not_a_whole_message_is_corrupt(payload: bytes, agreement: Agreement) -> None:
    assert code_of(payload, agreement) == 1007


@given(st.binary(max_size=100))
def test_no_payload_does_worse_than_to_be_refused(payload: bytes) -> None:
    try:
        assert len(inflated(payload, limit=50)) <= 50
    except DeflateError:
        assert code_of(payload, limit=50) in (1007, 1009)


@pytest.mark.parametrize("size", [1, 10, 1000, 65536])
def test_a_message_of_just_the_limit_is_taken_and_one_more_byte_is_not(size: int) -> None:
    assert inflated(Client().message(bytes(size)), limit=size) == bytes(size)
    assert code_of(Client().message(bytes(size + 1)), limit=size) == 1009
    assert code_of(final(bytes(size)) + final(b"x"), limit=size) == 1009


def test_a_bomb_is_inflated_to_the_limit_and_no_further() -> None:
    bomb = Client().message(bytes(256 * LIMIT))
    tracemalloc.start()
    try:
        assert code_of(bomb) == 1009
        assert tracemalloc.get_traced_memory()[1] - len(bomb) < 3 * LIMIT
    finally:
        tracemalloc.stop()


# --- to the client ------------------------------------------------------------------------------


def payload_of(frame: bytes) -> bytes:
    if frame[1] < 126:
        return frame[2:]
    return frame[4:] if frame[1] == 126 else frame[10:]


@given(st.lists(st.text(min_size=100).map(str.encode), min_size=1, max_size=5))
def test_every_frame_can_be_read_without_those_before(messages: list[bytes]) -> None:
    deflater = Deflater(12, 1)
    for data in messages:
        frame = deflater.frame(1, data * 3)
        assert frame[0] == 0xC1
        stream = zlib.decompressobj(-12)
        assert stream.decompress(payload_of(frame) + TAIL) == data * 3


def test_the_window_is_no_larger_than_agreed() -> None:
    block = os.urandom(400)
    for bits in range(9, 13):
        frame = Deflater(bits, 1).frame(2, (block + bytes(5000)) * 4)
        stream = zlib.decompressobj(-bits)
        assert stream.decompress(payload_of(frame) + TAIL) == (block + bytes(5000)) * 4


def test_short_messages_and_those_that_do_not_shrink_go_plain() -> None:
    deflater, noise = Deflater(12, 100), os.urandom(1000)
    assert deflater.frame(1, b"a" * 99) == b"\x81\x63" + b"a" * 99
    assert deflater.frame(1, b"a" * 100)[0] == 0xC1
    assert deflater.frame(2, noise) == b"\x82\x7e\x03\xe8" + noise


def test_connections_with_the_same_window_share_a_deflater() -> None:
    assert deflater_of(12, 1024) is deflater_of(12, 1024)
    assert deflater_of(12, 1024).is_shared
    assert not deflater_of(11, 1024).is_shared
