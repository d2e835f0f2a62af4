"""Controllers: a class whose object lives as long as one connection and handles its messages."""

from __future__ import annotations

from typing import Any

from .binding.plan import Context, Plan
from .websocket import WebSocket

__all__ = ["Controller", "new_controller"]


class Controller:
    """Base of controllers: `on_receive` handles messages, the other two both ends.

    One object per connection, made before the handshake is answered; the parameters of its
    constructor are filled like those of a handler's dependencies (`Annotated[Db, Depends(get_db)]`)
    and last as long as the connection. Only `on_receive` is required: its parameters and what it
    may return are those of a message handler. `on_connect` may refuse the handshake;
    `on_disconnect` runs once, and may take `code` and `reason`.
    """

    ws: WebSocket
    """The connection; there already when the constructor runs."""

    async def send(self, value: Any) -> None:
        """Send `value` in the route's dialect; see `WebSocket.send`."""
        await self.ws.send(value)


async def new_controller(plan: Plan, context: Context) -> Any:
    """Make the controller of one connection; `plan` is that of the class."""
    args, kwargs = await plan.bind(context)
    kind: Any = plan.function
    controller = kind.__new__(kind)
    controller.ws = context.connection
    controller.__init__(*args, **kwargs)
    context.connection.controller = controller
    return controller
