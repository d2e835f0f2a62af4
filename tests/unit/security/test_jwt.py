from __future__ import annotations

import time
from typing import Any, TypedDict

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.security.keyring import (
    SECRET,
    another,
    claims,
    forged,
    hmac_of,
    jwk,
    pem,
    private,
    public,
    segment,
    token,
)
from wirework.security.credentials import BadCredentials
from wirework.security.identity import Identity
from wirework.security.jwt import Jwt
from wirework.security.keys import JwkSet

NOW = int(time.time())
HS256: dict[str, Any] = {"key": SECRET, "algorithms": ["HS256"]}
HEADER = {"alg": "HS256", "typ": "JWT"}
SIGNING = ["HS256", "HS512", "RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"]


async def reason(verify: Jwt, text: Any) -> str:
    with pytest.raises(BadCredentials) as caught:
        await verify(text)
    assert str(caught.value) == "not_authenticated: Could not validate credentials."
    assert caught.value.__cause__ is None
    return caught.value.reason


# --- good tokens --------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", SIGNING)
async def test_a_good_token_says_who_it_is_and_until_when(algorithm: str) -> None:
    verify = Jwt(key=public(algorithm), algorithms=[algorithm])
    assert await verify(token(algorithm, exp=NOW + 9999)) == Identity("ada", NOW + 9999 + 10)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_public_key_may_be_given_as_pem_or_as_jwk(algorithm: str) -> None:
    for key in (pem(algorithm), pem(algorithm).encode(), jwk(algorithm)):
        verify = Jwt(key=key, algorithms=[algorithm])
        assert (await verify(token(algorithm))).user == "ada"


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "ES512", "EdDSA"])
async def test_a_key_that_pins_its_algorithm_needs_none_named(algorithm: str) -> None:
    assert (await Jwt(key=public(algorithm))(token(algorithm))).user == "ada"


async def test_a_jwk_may_pin_the_algorithm_of_a_key_that_does_not() -> None:
    assert (await Jwt(key=jwk("RS256", alg="RS256"))(token("RS256"))).user == "ada"
    said = await reason(Jwt(key=jwk("RS256", alg="PS256")), token("RS256"))
    assert said == "JWT: its algorithm is not one of those that are accepted"


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_of_a_private_key_only_the_public_half_is_kept(algorithm: str) -> None:
    verify = Jwt(key=private(algorithm), algorithms=[algorithm])
    assert (await verify(token(algorithm))).user == "ada"
    with pytest.raises(TypeError, match=r"Jwt.encode: expected a Jwt with a secret"):
        verify.encode({"sub": "ada"})


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
async def test_a_secret_of_32_bytes_serves_every_hmac_as_other_libraries_sign_it(
    algorithm: str,
) -> None:
    verify = Jwt(key=SECRET, algorithms=["HS256", "HS384", "HS512"])
    assert (await verify(token(algorithm))).user == "ada"
    long = SECRET * 9
    assert (await Jwt(key=long, algorithms=[algorithm])(token(algorithm, long))).user == "ada"
    text, _, signature = Jwt(key=SECRET, algorithms=[algorithm]).encode({}).rpartition(".")
    assert signature == hmac_of(text, algorithm)


async def test_what_it_signs_itself_it_takes() -> None:
    verify = Jwt(**HS256, audience="chat", issuer="https://id.example", clock=lambda: NOW)
    identity = await verify(verify.encode({"sub": "ada"}, lifetime=9999))
    assert identity == Identity("ada", NOW + 9999 + 10)
    token = verify.encode({"sub": "a"}, lifetime=9999)
    assert jwt.decode(token, SECRET, ["HS256"], audience="chat")["iss"]


async def test_claims_that_are_given_win_over_those_that_are_added() -> None:
    verify = Jwt(**HS256, audience="chat")
    assert await reason(verify, verify.encode({"sub": "a", "aud": "x"})) == "JWT: invalid audience"
    assert await reason(verify, verify.encode({"sub": "a", "exp": 1})) == "JWT: expired signature"


