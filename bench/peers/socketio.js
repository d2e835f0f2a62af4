// Node's `socket.io`.
const { createServer } = require("http");
const { Server } = require("socket.io");

const http = createServer();
const io = new Server(http, { transports: ["websocket"] });

const isMove = (m) =>
  Number.isInteger(m?.x) && Number.isInteger(m?.y) && typeof m?.text === "string";

io.on("connection", (socket) => {
  socket.on("echo", (text) => socket.emit("echo", text));
  socket.on("move", (move) => {
    if (isMove(move)) socket.emit("moved", { sum: move.x + move.y, text: move.text });
  });
  socket.on("publish", (text) => io.emit("said", text));
});

http.listen(Number(process.argv[2]), "127.0.0.1");
