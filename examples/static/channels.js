// Too slow and too much (4408, 4429) pass; other 44xx do not, nor does what the page did wrong.
function mayComeBack(code) {
  if (code === 4408 || code === 4429) return true;
  return ![1000, 1002, 1003, 1007, 1008, 1009].includes(code) && !(code >= 4400 && code < 4500);
}

// Channels in the Typed dialect without a library: it comes back by itself, and goes on where it was.
class Channels {
  constructor(url) {
    this.url = url;
    this.listeners = new Map(); // by the name of the channel
    this.failures = 0;
    this.connect();
    setInterval(() => this.check(), 10_000);
    addEventListener("online", () => this.socket ?? this.connect());
  }

  // A listener has: publication(data), for each one after the position `since`, once and in order, or without `since`
  // for all that are kept and those after them; anew(), before all that are kept; refused(error).
  subscribe(channel, listener) {
    this.listeners.set(channel, listener);
    this.enter(channel, listener);
  }

  unsubscribe(channel) {
    if (this.listeners.delete(channel)) this.say("channel.unsubscribe", { channel });
  }

  enter(channel, { since }) {
    this.say("channel.subscribe", { channel, since }, channel);
  }

  say(type, data, id) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ type, id, data }));
  }

  connect() {
    clearTimeout(this.timer);
    const socket = (this.socket = new WebSocket(this.url));
    socket.onopen = () => this.listeners.forEach((listener, channel) => this.enter(channel, listener));
    socket.onmessage = (event) => socket === this.socket && this.hear(JSON.parse(event.data));
    socket.onclose = (event) => socket === this.socket && this.lose(event.code);
  }

  lose(code) {
    this.socket = null;
    this.isSilent = false;
    this.listeners.forEach((listener) => Object.assign(listener, { held: null, loads: 0 }));
    if (!mayComeBack(code)) return;
    this.timer = setTimeout(() => this.connect(), this.pause());
  }

  // Longer each time, and never the same for all pages.
  pause() {
    return Math.random() * Math.min(30_000, 500 * 2 ** this.failures++);
  }

  // A network may be gone without a word: what does not answer a ping until the next look is lost.
  check() {
    const socket = this.socket;
    if (socket?.readyState !== WebSocket.OPEN) return;
    if (this.isSilent) return this.reconnect();
    this.isSilent = true;
    this.say("ping");
  }

  reconnect() {
    const socket = this.socket;
    this.lose(1006);
    socket.close();
  }

  hear({ type, id, data, ...error }) {
    this.isSilent = false;
    const channel = data?.channel ?? id; // what is asked for a channel has its name for an id
    const listener = this.listeners.get(channel);
    if (!listener) return;
    if (type === "channel.subscribed") this.goOn(channel, listener, data);
    else if (type === "channel.publication") listener.held ? listener.held.push(data) : this.show(listener, data);
    else if (type === "channel.gap") this.load(channel, listener);
    else if (type === "channel.history") this.loaded(listener, data);
    else if (type === "channel.unsubscribed") listener.refused?.(data);
    else if (error.code === "unavailable") this.reconnect(); // and all of it again, a little later
    else if (type === "error") listener.refused?.(error);
  }

  goOn(channel, listener, { recovered, publications = [], position }) {
    this.failures = 0;
    if (position && !recovered) return this.load(channel, listener); // without history there is no position
    for (const publication of publications) this.show(listener, publication);
    listener.since = position;
  }

  // What is published while the kept ones are on their way comes after them. After a gap meanwhile, the last answer counts.
  load(channel, listener) {
    listener.held = [];
    listener.loads = (listener.loads ?? 0) + 1;
    this.say("channel.history", { channel }, channel);
  }

  loaded(listener, { publications, position: { epoch, offset } }) {
    if (--listener.loads > 0) return;
    const news = listener.held.filter(({ position }) => position.epoch !== epoch || position.offset > offset);
    listener.held = null;
    listener.anew?.();
    for (const publication of [...publications, ...news]) this.show(listener, publication);
  }

  show(listener, publication) {
    listener.since = publication.position;
    listener.publication(publication.data);
  }
}
