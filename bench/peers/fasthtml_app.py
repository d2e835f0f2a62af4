"""FastHTML: it takes JSON fields and answers in HTML."""

from fasthtml.common import Div, FastHTML

app = FastHTML(exts="ws")
people = {}


@app.ws("/echo")
async def echo(msg: str):
    return msg


@app.ws("/json")
async def json(x: int, y: int, text: str):
    return Div(text, id="moved", data_sum=x + y)


async def joined(ws, send):
    people[id(ws)] = send


async def left(ws):
    people.pop(id(ws), None)


@app.ws("/fanout", conn=joined, disconn=left)
async def fanout(msg: str):
    for send in list(people.values()):
        await send(msg)
