"""A dashboard: the newest reading of each sensor, as HTML, at once for whoever comes back."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

import msgspec
from htpy import Element, b, div, form, input, label, li, meter, output, p, ul

from examples import htmx
from examples.page import STATIC, page
from wirework import App, Depends, History, Router, WebSocket
from wirework.dialects import Htmx

Sensor = Literal["kitchen", "garden", "cellar"]
Celsius = Annotated[float, msgspec.Meta(ge=-20, le=50)]

router = Router()


def add_channels(app: App) -> None:
    """In mode "latest" an element is kept by its id: the newest of each."""
    app.channel("readings", mode="latest", history=History(size=100, ttl=24 * 3600))


async def look(ws: WebSocket, app: App) -> None:
    await ws.accept()
    await app.channel_named("readings").subscribe(ws)  # first comes the newest of each


@router.ws("/ws", conn=look, dialect=Htmx())
async def quiet() -> None: ...


@router.post("/report")
async def report(sensor: Sensor, celsius: Celsius, app: App) -> None:
    """What a thermometer would call: `curl -d sensor=garden -d celsius=7.5 .../report`."""
    await app.publish("readings", reading(sensor, celsius))


def reading(sensor: str, celsius: float | None = None) -> Element:
    shown = "–" if celsius is None else f"{celsius:.1f} °C"
    return li(id=sensor)[
        b[sensor],
        meter(min=-20, max=50, high=30, value=str(-20 if celsius is None else celsius)),
        output[shown],
    ]


@router.get("/")
async def index(version: Annotated[htmx.Version, Depends(htmx.chosen)]) -> Element:
    return page(
        "dashboard",
        "Live dashboard",
        "Open this page in two tabs and move a thermometer; load one anew, and it is up to date.",
        version.links,
        div(version.connect())[
            ul("#readings.gauges")[[reading(each) for each in get_args(Sensor)]]
        ],
        p(".hint")["Thermometers"],
        [thermometer(each) for each in get_args(Sensor)],
        scripts=version.scripts,
    )


def thermometer(sensor: str) -> Element:
    return form(hx_post="report", hx_trigger="input", hx_swap="none")[
        input(type="hidden", name="sensor", value=sensor),
        label[sensor, input(type="range", name="celsius", min="-20", max="50", step="0.5")],
    ]


app = App()
app.include(router)
app.include(htmx.router)
app.mount("/static", STATIC)
add_channels(app)
