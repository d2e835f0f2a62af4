"""Each example is an application of its own: `uvicorn examples.echo:app`."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

import examples.page
from examples import demo
from wirework import App
from wirework.testing import TestClient

FOLDER = Path(examples.page.__file__).parent
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if "\napp = App(" in path.read_text())


def app_of(name: str) -> App:
    app = import_module(f"examples.{name}").app
    assert isinstance(app, App)
    return app


def test_every_example_is_part_of_the_demo() -> None:
    shown = {example.router for example in demo.EXAMPLES}
    alone = {import_module(f"examples.{name}").router for name in NAMES if name != "demo"}
    assert shown == alone


@pytest.mark.parametrize("name", NAMES)
async def test_a_page_and_every_file_it_loads_are_served(name: str) -> None:
    async with TestClient(app_of(name)) as client:
        answer = await client.get("/")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.text.startswith("<!doctype html>")
        files = re.findall(r'(?:src|href)="(/(?:static|htmx)/[^"]+)"', answer.text)
        assert files
        for file in files:
            assert (await client.get(file)).status_code == 200, file


async def test_a_file_of_htmx_that_does_not_exist_is_404_and_says_what_to_do() -> None:
    async with TestClient(app_of("htmx_hello")) as client:
        answer = await client.get("/htmx/nope.js")
    assert answer.status_code == 404
    assert "scripts/demo" in answer.text


async def test_without_htmx_the_page_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("examples.htmx.FILES", {})
    async with TestClient(app_of("htmx_hello")) as client:
        assert "htmx is not installed" in (await client.get("/")).text
