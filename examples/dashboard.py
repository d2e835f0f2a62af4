"""A dashboard: the newest reading of each sensor, at once for whoever comes back."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

import msgspec
from htpy import Element, Node, b, form, input, label, li, meter, output, p, ul
from markupsafe import Markup

from examples import centrifugo, npm
from examples.page import HERE, STATIC, page
from wirework import App, History, Router

Sensor = Literal["kitchen", "garden", "cellar"]
Celsius = Annotated[float, msgspec.Meta(ge=-20, le=50)]

router = Router()


class Reading(msgspec.Struct):
    sensor: Sensor
    celsius: Celsius


def add_channels(app: App) -> None:
    """In mode "latest" the newest of each key is kept."""
    history = History(size=100, ttl=24 * 3600)
    app.channel("readings", model=Reading, mode="latest", history=history).on_subscribe(look)


async def look() -> bool:
    return True


@router.post("/report")
async def report(sensor: Sensor, celsius: Celsius, app: App) -> None:
    """What a thermometer would call: `curl -d sensor=garden -d celsius=7.5 .../report`."""
    await app.publish("readings", Reading(sensor, celsius), key=sensor)


FILES = ("centrifuge.js",)


@router.get("/")
async def index() -> Element:
    return page(
        "dashboard",
        "Live dashboard",
        "Open this page in two tabs and move a thermometer; load one anew, and it is up to date.",
        npm.missing(*FILES) or board(),
        scripts=npm.scripts(*FILES),
        sources=["pages/dashboard.html", "centrifugo.py"],
    )


def board() -> list[Node]:
    return [
        ul("#readings.gauges")[[gauge(each) for each in get_args(Sensor)]],
        p(".hint")["Thermometers"],
        [thermometer(each) for each in get_args(Sensor)],
        Markup((HERE / "pages/dashboard.html").read_text("utf-8")),
    ]


def gauge(sensor: str) -> Element:
    return li(id=sensor)[b[sensor], meter(min=-20, max=50, high=30, value="-20"), output["–"]]


def thermometer(sensor: str) -> Element:
    return form(".thermometer")[
        input(type="hidden", name="sensor", value=sensor),
        label[sensor, input(type="range", name="celsius", min="-20", max="50", step="0.5")],
    ]


app = App()
app.include(router)
app.include(centrifugo.router)
app.include(npm.router)
app.mount("/static", STATIC)
add_channels(app)
