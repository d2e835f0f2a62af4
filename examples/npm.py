"""What pages load of npm's packages: one file as it ships, or CommonJS modules in one script."""

from __future__ import annotations

import json
import re
from pathlib import Path

from htpy import Element, Node, p, script
from starlette.responses import Response

from wirework import Refuse, Router

NODE_MODULES = Path(__file__).parents[1] / "node_modules"
FILES = {
    "centrifuge.js": "centrifuge/dist/centrifuge.js",
    "htm.js": "htm/dist/htm.umd.js",
    "vue.js": "vue/dist/vue.global.prod.js",
}
MODULES = {
    "react.js": {"React": "react", "ReactDOM": "react-dom/client"},
    "websocket-as-promised.js": {"WebSocketAsPromised": "websocket-as-promised"},
}
"""Name here -> global variables, and the modules whose exports they get."""

REQUIRED = re.compile(r"require\((['\"])((?:(?!\1).)+)(?<!\.production\.js)\1\)")
"""Names the module in group 2. What pages run is for development: it says what is wrong."""

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
    return _bundle({variable: _main(module) for variable, module in MODULES[name].items()})


def _bundle(starts: dict[str, Path]) -> str:
    modules: dict[str, str] = {}
    for path in starts.values():
        _collect(path, modules)
    functions = ",\n".join(f"{json.dumps(path)}: {code}" for path, code in modules.items())
    exports = [f"  window.{each} = load({json.dumps(str(path))});" for each, path in starts.items()]
    return BUNDLE % {"functions": functions, "exports": "\n".join(exports)}


BUNDLE = """\
{
  const process = { env: { NODE_ENV: "development" } };
  const loaded = {};
  const load = (path) => {
    if (!loaded[path]) modules[path]((loaded[path] = { exports: {} }), loaded[path].exports);
    return loaded[path].exports;
  };
  const modules = {
%(functions)s
  };
%(exports)s
}
"""


def _collect(path: Path, modules: dict[str, str]) -> None:
    """Add the module at `path`, a path in node_modules, and those that it requires."""
    if str(path) in modules:
        return
    modules[str(path)] = ""
    code = (NODE_MODULES / path).read_text("utf-8")
    found = {wanted: _find(path, wanted) for _, wanted in REQUIRED.findall(code)}
    for wanted in found.values():
        _collect(wanted, modules)
    code = REQUIRED.sub(lambda match: f"load({json.dumps(str(found[match[2]]))})", code)
    modules[str(path)] = f"function (module, exports) {{\n{code}\n}}"


def _find(path: Path, wanted: str) -> Path:
    """Return the file that `require(wanted)` means in the module at `path`."""
    if not wanted.startswith("."):
        return _main(wanted)
    found = (NODE_MODULES / path.parent / wanted).resolve().relative_to(NODE_MODULES.resolve())
    return found if found.suffix else found.with_suffix(".js")


def _main(module: str) -> Path:
    """Return the file of a package that `require("package")` or `require("package/file")` means."""
    package, _, file = module.partition("/")
    if file:
        return Path(package, f"{file}.js")
    described = json.loads((NODE_MODULES / package / "package.json").read_text("utf-8"))
    return Path(package, str(described.get("main", "index.js")))
