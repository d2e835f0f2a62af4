"""Wirework, channels; the broker is the setting `WIREWORK_BROKER`."""

from wirework import App, Channel, History, WebSocket

app = App()
news = app.channel("news")
kept = app.channel("kept", history=History())
many = app.channel("many:{number}")
many_kept = app.channel("many-kept:{number}", history=History())


@app.websocket("/channel")
async def channel(ws: WebSocket) -> None:
    await ws.accept()
    await news().subscribe(ws)
    async for text in ws.iter_text():
        await news().publish(text)


@app.websocket("/history")
async def history(ws: WebSocket) -> None:
    await ws.accept()
    await kept().subscribe(ws)
    async for text in ws.iter_text():
        await kept().publish(text)


async def subscribe_to_all(ws: WebSocket, family: Channel, numbers: range) -> str:
    for number in numbers:
        await family(number=str(number)).subscribe(ws)
    return "done"


@app.ws("/many")
async def to_many(ws: WebSocket, start: int, stop: int) -> str:
    return await subscribe_to_all(ws, many, range(start, stop))


@app.ws("/many-kept")
async def to_many_kept(ws: WebSocket, start: int, stop: int) -> str:
    return await subscribe_to_all(ws, many_kept, range(start, stop))
