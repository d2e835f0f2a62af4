// Runs one script with centrifuge-js in the format that the argument names: the first line of the
// input is {script}, further lines are answers to what it asks; each line of the output is
// something that it says.
const format = process.argv[2];
const { Centrifuge } = require(format === "protobuf" ? "centrifuge/build/protobuf" : "centrifuge");
const WebSocket = require("ws");

const answers = [];
const lines = require("readline").createInterface({ input: process.stdin });
const print = (what) => process.stdout.write(JSON.stringify(what) + "\n");
const AsyncFunction = (async () => {}).constructor;

const say = async (value) => print({ said: value ?? null });
const ask = (question) =>
  new Promise((resolve) => {
    answers.push(resolve);
    print({ asked: question });
  });

lines.once("line", (line) => {
  lines.on("line", (answer) => answers.shift()(JSON.parse(answer)));
  const around = { websocket: WebSocket, networkEventTarget: new EventTarget() };
  const names = ["Centrifuge", "WebSocket", "around", "format", "say", "ask"];
  const given = [Centrifuge, WebSocket, around, format, say, ask];
  const run = async () => new AsyncFunction(...names, JSON.parse(line))(...given);
  run().catch((error) => print({ failed: String(error.stack ?? JSON.stringify(error)) }));
});
lines.once("close", () => process.exit(0));