async def test_a_token_names_the_key_that_signed_it() -> None:
    verify = Jwt(key=jwk("HS256", "k1"), algorithms=["HS256"])
    assert jwt.get_unverified_header(verify.encode({"sub": "ada"}))["kid"] == "k1"


# --- tokens that are refused --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"exp": NOW - 60}, "JWT: expired signature"),
        ({"exp": NOW - 11}, "JWT: expired signature"),
        ({"exp": 0}, "JWT: expired signature"),
        ({"exp": -(10**30)}, "JWT: expired signature"),
        ({"exp": None}, "JWT: missing required claim"),
        ({"exp": "9999999999"}, "JWT: a time in it is no number"),
        ({"exp": True}, "JWT: expired signature"),
        ({"exp": [9999999999]}, "JWT: decode"),
        ({"exp": {}}, "JWT: decode"),
        ({"exp": float("nan")}, "JWT: decode"),
        ({"exp": float("inf")}, "JWT: decode"),
        ({"exp": 10**400}, "JWT: a time in it is no number"),
        ({"exp": 1e300}, "JWT: a time in it is no number"),
        ({"nbf": NOW + 9999}, "JWT: immature signature"),
        ({"nbf": "soon"}, "JWT: decode"),
        ({"nbf": "5"}, "JWT: a time in it is no number"),
        ({"iat": NOW + 9999}, "JWT: immature signature"),
        ({"aud": "chat"}, "JWT: invalid audience"),
        ({"sub": None}, "JWT: its sub names no user, and optional is not set"),
        ({"sub": ""}, "JWT: its sub names no user, and optional is not set"),
        ({"sub": 5}, "JWT: invalid subject"),
        ({"sub": ["ada"]}, "JWT: invalid subject"),
    ],
    ids=[
        *("expired", "expired_just", "epoch", "past", "no_exp", "exp_text", "exp_true", "exp_list"),
        *("exp_object", "exp_nan", "exp_inf", "exp_huge", "exp_far", "not_yet", "nbf_word"),
        *("nbf_text", "iat_future", "other_audience", "no_sub", "sub_empty", "sub_number"),
        "sub_list",
    ],
)
async def test_a_token_with_a_wrong_claim_is_refused(changes: dict[str, Any], said: str) -> None:
    content = claims(**changes)
    assert await reason(Jwt(**HS256), forged(HEADER, content)) == said


async def test_clocks_may_differ_by_the_leeway() -> None:
    verify, now = Jwt(**HS256, leeway=120), int(time.time())
    identity = await verify(token(exp=now - 60, nbf=now + 60, iat=now + 60))
    assert identity.expires_at == now - 60 + 120


async def test_a_token_without_an_end_is_taken_only_where_none_is_asked_for() -> None:
    assert await Jwt(**HS256, require=())(token(exp=None)) == Identity("ada")
    asked = Jwt(**HS256, require=("exp", "jti"))
    assert await reason(asked, token()) == "JWT: missing required claim"
    assert (await asked(token(jti="1"))).user == "ada"


@pytest.mark.parametrize(
    ("audience", "aud", "is_taken"),
    [
        ("chat", "chat", True),
        ("chat", ["mail", "chat"], True),
        (["chat", "mail"], "mail", True),
        ("chat", "mail", False),
        ("chat", ["mail"], False),
        ("chat", [], False),
        ("chat", None, False),
        ("chat", {"chat": 1}, False),
        ("chat", ["chat", 5], False),
        ("chat", "chatter", False),
        (["chat"], "Chat", False),
        (None, ["chat"], False),
        (None, None, True),
    ],
    ids=[
        *("same", "in_list", "one_of", "other", "other_list", "empty", "none", "object", "mixed"),
        *("longer", "case", "not_asked", "neither"),
    ],
)
async def test_the_audience_must_be_named(audience: Any, aud: Any, is_taken: bool) -> None:
    verify = Jwt(**HS256, audience=audience)
    if is_taken:
        assert (await verify(token(aud=aud))).user == "ada"
    else:
        text = forged(HEADER, claims(aud=aud))
        assert await reason(verify, text) in (
            "JWT: invalid audience",
            "JWT: missing required claim",
        )


