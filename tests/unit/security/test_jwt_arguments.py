from __future__ import annotations

import subprocess
import sys
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization as forms
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519

from tests.unit.security.keyring import (
    SECRET,
    jwk,
    pem,
    public,
)
from wirework.security.jwt import Jwt
from wirework.security.keys import JwkSet
from wirework.security.sources import Bearer

HS256: dict[str, Any] = {"key": SECRET, "algorithms": ["HS256"]}


def der() -> bytes:
    encoding, form = forms.Encoding.DER, forms.PublicFormat.SubjectPublicKeyInfo
    return bytes(public("RS256").public_bytes(encoding, form))


def ssh() -> bytes:
    encoding, form = forms.Encoding.OpenSSH, forms.PublicFormat.OpenSSH
    return bytes(public("RS256").public_bytes(encoding, form))


X25519 = x25519.X25519PrivateKey.generate().public_key()
BRAINPOOL = ec.generate_private_key(ec.BrainpoolP256R1()).public_key()
WEAK = rsa.generate_private_key(65537, 1024).public_key()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "Jwt: expected one of key, keys and jwks_url"),
        ({"key": SECRET, "jwks_url": "https://a.b"}, "Jwt: expected one of key, keys and jwks"),
        ({"key": SECRET}, "expected some of HS256, HS384, HS512 for the key, got none"),
        ({"key": pem("RS256")}, "expected some of RS256, RS384, RS512, PS256, PS384, PS512 for"),
        ({**HS256, "algorithms": ["none"]}, "algorithms: expected some of HS256, .* got 'none'"),
        ({**HS256, "algorithms": ["HS256", "None"]}, "expected some of HS256, .*, got 'None'"),
        ({**HS256, "algorithms": []}, "algorithms: expected a list such as .*, got an empty one"),
        ({**HS256, "algorithms": "HS256"}, "algorithms: expected a list such as .*, got 'HS256'"),
        ({**HS256, "algorithms": ["RS256"]}, "HS256, HS384, HS512 for the key, got RS256"),
        ({**HS256, "key": pem("RS256")}, "expected some of RS256, .* for the key, got HS256"),
        ({"key": pem("RS256"), "algorithms": ["RS256", "HS256"]}, "for the key, got HS256"),
        ({**HS256, "key": pem("ES256")}, "expected some of ES256 for the key, got HS256"),
        ({"key": public("ES384"), "algorithms": ["ES256"]}, "ES384 for the key, got ES256"),
        ({**HS256, "key": der()}, "got what looks like another form of a public key"),
        ({**HS256, "key": ssh()}, "got what looks like another form of a public key"),
        ({**HS256, "key": msgspec.json.encode(jwk("RS256"))}, "got what looks like another form"),
        ({**HS256, "key": "short"}, "expected a secret of at least 32 bytes, got 5"),
        ({**HS256, "key": ""}, "expected a secret of at least 32 bytes, got 0"),
        ({**HS256, "key": "-----BEGIN PUBLIC KEY-----"}, "got PEM that cannot be read"),
        ({"key": WEAK, "algorithms": ["RS256"]}, "expected RSA of at least 2048 bits, got 1024"),
        ({"key": X25519}, "expected a secret, PEM, a public key or a JWK, got X25519PublicKey"),
        ({"key": BRAINPOOL}, "expected a secret, PEM, a public key or a JWK, got ECPublicKey"),
        ({"key": 5}, "expected a secret, PEM, a public key or a JWK, got int"),
        ({"key": {"kty": "oct", "k": "c2VjcmV0LW9uZQ"}}, "at least 32 bytes, got 10"),
        ({"key": {"kty": "nope", "k": "s3cr3t"}}, "JWK: it cannot be read .InvalidKeyError.$"),
        ({"key": jwk("ES256", alg="RS256")}, "JWK alg: expected ES256, got 'RS256'"),
        ({"key": jwk("ES256", use="enc")}, "JWK: expected a key for signatures"),
        ({"keys": [jwk("ES256")]}, "Jwt keys: expected a JwkSet, got list"),
        ({"keys": JwkSet([jwk("RS256")])}, "expected some of RS256, .* for the key, got none"),
        ({"jwks_url": "https://a.b/k"}, "expected those of public keys with jwks_url, got None"),
        ({"jwks_url": "https://a.b/k", "algorithms": ["HS256"]}, "expected those of public keys"),
        ({"jwks_url": "http://a.b/k", "algorithms": ["ES256"]}, "whoever is between could send"),
        ({**HS256, "leeway": -1}, "Jwt leeway: expected 0 to 300 seconds, got -1"),
        ({**HS256, "leeway": float("nan")}, "Jwt leeway: expected 0 to 300 seconds, got nan"),
        ({**HS256, "leeway": 3600}, "Jwt leeway: expected 0 to 300 seconds, got 3600"),
        ({**HS256, "audience": []}, "Jwt audience: expected a str or several, got none"),
        ({**HS256, "audience": [5]}, "Jwt audience: expected a str or several, got .5."),
        ({**HS256, "issuer": ""}, "Jwt issuer: expected a str or several, got ''"),
        ({**HS256, "user": 5}, "Jwt user: expected a function of the claims or a type, got 5"),
        (
            {**HS256, "user": Jwt},
            "Jwt user: expected a Struct, a dataclass or a TypedDict, got J",
        ),
    ],
    ids=[
        *("nothing", "both", "secret_open", "rsa_open", "none", "None", "empty", "text"),
        *("rs_for_secret", "hs_for_rsa", "rs_and_hs", "hs_for_ec", "wrong_curve", "der", "ssh"),
        *("jwk_text", "short", "blank", "pem_cut", "weak_rsa", "x25519", "brainpool", "number"),
        *("weak_jwk", "strange_jwk", "jwk_lies", "jwk_encrypts", "list", "set_open", "url_open"),
        *("url_hs", "url_http", "leeway", "leeway_nan", "leeway_hour", "no_audience"),
        *("audience_number", "issuer", "user", "user_class"),
    ],
)
def test_arguments_that_cannot_work_are_refused(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises((TypeError, ValueError), match=said) as caught:
        Jwt(**arguments)
    key = arguments.get("key")
    assert len(str(key)) < 8 or str(key) not in str(caught.value)
    assert "s3cr3t" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ([], "JwkSet: expected a key for signatures, got none in 0"),
        ({"keys": [{"kty": "x"}]}, "JwkSet: expected a key for signatures, got none in 1"),
        ([{}] * 101, "JwkSet: expected at most 100 keys, got 101"),
        ({}, r"JwkSet: expected \{'keys': \[...\]\} or a list, got NoneType"),
        ("{}", r"JwkSet: expected \{'keys': \[...\]\} or a list, got str"),
    ],
    ids=["empty", "unusable", "many", "no_keys", "text"],
)
def test_a_set_without_keys_is_refused(keys: Any, said: str) -> None:
    with pytest.raises((TypeError, ValueError), match=said):
        JwkSet(keys)


def test_no_text_about_it_shows_the_key() -> None:
    verify = Jwt(**HS256)
    assert repr(verify) == "Jwt(algorithms=['HS256'])"
    assert SECRET not in repr(vars(verify))
    assert repr(Bearer(verify)) == "Bearer(Jwt(algorithms=['HS256']))"
    assert repr(JwkSet([jwk("ES256")])) == "JwkSet(1 keys)"


WITHOUT = """
import sys
sys.modules[{absent!r}] = None
import wirework
from wirework.security.jwt import Jwt
from wirework.security.keys import JwkSet
for make in (lambda: Jwt(key="x" * 32, algorithms=["HS256"]), lambda: JwkSet([])):
    try:
        make()
    except ModuleNotFoundError as error:
        print(error)
"""


@pytest.mark.parametrize("absent", ["jwt", "cryptography"])
def test_without_the_extra_it_says_what_to_install(absent: str) -> None:
    program = [sys.executable, "-c", WITHOUT.format(absent=absent)]
    done = subprocess.run(program, capture_output=True, text=True, check=True, timeout=50)
    said = f"Jwt needs PyJWT with cryptography, got no module {absent!r}: pip install"
    assert done.stdout.splitlines() == [f"{said} 'wirework[jwt]'"] * 2
