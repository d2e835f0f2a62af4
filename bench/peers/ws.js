// Node's `ws`.
const { WebSocketServer } = require("ws");

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: Number(process.argv[2]),
  perMessageDeflate: false,
});

const isMove = (m) =>
  Number.isInteger(m?.x) && Number.isInteger(m?.y) && typeof m?.text === "string";

const handlers = {
  "/echo": (socket, data) => socket.send(data.toString()),
  "/json": (socket, data) => {
    const move = JSON.parse(data);
    if (!isMove(move)) return socket.close(1007);
    socket.send(JSON.stringify({ sum: move.x + move.y, text: move.text }));
  },
  "/fanout": (socket, data) => {
    const text = data.toString();
    for (const other of server.clients) other.send(text);
  },
};

server.on("connection", (socket, request) => {
  const handler = handlers[request.url];
  socket.on("error", () => {});
  socket.on("message", (data) => handler(socket, data));
});