@pytest.mark.parametrize(
    ("iss", "said"),
    [
        ("https://evil.example", "JWT: invalid issuer"),
        ("https://id.example/", "JWT: invalid issuer"),
        (["https://id.example"], "JWT: invalid issuer"),
        (None, "JWT: missing required claim"),
    ],
    ids=["other", "slash", "list", "none"],
)
async def test_the_issuer_must_be_the_right_one(iss: Any, said: str) -> None:
    for issuer in ("https://id.example", ["https://id.example", "https://old.example"]):
        verify = Jwt(**HS256, issuer=issuer)
        assert (await verify(token(iss="https://id.example"))).user == "ada"
        assert await reason(verify, forged(HEADER, claims(iss=iss))) == said


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "None"},
        {"alg": "nOnE", "typ": "JWT"},
        {"alg": ""},
        {"alg": None},
        {"alg": ["HS256"]},
        {"alg": {"HS256": 1}},
        {"alg": "HS512"},
        {"alg": "hs256"},
        {"alg": "HS256 "},
        {"typ": "JWT"},
    ],
    ids=lambda header: str(header.get("alg", "absent")),
)
async def test_another_algorithm_is_refused_however_well_it_is_signed(header: Any) -> None:
    said = "JWT: its algorithm is not one of those that are accepted"
    assert await reason(Jwt(**HS256), forged(header, claims())) == said


@pytest.mark.parametrize("alg", ["none", "HS256"])
async def test_a_token_without_a_signature_is_refused(alg: str) -> None:
    unsigned = forged({"alg": alg}, claims()).rpartition(".")[0]
    expected = "JWT: expected three parts in base64url, got something else"
    assert await reason(Jwt(**HS256), unsigned + ".") == expected
    assert await reason(Jwt(**HS256), unsigned) == expected


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_public_key_is_no_secret_for_hmac(algorithm: str) -> None:
    verify = Jwt(key=pem(algorithm), algorithms=[algorithm])
    for secret in (pem(algorithm), pem(algorithm).strip()):
        for alg in ("HS256", algorithm):
            with pytest.raises(BadCredentials):
                await verify(forged({"alg": alg}, claims(), secret))


@pytest.mark.parametrize("algorithm", SIGNING)
async def test_a_token_that_somebody_else_signed_is_refused(algorithm: str) -> None:
    verify = Jwt(key=public(algorithm), algorithms=[algorithm])
    assert await reason(verify, token(algorithm, another(algorithm))) == "JWT: invalid signature"


@pytest.mark.parametrize("algorithm", SIGNING)
async def test_a_token_that_was_changed_is_refused(algorithm: str) -> None:
    verify = Jwt(key=public(algorithm), algorithms=[algorithm])
    header, _, signature = token(algorithm).split(".")
    changed = f"{header}.{segment(claims(sub='admin'))}.{signature}"
    assert await reason(verify, changed) == "JWT: invalid signature"
    for cut in ("AAAA", signature[:-4], signature + "AAAA"):
        with pytest.raises(BadCredentials):
            await verify(".".join([*token(algorithm).split(".")[:2], cut]))


@pytest.mark.parametrize(
    "extension",
    [
        {"crit": ["exp"]},
        {"crit": ["x"], "x": 1},
        {"crit": []},
        {"crit": None},
        {"crit": "b64"},
        {"crit": ["b64"], "b64": True},
        {"crit": ["b64"], "b64": False},
        {"b64": False},
        {"b64": True},
    ],
    ids=[
        *("registered", "unknown", "empty", "null", "text", "b64", "b64_off", "b64_uncritical"),
        "b64_on",
    ],
)
async def test_a_token_with_an_extension_is_refused(extension: dict[str, Any]) -> None:
    said = await reason(Jwt(**HS256), forged({**HEADER, **extension}, claims()))
    assert said == "JWT: the header has an extension"


