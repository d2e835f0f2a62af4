"""What pages load of npm's packages: one file as it ships, or CommonJS modules in one script."""

from __future__ import annotations

import json
import re
from pathlib import Path

from htpy import Element, Node, p, script
from starlette.responses import Response

from wirework import Refuse, Router

NODE_MODULES = Path(__file__).parents[1] / "node_modules"
FILES = {"vue.js": "vue/dist/vue.global.prod.js"}
MODULES = {"websocket-as-promised.js": ("websocket-as-promised", "WebSocketAsPromised")}
"""Name here -> package, and the global variable that gets what it exports."""

REMEDY = "Packages of npm are missing: run npm install, then load this page again."

router = Router(prefix="/npm")


@router.get("/{name}")
async def file(name: str) -> Response:
    try:
        return Response(read(name), media_type="text/javascript")
    except OSError:
        raise Refuse(404, REMEDY) from None


def scripts(*names: str) -> list[Element]:
    """Return what loads these files; for the head of a page."""
    return [script(src=f"/npm/{name}") for name in names]


def missing(*names: str) -> Node:
    """Return a word on what to do where a file is missing, else nothing."""
    try:
        for name in names:
            read(name)
    except OSError:
        return p(".bad")[REMEDY]
    return None


def read(name: str) -> str:
    """Return the text of a file.

    Raises:
        FileNotFoundError: its package is not installed, or the name is unknown.
    """
    if name in FILES:
        return (NODE_MODULES / FILES[name]).read_text("utf-8")
    if name not in MODULES:
        raise FileNotFoundError(name)
    package, variable = MODULES[name]
    modules: dict[str, str] = {}
    _collect(_main(package), modules)
    functions = ",\n".join(f"{json.dumps(path)}: {code}" for path, code in modules.items())
    start = json.dumps(str(_main(package)))
    return BUNDLE % {"functions": functions, "variable": variable, "start": start}


BUNDLE = """\
{
  const loaded = {};
  const load = (path) => {
    if (!loaded[path]) modules[path]((loaded[path] = { exports: {} }), loaded[path].exports);
    return loaded[path].exports;
  };
  const modules = {
%(functions)s
  };
  window.%(variable)s = load(%(start)s);
}
"""


def _collect(path: Path, modules: dict[str, str]) -> None:
    """Add the module at `path`, a path in node_modules, and those that it requires."""
    if str(path) in modules:
        return
    modules[str(path)] = ""
    code = (NODE_MODULES / path).read_text("utf-8")
    for wanted in re.findall(r"\brequire\(['\"]([^'\"]+)['\"]\)", code):
        found = _beside(path, wanted) if wanted.startswith(".") else _main(wanted)
        code = re.sub(
            rf"\brequire\((['\"]){re.escape(wanted)}\1\)", f"load({json.dumps(str(found))})", code
        )
        _collect(found, modules)
    modules[str(path)] = f"function (module, exports) {{\n{code}\n}}"


def _beside(path: Path, wanted: str) -> Path:
    found = (NODE_MODULES / path.parent / wanted).resolve().relative_to(NODE_MODULES.resolve())
    return found if found.suffix else found.with_suffix(".js")


def _main(package: str) -> Path:
    """Return the file that `require(package)` means."""
    described = json.loads((NODE_MODULES / package / "package.json").read_text("utf-8"))
    return Path(package, str(described.get("main", "index.js")))
