"""Keys that sign tokens, each with the algorithms that may be used with it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from types import ModuleType

__all__ = [
    "JwkSet",
    "Key",
    "accepted_algorithms",
    "checked_algorithms",
    "filled",
    "key_of",
    "pyjwt",
]

_HMAC: Final = ("HS256", "HS384", "HS512")
_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES: Final = {
    "secp256r1": ("ES256",),
    "secp384r1": ("ES384",),
    "secp521r1": ("ES512",),
    "secp256k1": ("ES256K",),
}
_EDWARDS: Final = ("EdDSA",)
ALGORITHMS: Final = (*_HMAC, *_RSA, *(each for (each,) in _CURVES.values()), *_EDWARDS)

_MIN_SECRET: Final = 32
_MIN_RSA_BITS: Final = 2048
_MAX_KEYS: Final = 100


@dataclass(frozen=True, slots=True, repr=False)
class Key:
    """A key that verifies signatures; `algorithms` are those that fit it, one or more."""

    material: Any
    algorithms: tuple[str, ...]
    kid: str | None = None

    @property
    def is_symmetric(self) -> bool:
        """Whether it signs, too."""
        return isinstance(self.material, bytes)

    def limited_to(self, algorithms: Collection[str]) -> Key:
        """Return the same key for those of its algorithms that are among `algorithms`."""
        return Key(self.material, tuple(a for a in self.algorithms if a in algorithms), self.kid)

    def __repr__(self) -> str:
        return f"Key(kid={self.kid!r}, algorithms={self.algorithms!r})"


class JwkSet:
    """Keys as a JSON Web Key Set has them (RFC 7517), found by the `kid` of a token.

    Keys of unknown types, for encryption, or too weak are left out, as the RFC asks.

    Args:
        keys: the decoded set, `{"keys": [...]}`, or its list.

    Raises:
        TypeError: it is no such set.
        ValueError: it has no key that can verify a signature, or more than 100 keys.
        ModuleNotFoundError: the extra `jwt` is not installed.
    """

    def __init__(self, keys: Mapping[str, Any] | Iterable[Mapping[str, Any]]) -> None:
        pyjwt()
        listed = keys.get("keys") if isinstance(keys, Mapping) else keys
        if isinstance(listed, str | bytes) or not isinstance(listed, Iterable):
            raise TypeError(
                f"JwkSet: expected {{'keys': [...]}} or a list, got {type(listed).__name__}"
            )
        members = list(listed)
        if len(members) > _MAX_KEYS:
            raise ValueError(f"JwkSet: expected at most {_MAX_KEYS} keys, got {len(members)}")
        self.keys = tuple(key for each in members if (key := _usable(each)) is not None)
        if not self.keys:
            raise ValueError(f"JwkSet: expected a key for signatures, got none in {len(members)}")

    def find(self, kid: str | None, algorithm: str) -> Key | None:
        """Return the one key that a token can be signed with; None where there is not just one."""
        found = [
            key
            for key in self.keys
            if algorithm in key.algorithms and (kid is None or key.kid == kid)
        ]
        return found[0] if len(found) == 1 else None

    def __len__(self) -> int:
        return len(self.keys)

    def __repr__(self) -> str:
        return f"JwkSet({len(self)} keys)"


def pyjwt() -> ModuleType:
    """Return PyJWT.

    Raises:
        ModuleNotFoundError: it, or the cryptography that it needs, is not installed.
    """
    try:
        import cryptography  # noqa: F401
        import jwt
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"Jwt needs PyJWT with cryptography, got no module {error.name!r}: "
            "pip install 'wirework[jwt]'",
            name=error.name,
        ) from None
    return jwt


def key_of(key: object) -> Key:
    """Return the key that was given as a secret, as PEM, as an object of cryptography or as a JWK.

    Raises:
        TypeError: it is something else.
        ValueError: it cannot be read, is too weak, or is of a type that signs no tokens.
    """
    if isinstance(key, Mapping):
        return _from_jwk(key)
    if isinstance(key, str):
        key = key.encode()
    if isinstance(key, bytes):
        key = _from_bytes(key)
    material = _public(key)
    return Key(material, _algorithms_of(material))


def filled(secret: bytes) -> bytes:
    """Return a secret of 64 bytes that makes the same signatures.

    HMAC fills a key up with zeros itself (RFC 2104), to 64 bytes at least. So PyJWT does not warn
    of a secret of 32 bytes, which is as good for HS512 as for HS256.
    """
    return secret.ljust(64, b"\0")


def checked_algorithms(algorithms: object) -> tuple[str, ...]:
    """Return the names of algorithms, which all are known, and none of which is "none".

    Raises:
        TypeError: it is no list of str.
        ValueError: a name is unknown, or there is none.
    """
    if isinstance(algorithms, str) or not isinstance(algorithms, Collection):
        raise TypeError(f"Jwt algorithms: expected a list such as ['ES256'], got {algorithms!r}")
    for name in algorithms:
        if name not in ALGORITHMS:
            raise ValueError(
                f"Jwt algorithms: expected some of {', '.join(ALGORITHMS)}, got {name!r}"
            )
    if not algorithms:
        raise ValueError("Jwt algorithms: expected a list such as ['ES256'], got an empty one")
    return tuple(algorithms)


def accepted_algorithms(keys: Sequence[Key], named: Sequence[str] | None) -> tuple[str, ...]:
    """Return the algorithms that are accepted with `keys`; those that they pin if none are named.

    Raises:
        ValueError: a named one fits no key, or none is named and a key fits several.
    """
    for name in named or ():
        if not any(name in key.algorithms for key in keys):
            fitting = ", ".join(dict.fromkeys(each for key in keys for each in key.algorithms))
            raise ValueError(f"Jwt algorithms: expected some of {fitting} for the key, got {name}")
    if named is not None:
        return tuple(named)
    for key in keys:
        if len(key.algorithms) != 1:
            choice = ", ".join(key.algorithms)
            raise ValueError(f"Jwt algorithms: expected some of {choice} for the key, got none")
    return tuple(dict.fromkeys(key.algorithms[0] for key in keys))


def _usable(jwk: object) -> Key | None:
    try:
        return _from_jwk(jwk) if isinstance(jwk, Mapping) else None
    except ValueError:
        return None


def _from_jwk(jwk: Mapping[str, Any]) -> Key:
    if jwk.get("use", "sig") != "sig":
        raise ValueError("JWK: expected a key for signatures, got one for something else")
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or not {"verify", "sign"} & set(map(str, operations)):
        raise ValueError("JWK: expected a key for signatures, got one for something else")
    kid = jwk.get("kid")
    if kid is not None and not isinstance(kid, str):
        raise ValueError(f"JWK kid: expected a str, got {type(kid).__name__}")
    material = _public(_material_of(jwk))
    if isinstance(material, bytes):
        _check_secret(material)
    algorithms = _algorithms_of(material)
    named = jwk.get("alg")
    if named is not None and named not in algorithms:
        raise ValueError(f"JWK alg: expected {' or '.join(algorithms)}, got {named!r}")
    return Key(material, algorithms if named is None else (named,), kid)


def _material_of(jwk: Mapping[str, Any]) -> Any:
    # Without `alg`, which is judged by us; PyJWT needs it told for Ed448 alone.
    fields = {name: jwk[name] for name in jwk if name != "alg"}
    try:
        return pyjwt().PyJWK(fields, "EdDSA" if jwk.get("kty") == "OKP" else None).key
    except Exception as error:
        # The text of the error holds the key.
        raise ValueError(f"JWK: it cannot be read ({type(error).__name__})") from None


def _from_bytes(data: bytes) -> Any:
    """Return the public key that `data` is in text form; `data` itself where it is a secret."""
    from cryptography.hazmat.primitives import serialization as forms
    from cryptography.x509 import load_pem_x509_certificate

    if b"-----BEGIN" not in data:
        _check_secret(data)
        return data
    for load in (
        forms.load_pem_public_key,
        lambda pem: forms.load_pem_private_key(pem, password=None),
        lambda pem: load_pem_x509_certificate(pem).public_key(),
    ):
        try:
            return load(data)
        except (ValueError, TypeError):
            continue
    raise ValueError("Jwt key: expected PEM of a public key, got PEM that cannot be read")


def _check_secret(data: bytes) -> None:
    if len(data) < _MIN_SECRET:
        raise ValueError(
            f"Jwt key: expected a secret of at least {_MIN_SECRET} bytes, got {len(data)}; "
            "make one with secrets.token_urlsafe(32)"
        )
    jwt = pyjwt()
    try:
        jwt.get_algorithm_by_name("HS256").prepare_key(data)
    except jwt.InvalidKeyError:
        raise ValueError(
            "Jwt key: expected a secret or PEM, got what looks like another form of a public key; "
            "load it and give the object, or the decoded JWK"
        ) from None


def _public(key: Any) -> Any:
    """Return the half of a key that verifies: a private key is not kept."""
    return key.public_key() if hasattr(key, "private_bytes") else key


def _algorithms_of(key: Any) -> tuple[str, ...]:
    from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

    if isinstance(key, bytes):
        return _HMAC
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < _MIN_RSA_BITS:
            raise ValueError(
                f"Jwt key: expected RSA of at least {_MIN_RSA_BITS} bits, got {key.key_size}"
            )
        return _RSA
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name]
    if isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        return _EDWARDS
    raise TypeError(
        f"Jwt key: expected a secret, PEM, a public key or a JWK, got {type(key).__name__}"
    )