@pytest.mark.parametrize("kid", ["k2", "", "K1", "k" * 257, "../../k1", "k1\x00", 5, ["k1"], {}])
async def test_a_token_of_a_foreign_kid_is_refused(kid: Any) -> None:
    text = forged({**HEADER, "kid": kid}, claims())
    for verify in (
        Jwt(key=jwk("HS256", "k1"), algorithms=["HS256"]),
        Jwt(keys=JwkSet([jwk("HS256", "k1")]), algorithms=["HS256"]),
    ):
        assert await reason(verify, text) in (
            "JWT: signed with an unknown key",
            "JWT: its kid is no str, empty or too long",
        )
        assert (await verify(token(headers={"kid": "k1"}))).user == "ada"


async def test_keys_that_the_token_brings_along_do_not_count() -> None:
    headers = {"jwk": jwk("HS256"), "jku": "https://evil.example", "x5c": ["x"]}
    mine = forged({**HEADER, **headers}, claims(), SECRET[::-1])
    assert await reason(Jwt(**HS256), mine) == "JWT: invalid signature"


def nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "JWT: it is empty"),
        ("abc", "JWT: expected three parts in base64url, got something else"),
        ("a.b", "JWT: expected three parts in base64url, got something else"),
        ("a.b.c.d", "JWT: expected three parts in base64url, got something else"),
        ("..", "JWT: expected three parts in base64url, got something else"),
        ("a.b.c\n", "JWT: expected three parts in base64url, got something else"),
        ("\u0430.b.c", "JWT: expected three parts in base64url, got something else"),
        ("\udcff.b.c", "JWT: expected three parts in base64url, got something else"),
        (f" {token()}", "JWT: expected three parts in base64url, got something else"),
        (f"Bearer {token()}", "JWT: expected three parts in base64url, got something else"),
        ("a.b.c", "JWT: the header cannot be read"),
        (forged([], claims()), "JWT: the header cannot be read"),
        (forged(b"{", claims()), "JWT: the header cannot be read"),
        (forged(b"\xff", claims()), "JWT: the header cannot be read"),
        (forged(nested(900), claims()), "JWT: its algorithm is not one of those that are accepted"),
        (forged(HEADER, []), "JWT: decode"),
        (forged(HEADER, b"null"), "JWT: decode"),
        (forged(HEADER, b"\xff"), "JWT: decode"),
        (forged(HEADER, b'{"exp":' + b"9" * 5000 + b"}"), "JWT: decode"),
        (token(padding="x" * 9000), "JWT: expected at most 8192 characters, got 12145"),
        ("a" * (1 << 20), "JWT: expected at most 8192 characters, got 1048576"),
        (None, "JWT: expected three parts in base64url, got something else"),
        (b"a.b.c", "JWT: expected three parts in base64url, got something else"),
        (5, "JWT: expected three parts in base64url, got something else"),
    ],
    ids=[
        *("empty", "word", "two", "four", "dots", "line", "look_alike", "surrogate", "space"),
        *("scheme", "no_header", "header_list", "header_cut", "header_latin", "header_deep"),
        *("claims_list", "claims_null", "claims_latin", "claims_digits", "large", "mebibyte"),
        *("none", "bytes", "int"),
    ],
)
async def test_what_is_no_token_is_refused(text: Any, said: str) -> None:
    found = await reason(Jwt(**HS256), text)
    assert found.partition(", got 1")[0] == said.partition(", got 1")[0]


async def test_a_reason_for_the_log_has_nothing_of_the_token() -> None:
    marked = {"sub": "Secret-in-the-claims", "aud": "Secret-in-the-claims", "exp": NOW + 9999}
    for text in (
        forged({**HEADER, "crit": ["Secret-in-the-header"]}, marked),
        forged({"alg": "Secret-in-the-header"}, marked),
        forged({**HEADER, "kid": "Secret-in-the-header" * 20}, marked),
        forged(HEADER, marked),
        "Secret-in-the-token",
    ):
        assert "Secret" not in await reason(Jwt(**HS256), text)


