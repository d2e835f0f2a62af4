"""Real keys of every kind, made once, and tokens signed with them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization as forms
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

SECRET = "a secret of thirty-two characters"


@cache
def private(algorithm: str) -> Any:
    """The private key that signs with `algorithm`; other calls bring the same one."""
    if algorithm.startswith(("RS", "PS")):
        return rsa.generate_private_key(65537, 2048)
    curves: dict[str, Any] = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1}
    if algorithm in curves:
        return ec.generate_private_key(curves[algorithm]())
    return SECRET if algorithm.startswith("HS") else ed25519.Ed25519PrivateKey.generate()


@cache
def another(algorithm: str) -> Any:
    """A second key of the same kind."""
    return private.__wrapped__(algorithm) if not algorithm.startswith("HS") else SECRET[::-1]


def public(algorithm: str) -> Any:
    key = private(algorithm)
    return key if isinstance(key, str) else key.public_key()


def pem(algorithm: str) -> str:
    encoding, form = forms.Encoding.PEM, forms.PublicFormat.SubjectPublicKeyInfo
    return str(public(algorithm).public_bytes(encoding, form).decode())


def jwk(algorithm: str, kid: str | None = None, **fields: Any) -> dict[str, Any]:
    maker: Any = jwt.get_algorithm_by_name(algorithm)
    named = {} if kid is None else {"kid": kid}
    return {**maker.to_jwk(public(algorithm), as_dict=True), **named, **fields}


def claims(**changes: Any) -> dict[str, Any]:
    """Claims that nothing is wrong with, but for `changes`; None leaves one out."""
    found = {"sub": "ada", "exp": int(time.time()) + 600, **changes}
    return {name: value for name, value in found.items() if value is not None}


def token(
    algorithm: str = "HS256",
    key: Any = None,
    headers: dict[str, Any] | None = None,
    **changes: Any,
) -> str:
    key = private(algorithm) if key is None else key
    if algorithm.startswith("HS"):
        return forged({"alg": algorithm, **(headers or {})}, claims(**changes), key)
    return jwt.encode(claims(**changes), key, algorithm, headers)


def segment(value: Any) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def hmac_of(text: str, algorithm: str, secret: bytes | str = SECRET) -> str:
    """The signature of RFC 7518 section 3.2, by the standard library."""
    digest = {"HS384": hashlib.sha384, "HS512": hashlib.sha512}.get(algorithm, hashlib.sha256)
    key = secret.encode() if isinstance(secret, str) else secret
    return segment(hmac.new(key, text.encode(), digest).digest())


def forged(header: Any, content: Any, secret: bytes | str = SECRET) -> str:
    """What no library would sign: any header, any content, with the HMAC that it names."""
    text = f"{segment(header)}.{segment(content)}"
    named = header.get("alg") if isinstance(header, dict) else None
    return f"{text}.{hmac_of(text, str(named), secret)}"
