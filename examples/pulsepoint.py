"""PulsePoint itself: its runtime's file, and what Caspian's server does to a page's templates.

The runtime never turns the text of a page into code. It runs what the server has made of the
templates beforehand: their scripts, the `on...` attributes and the `{...}` in them.
"""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import msgspec
from htpy import Element, Node, p, script, template
from markupsafe import Markup
from starlette.responses import FileResponse, Response

from wirework import Refuse, Router

ROOT = Path(__file__).parents[1]
RUNTIME = ROOT / ".cache/pulsepoint/pp-reactive-v2.min.js"
REMEDY = "PulsePoint is not here: run scripts/pulsepoint, then load this page again."

router = Router(prefix="/pulsepoint")


class Template(msgspec.Struct, frozen=True):
    """One template: an element with a plain script in it, as a route of Caspian has it."""

    name: str
    markup: str
    code: str
    """Of its script."""

    @property
    def names(self) -> list[str]:
        """What its script declares at the top: what the markup can use."""
        margin = re.match(r"\n*( *)", self.code)
        declared = rf"^{margin and margin[1]}(?:const|let|(?:async )?function) (\w+|\[[^]]+\])"
        found = re.findall(declared, self.code, re.MULTILINE)
        return [name for each in found for name in re.findall(r"\w+", each)]

    def register(self) -> str:
        """Return the JavaScript that hands its code to the runtime."""
        scope = f"const {{ {', '.join([*self.names, *self._loop_names()])} }} = scope;"
        handlers = re.findall(r'\son\w+="([^"]*)"', self.markup)
        values = re.findall(r"{([^{}]+)}", re.sub(r'\son\w+="[^"]*"', "", self.markup))
        made = [
            _table("handlers", handlers, f"function (scope, event) {{ {scope} return (%s); }}"),
            _table("expressions", values, f"(scope) => {{ {scope} return (%s); }}"),
            f"scripts: {{ {json.dumps(self.name)}: function (pp) {{ {self.code}\n"
            f"return {{ pp, {', '.join(self.names)} }}; }} }}",
        ]
        return f"pp.registerClient({{ {', '.join(made)} }});\n"

    def _loop_names(self) -> list[str]:
        loops = re.findall(r'pp-for="(.+?) in ', self.markup)
        return [name for each in loops for name in re.findall(r"\w+", each)]


templates: dict[str, Template] = {}


def component(name: str) -> list[Node]:
    """Return what stands in a page for the template `pages/<name>.html`."""
    return [
        template(pp_component=name)[Markup(templates[name].markup)],
        None if RUNTIME.is_file() else p(".bad")[REMEDY],
    ]


def load(name: str) -> None:
    """Read the template `pages/<name>.html` and separate its code from its markup."""
    text = (ROOT / "examples/pages" / f"{name}.html").read_text("utf-8")
    before, code, after = re.split(r"<script>(.*?)</script>", text, maxsplit=1, flags=re.DOTALL)
    templates[name] = Template(name, f'{before}<script pp-script="{name}"></script>{after}', code)


def start() -> Element:
    """Return the script that starts the runtime; for the head of a page."""
    return script(type="module", src="/pulsepoint/start.js")


@router.get("/runtime.js")
async def runtime() -> FileResponse:
    if not RUNTIME.is_file():
        raise Refuse(404, REMEDY)
    return FileResponse(RUNTIME, media_type="text/javascript")


@router.get("/start.js")
async def starting() -> Response:
    code = "".join(each.register() for each in templates.values())
    return Response(START % code, media_type="text/javascript")


START = """\
import "./runtime.js";
%s
// PulsePoint changes pages in place, without their plain scripts: other examples are loaded anew.
document.addEventListener("click", ({ target }) => {
  target.closest("header a")?.setAttribute("pp-spa", "false");
}, true);
pp.mount();
"""


def _table(kind: str, sources: list[str], function: str) -> str:
    texts = {re.sub(r"^{(.*)}$", r"\1", html.unescape(each).strip()) for each in sources}
    pairs = (f"{json.dumps(text)}: {function % text}" for text in sorted(texts))
    return f"{kind}: {{ {', '.join(pairs)} }}"
