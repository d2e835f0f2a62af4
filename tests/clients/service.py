"""What is under test as `wirework run` serves it, on a broker that the environment names."""

from __future__ import annotations

import os

from .application import application

app = application(os.environ.get("WIREWORK_BROKER", "memory://"))


@app.get("/state")
async def state() -> dict[str, int]:
    return {"pid": os.getpid()}