VERIFIERS = {
    "HS256": Jwt(**HS256),
    "RS256": Jwt(key=public("RS256"), algorithms=["RS256"]),
    "ES256": Jwt(key=public("ES256")),
    "EdDSA": Jwt(keys=JwkSet([jwk("EdDSA", "k1"), jwk("ES256", "k2")])),
}


@pytest.mark.parametrize("verify", VERIFIERS.values(), ids=VERIFIERS)
@given(text=st.text() | st.text(alphabet="aZ0-_.=", max_size=60))
@example("eyJ.eyJ.eyJ")
async def test_no_text_makes_verify_raise_anything_but_the_refusal(verify: Jwt, text: str) -> None:
    with pytest.raises(BadCredentials):
        await verify(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
CLAIMS = st.sampled_from(["exp", "nbf", "iat", "aud", "iss", "sub", "jti", "typ", "scope", "x"])
FIELDS = st.sampled_from(["alg", "kid", "crit", "typ", "b64", "x"])


@given(header=st.dictionaries(FIELDS, JSON), content=st.dictionaries(CLAIMS, JSON), is_ours=...)
async def test_no_content_makes_verify_raise_anything_but_the_refusal(
    header: dict[str, Any], content: dict[str, Any], is_ours: bool
) -> None:
    verify = Jwt(**HS256, audience="chat", issuer="us", permissions="scope", user=Claims)
    text = forged({**header, **HEADER} if is_ours else header, content)
    try:
        identity = await verify(text)
    except BadCredentials:
        return
    assert is_ours
    assert content["iss"] == "us"
    assert isinstance(identity.user, Claims)


# --- tokens for something else ------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"refresh": True},
        {"totp": True},
        {"Refresh": 1},
        {"mfa_pending": "yes"},
        {"token_use": "refresh"},
        {"token_type": "refresh_token"},
        {"type": "REFRESH"},
        {"typ": "Refresh"},
        {"use": "refresh-token"},
        {"purpose": "password_reset"},
        {"purpose": "reset"},
        {"type": "magic"},
    ],
    ids=str,
)
async def test_a_token_for_something_else_is_refused(changes: dict[str, Any]) -> None:
    said = await reason(Jwt(**HS256), token(**changes))
    assert said == "JWT: it is a token for something else"


@pytest.mark.parametrize(
    "changes",
    [
        {"refresh": False, "totp": False},
        {"token_use": "access"},
        {"token_type": "access_token"},
        {"typ": "JWT"},
        {"typ": "Bearer"},
        {"type": 5},
        {"purpose": ["reset"]},
        {"scope": "refresh totp"},
    ],
    ids=str,
)
async def test_a_token_for_access_is_taken(changes: dict[str, Any]) -> None:
    assert (await Jwt(**HS256)(token(**changes))).user == "ada"


async def test_what_is_something_else_can_be_chosen() -> None:
    words = Jwt(**HS256, forbid_use=["device"])
    assert await reason(words, token(typ="device")) == "JWT: it is a token for something else"
    assert (await words(token(refresh=True))).user == "ada"
    own = Jwt(**HS256, forbid_use=lambda found: found.get("aal", 0) < 2)
    assert await reason(own, token(aal=1)) == "JWT: it is a token for something else"
    assert (await own(token(aal=2, refresh=True))).user == "ada"


# --- users --------------------------------------------------------------------------------------


class Claims(msgspec.Struct):
    sub: str
    level: int = 0


class Named(TypedDict):
    sub: str


async def test_claims_become_the_type_that_is_asked_for() -> None:
    verify = Jwt(**HS256, user=Claims)
    assert (await verify(token(level=3, is_admin=True))).user == Claims("ada", 3)
    assert await reason(verify, token(level="3")) == "JWT: its claims do not make a user"
    assert verify.user_type is Claims


