"""What a NATS address may say, and what is refused; TLS."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from wirework.brokers.nats import NatsBroker
from wirework.brokers.nats.names import digest, token
from wirework.errors import BrokerUnavailable, SettingsError

from .record import Recorder
from .servers import HOST, nats_server


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("nats://", "expected nats://user:password@host:port"),
        ("nats://ann:s3cret@", "expected nats://user:password@host:port"),
        ("nats://s3cret@host/path", "expected nats://user:password@host:port"),
        ("nats://s3cret@host:port", "expected nats://user:password@host:port"),
        ("nats://s3cret@host:99999", "expected nats://user:password@host:port"),
        ("nats://s3cret@host?replicas=0", "replicas: expected 1 to 5, got '0'"),
        ("nats://s3cret@host?storage=tape", "storage: expected 'file' or 'memory', got 'tape'"),
        ("nats://s3cret@host?repplicas=1", "credentials, replicas, storage, got 'repplicas'"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused(url: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        NatsBroker(url)
    assert problem in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("prefix", ["", "a.b", "a b", "*", "ä", "a" * 65])
def test_a_prefix_that_is_no_part_of_a_subject_is_refused(prefix: str) -> None:
    with pytest.raises(SettingsError, match="prefix: expected letters, digits, _ and -"):
        NatsBroker("nats://localhost", prefix=prefix)


def test_channels_have_tokens_of_their_own() -> None:
    names = ["a", "A", "a.b", "a%2Eb", "a*", "a>", "a b", "ä", "$SYS", "a:b", "a\r\nb", "%", "~"]
    tokens = [token(name) for name in names]
    assert len(set(tokens)) == len(names)
    assert not any(set(" .*>\r\n\t") & set(each) for each in tokens)
    assert all(each.isascii() for each in tokens)


def test_a_digest_is_of_its_parts() -> None:
    assert digest("a", "b") == digest("a", "b")
    assert len({digest("a", "b"), digest("ab", ""), digest("a\x001:b"), digest("b", "a")}) == 4


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for the address of the tests that signs itself, and its key."""
    paths = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=nats", "-addext", f"subjectAltName=IP:{HOST}"]
    command += ["-out", str(paths[0]), "-keyout", str(paths[1])]
    subprocess.run(command, check=True, capture_output=True)
    return paths


async def test_tls_is_spoken_with_a_server_that_can_prove_who_it_is(
    tmp_path: Path,
    certificate: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    paths = [str(path) for path in certificate]
    server = nats_server(tmp_path, "--tls", "--tlscert", paths[0], "--tlskey", paths[1])
    request.addfinalizer(server.kill)
    server.start()
    url = server.url.replace("nats://", "tls://")
    broker = NatsBroker(url, timeout=5.0)
    with pytest.raises(BrokerUnavailable, match=f"{HOST}:{server.port}: .*certificate"):
        await broker.start(Recorder())
    monkeypatch.setenv("SSL_CERT_FILE", paths[0])
    await broker.start(Recorder())
    assert broker.is_available
    await broker.stop()


async def test_replicas_need_servers_that_keep_their_word(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server = nats_server(tmp_path)
    request.addfinalizer(server.kill)
    server.start()
    broker = NatsBroker(f"{server.url}?replicas=3", timeout=5.0)
    with pytest.raises(BrokerUnavailable, match=r"2\.10\.19 or newer|replicas"):
        await broker.start(Recorder())
    await broker.stop()
