"""htmx itself: its files, both versions of them, and what pages write differently for each."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import msgspec
from htpy import Element, Node, a, nav, p, script
from starlette.responses import FileResponse

from wirework import Query, Refuse, Router

FILES = {
    "htmx-2.js": ("htmx2/dist/htmx.min.js", "htmx-2.min.js"),
    "ws-2.js": ("htmx-ext-ws/dist/ws.min.js", "ext/hx-ws-2.min.js"),
    "htmx-4.js": ("htmx.org/dist/htmx.min.js", "htmx-4.min.js"),
    "ws-4.js": ("htmx.org/dist/ext/hx-ws.min.js", "ext/hx-ws-4.min.js"),
}
"""Name here -> name in node_modules, and in the package django-htmx, which carries htmx too."""

NODE_MODULES = Path(__file__).parents[1] / "node_modules"

router = Router(prefix="/htmx")


@router.get("/{name}")
async def file(name: str) -> FileResponse:
    path = find(name)
    if path is None:
        raise Refuse(404, f"no {name} here: run scripts/demo, which installs it")
    return FileResponse(path, media_type="text/javascript")


def find(name: str) -> Path | None:
    """Return where the file is: npm's if it was installed, else the Python package's."""
    npm, package = FILES.get(name, ("", ""))
    spec = find_spec("django_htmx")
    carriers = (spec and spec.submodule_search_locations) or []
    candidates = [
        NODE_MODULES / npm,
        *(Path(folder, "static", "django_htmx", package) for folder in carriers),
    ]
    return next((path for path in candidates if path.is_file()), None)


class Version(msgspec.Struct, frozen=True):
    """One version of htmx: the same page works with either, by other attributes."""

    number: int
    send: dict[str, Any]
    """On the form whose fields are a message."""

    def connect(self, path: str = "ws") -> dict[str, Any]:
        """On the element that the socket at `path` belongs to."""
        if self.number == 2:
            return {"hx-ext": "ws", "ws-connect": path}
        return {"hx-ws:connect": path}

    @property
    def scripts(self) -> list[Element]:
        """For the head of the page; htmx 4 misses an extension that is loaded with `defer`."""
        names = (f"htmx-{self.number}.js", f"ws-{self.number}.js")
        return [script(src=f"/htmx/{name}") for name in names]

    @property
    def links(self) -> Node:
        """A switch between the versions, or a word on why there is none."""
        if not find(f"ws-{self.number}.js"):
            return p(".hint.bad")["htmx is not installed: stop the server and run scripts/demo."]
        current = {"aria-current": "page"}
        return nav(".tabs", aria_label="Version of htmx")[
            (
                a({"href": f"?htmx={each}", **(current if each == self.number else {})})[
                    f"htmx {each}"
                ]
                for each in VERSIONS
            )
        ]


VERSIONS = {
    2: Version(2, {"ws-send": True}),
    4: Version(4, {"hx-ws:send": True}),
}


def chosen(htmx: Annotated[int, Query()] = 2) -> Version:
    """Return the version that the query asks for; a dependency of the pages."""
    return VERSIONS.get(htmx, VERSIONS[2])