async def test_claims_become_what_a_function_makes_of_them() -> None:
    def make(found: dict[str, Any]) -> Claims | None:
        return Claims(found["sub"]) if found["sub"] == "ada" else None

    async def look_up(found: dict[str, Any]) -> Claims | None:
        return make(found)

    for function in (make, look_up):
        verify = Jwt(**HS256, user=function)
        assert (await verify(token())).user == Claims("ada")
        assert await reason(verify, token(sub="bob")) == "JWT: there is no such user"
        assert verify.user_type is Claims


async def test_an_error_in_ones_own_function_is_not_hidden() -> None:
    with pytest.raises(KeyError):
        await Jwt(**HS256, user=lambda found: found["email"])(token())


async def test_without_a_function_the_user_is_the_subject() -> None:
    assert Jwt(**HS256).user_type is str


@pytest.mark.parametrize(
    ("changes", "permissions"),
    [
        ({}, set()),
        ({"scope": "a b  c"}, {"a", "b", "c"}),
        ({"scope": ["a", "b c"]}, {"a", "b c"}),
        ({"scope": ""}, set()),
    ],
    ids=lambda value: str(sorted(value)),
)
async def test_permissions_are_read_from_a_claim(
    changes: dict[str, Any], permissions: set[str]
) -> None:
    identity = await Jwt(**HS256, permissions="scope")(token(**changes))
    assert identity.permissions == permissions
    assert (await Jwt(**HS256)(token(**changes))).permissions == frozenset()


@pytest.mark.parametrize("scope", [5, {"a": 1}, ["a", 5], [["a"]]], ids=str)
async def test_permissions_that_are_no_names_are_refused(scope: Any) -> None:
    said = await reason(Jwt(**HS256, permissions="scope"), token(scope=scope))
    assert said == "JWT: its permissions are no list of str"


async def test_permissions_are_read_by_a_function() -> None:
    verify = Jwt(**HS256, permissions=lambda found: found["realm"]["roles"])
    assert (await verify(token(realm={"roles": ["x"]}))).permissions == {"x"}


# --- several keys -------------------------------------------------------------------------------


async def test_a_key_of_a_set_is_found_by_its_kid_with_its_own_algorithm() -> None:
    verify = Jwt(keys=JwkSet({"keys": [jwk("ES256", "e"), jwk("RS256", "r", alg="RS256")]}))
    assert (await verify(token("ES256", headers={"kid": "e"}))).user == "ada"
    assert (await verify(token("RS256", headers={"kid": "r"}))).user == "ada"
    said = await reason(verify, token("ES256", headers={"kid": "r"}))
    assert said == "JWT: signed with an unknown key"


async def test_a_token_without_a_kid_is_taken_where_only_one_key_fits() -> None:
    verify = Jwt(keys=JwkSet([jwk("ES256", "e"), jwk("EdDSA", "d")]))
    assert (await verify(token("ES256"))).user == "ada"
    two = Jwt(keys=JwkSet([jwk("ES256", "e"), jwk("ES256", "f")]))
    assert await reason(two, token("ES256")) == "JWT: signed with an unknown key"


def test_keys_that_cannot_verify_are_left_out_of_a_set() -> None:
    weak = rsa.generate_private_key(65537, 1024).public_key()
    maker: Any = jwt.get_algorithm_by_name("RS256")
    keys = JwkSet(
        [
            jwk("ES256", "good"),
            jwk("ES256", "encrypts", use="enc"),
            jwk("ES256", "wraps", key_ops=["wrapKey"]),
            jwk("ES256", "lies", alg="RS256"),
            jwk("ES256", "unsigned", alg="none"),
            maker.to_jwk(weak, as_dict=True),
            {"kty": "oct", "k": segment(b"short")},
            {"kty": "new"},
            {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
            {"kty": "EC", "crv": []},
            {},
            jwk("ES256", kid=None) | {"kid": 5},
        ]
    )
    assert [key.kid for key in keys.keys] == ["good"]
