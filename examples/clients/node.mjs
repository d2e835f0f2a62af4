// A chat for a terminal, with centrifuge-js: what you type is published, and printed.
// With scripts/demo, at a table of its page React:
// node examples/clients/node.mjs ws://127.0.0.1:8000/connection/websocket table:window
import { createInterface } from "node:readline";
import { Centrifuge } from "centrifuge";
import WebSocket from "ws";

const [url, channel] = process.argv.slice(2);
const centrifuge = new Centrifuge(url, { websocket: WebSocket });
const chat = centrifuge.newSubscription(channel);
chat.on("publication", ({ data }) => console.log(data.text));
chat.subscribe();
centrifuge.connect();

for await (const line of createInterface({ input: process.stdin })) {
  if (!line.trim()) break;
  await chat.publish({ text: line.trim() });
}
centrifuge.disconnect();
