from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.docs.blocks import Page, read


def page(text: str) -> Page:
    return Page(Path("page.md"), read(textwrap.dedent(text)))


seen: list[dict[str, Any]] = []


async def note(namespace: dict[str, Any]) -> None:
    """Check of the test below: keeps what it was given."""
    seen.append(namespace)


def test_blocks_are_found_with_language_line_and_dedented_text() -> None:
    first, second, third = read(
        "# Page\n\n```Python title='x'\na = 1\n```\n\n1. step\n\n   ~~~bash\n   ls\n   ~~~\n"
        "````\n```\n````"
    )
    assert first == ("python", 3, "a = 1", ())
    assert second == ("bash", 9, "ls", ())
    assert third == ("", 12, "```", ())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("```python\na = 1", "line 1: expected the end of the code block"),
        ("\n<!-- check: nothing -->\n```\n```", "line 2: expected <!-- check: module:function -->"),
        ("<!-- check: a:b -->\ntext\n```\n```", "line 1: expected a code block after the check"),
        ("<!-- check: a:b -->", "line 1: expected a code block after the check"),
    ],
)
def test_a_page_that_cannot_be_read_says_where(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(text)


async def test_a_block_sees_the_names_of_those_above_until_a_new_file_begins() -> None:
    program = page(
        """
        ```python
        a = 1
        ```
        ```py
        b = a + 1
        ```
        ```python
        # new file: other.py
        assert "a" not in globals()
        ```
        """
    )
    for block in reversed(program.blocks):
        await program.run(block)


async def test_annotations_resolve_as_in_a_module_and_main_does_not_run() -> None:
    program = page(
        """
        ```python
        from __future__ import annotations
        from typing import get_type_hints

        class Move:
            x: int

        def handle(move: Move) -> None: ...

        assert get_type_hints(handle)["move"] is Move
        if __name__ == "__main__":
            raise AssertionError
        ```
        ```python
        def later(move: NotYet) -> None: ...
        ```
        """
    )
    await program.run(program.blocks[-1])


async def test_a_block_may_await_and_its_tests_are_run() -> None:
    program = page(
        """
        ```python
        import asyncio
        ran = []
        await asyncio.sleep(0)

        def test_plain(): ran.append("plain")
        async def test_coroutine(): ran.append("coroutine")
        def test_with_fixture(fixture): ran.append("never")
        ```
        ```python
        assert ran == ["plain", "coroutine"]
        ```
        """
    )
    for block in program.blocks:
        await program.run(block)


async def test_a_check_gets_the_names_of_the_program() -> None:
    program = page(f"<!-- check: {__name__}:note -->\n\n```python\na = 1\n```")
    await program.run(program.blocks[0])
    assert seen[-1]["a"] == 1


async def test_an_error_in_a_block_shows_the_line_of_the_page() -> None:
    program = page("text\n```python\na = 1\n\nraise RuntimeError\n```")
    with pytest.raises(RuntimeError) as caught:
        await program.run(program.blocks[0])
    assert caught.traceback[-1].lineno == 4
    assert str(caught.traceback[-1].path).endswith("page.md")
