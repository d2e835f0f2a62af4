"""The frame around every example's page, and the files that all pages load."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from htpy import (
    Element,
    Node,
    a,
    body,
    code,
    details,
    footer,
    h1,
    head,
    header,
    html,
    link,
    main,
    meta,
    p,
    pre,
    script,
    span,
    summary,
    title,
)
from markupsafe import Markup
from starlette.staticfiles import StaticFiles

HERE = Path(__file__).parent
STATIC = StaticFiles(directory=HERE / "static")


def page(
    name: str,
    heading: str,
    hint: str,
    *content: Node,
    scripts: Node = None,
    sources: Sequence[str] = (),
) -> Element:
    """Return the page of the example `name`: `content`, or else the file `pages/<name>.html`.

    Its own file is shown below, and `sources`, more files of the examples.
    """
    return document(
        heading,
        header[
            a(".home", href="../", aria_label="All examples")["← Examples"],
            span(".connection")[
                a(".again", href="")["connect again"],
                span("#badge", data_state="none", role="status")["not connected"],
            ],
        ],
        script(src="/static/page.js"),
        main[h1[heading], p(".hint")[hint], *(content or [_read(f"pages/{name}.html")])],
        footer[
            _source(f"{name}.py"),
            None if content else _source(f"pages/{name}.html"),
            [_source(each) for each in sources],
        ],
        scripts=scripts,
    )


def document(heading: str, *content: Node, scripts: Node = None) -> Element:
    """Return a whole HTML document in the style of the examples."""
    return html(lang="en")[
        head[
            meta(charset="utf-8"),
            meta(name="viewport", content="width=device-width, initial-scale=1"),
            title[f"{heading} · Wirework"],
            link(rel="icon", href="/static/icon.svg"),
            link(rel="stylesheet", href="/static/style.css"),
            scripts,
        ],
        body[content],
    ]


def _read(path: str) -> Markup:
    return Markup((HERE / path).read_text("utf-8"))


def _source(path: str) -> Element:
    text = (HERE / path).read_text("utf-8")
    return details[summary["examples/", path], pre[code[text]]]
