from __future__ import annotations

import json
import subprocess
import sys

import pytest

OPTIONAL = {
    *("attr", "attrs", "fasthtml", "granian", "htpy", "httptools", "httpx", "httpx2", "hypercorn"),
    *("jwt", "msgpack", "nats", "orjson", "picows", "prometheus_client", "pydantic", "redis"),
    *("rich", "typer", "uvicorn", "uvloop", "websockets", "wsproto", "fastapi", "pytest"),
}


def loaded_by(program: str) -> set[str]:
    """Return the top-level modules that `program` leaves loaded in a fresh interpreter."""
    listing = "import json, sys; print(json.dumps(sorted(sys.modules)))"
    command = [sys.executable, "-c", f"{program}\n{listing}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=50)
    return {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    return loaded_by("import wirework")


def test_importing_wirework_loads_no_optional_dependency(loaded: set[str]) -> None:
    already = loaded_by("pass")
    assert (loaded - already) & OPTIONAL == set()


def test_an_optional_dependency_that_is_loaded_would_be_noticed() -> None:
    assert "orjson" in loaded_by("import orjson")
