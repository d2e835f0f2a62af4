// Channels in the Typed dialect: it comes back by itself, subscribes from where it was, and leaves nothing out.
class Channels {
  constructor(url) {
    this.url = url;
    this.listeners = new Map(); // by the name of the channel
    this.calls = new Map(); // what waits for an answer, by id
    this.id = this.failures = 0;
    this.connect();
    setInterval(() => this.check(), 10_000);
    addEventListener("online", () => this.socket ?? this.connect());
  }

  // What a listener may have: publication(data, publication), for each one, once and in order;
  // kept: load so many at first; since: or begin after this position; latest: the channel has this mode;
  // data: for on_subscribe; entered(data): what that returned; back(count): so many came while it was away;
  // anew(): forget what was shown, all that is kept follows; refused(error);
  // here(members), joined(member), left(member): who is there.
  subscribe(channel, listener) {
    this.listeners.set(channel, listener);
    this.mustEnter(listener);
    if (this.isOpen) this.enter(channel, listener);
  }

  unsubscribe(channel) {
    if (this.listeners.delete(channel) && this.isOpen) this.call("channel.unsubscribe", { channel }).catch(() => {});
  }

  // Publishes once, even if the network is cut before the answer: again with the same key is not twice.
  async publish(channel, data) {
    const key = `${Date.now()}-${Math.random()}`;
    for (;;) {
      await this.listeners.get(channel).entering;
      try {
        return await this.call("channel.publish", { channel, idempotency_key: key, data });
      } catch (error) {
        if (error.code === "unavailable") await new Promise((done) => setTimeout(done, this.pause()));
        else if (error.code !== "disconnected") throw error;
      }
    }
  }

  call(type, data) {
    return new Promise((resolve, reject) => {
      this.calls.set(++this.id, { resolve, reject });
      this.tell(type, data, this.id);
    });
  }

  tell(type, data, id) {
    if (this.isOpen) this.socket.send(JSON.stringify({ type, id, data }));
  }

  // --- the connection -------------------------------------------------------------------------------

  get isOpen() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  connect() {
    clearTimeout(this.timer);
    const socket = (this.socket = new WebSocket(this.url));
    socket.onopen = () => this.listeners.forEach((listener, channel) => this.enter(channel, listener));
    socket.onmessage = (event) => socket === this.socket && this.hear(JSON.parse(event.data));
    socket.onclose = (event) => socket === this.socket && this.lose(event.code);
  }

  // 44xx says not to come back, but for too slow (4408) and too much (4429).
  lose(code) {
    this.socket = null;
    this.isSilent = false;
    this.listeners.forEach((listener) => this.mustEnter(listener));
    const calls = [...this.calls.values()];
    this.calls.clear();
    for (const { reject } of calls) reject({ code: "disconnected" });
    if (code >= 4400 && code < 4500 && code !== 4408 && code !== 4429) return;
    this.timer = setTimeout(() => this.connect(), this.pause());
  }

  // Longer each time, and never the same for all pages.
  pause() {
    return Math.random() * Math.min(30_000, 500 * 2 ** this.failures++);
  }

  // A network may be gone without a word: what does not answer a ping until the next look is lost.
  check() {
    if (!this.isOpen) return;
    const socket = this.socket;
    if (this.isSilent) {
      this.lose(1006);
      socket.close();
    } else {
      this.isSilent = true;
      this.tell("ping");
    }
  }

  hear({ type, id, data, ...error }) {
    this.isSilent = false;
    const call = this.calls.get(id);
    if (call) {
      this.calls.delete(id);
      return type === "error" ? call.reject(error) : call.resolve(data);
    }
    const listener = this.listeners.get(data?.channel);
    if (!listener) return;
    if (type === "channel.publication") listener.held ? listener.held.push(data) : this.show(listener, data);
    else if (type === "channel.gap") this.load(data.channel, listener).catch(() => {});
    else if (type === "channel.unsubscribed") this.refuse(listener, data);
    else if (type === "channel.joined") this.count(listener, data.member, "joined");
    else if (type === "channel.left") this.count(listener, data.member, "left");
  }

  // --- a subscription -------------------------------------------------------------------------------

  mustEnter(listener) {
    if (!listener.entering || listener.isIn) listener.entering = new Promise((done) => (listener.done = done));
    listener.isIn = listener.held = false;
  }

  async enter(channel, listener) {
    const { data, since, latest, kept } = listener;
    try {
      const told = await this.call("channel.subscribe", { channel, data, since: latest ? null : since });
      this.failures = 0;
      listener.entered?.(told.data);
      if (told.recovered === false || (kept && !since)) await this.load(channel, listener);
      else this.goOn(listener, told);
      if (since && told.recovered) listener.back?.(told.publications?.length ?? 0);
      if (listener.here) await this.meet(channel, listener);
      listener.isIn = true;
      listener.done();
    } catch (error) {
      if (error.code === "unavailable") setTimeout(() => this.isOpen && this.enter(channel, listener), this.pause());
      else if (error.code !== "disconnected") this.refuse(listener, error);
    }
  }

  refuse(listener, error) {
    listener.done(); // what waits to be published is refused, too
    listener.refused?.(error);
  }

  goOn(listener, { publications = [], position }) {
    for (const publication of publications) this.show(listener, publication);
    listener.since = position;
  }

  // All that is kept; what is published while it is read comes after it.
  async load(channel, listener) {
    listener.held = [];
    listener.since = undefined;
    listener.anew?.();
    const told = await this.call("channel.history", { channel, limit: listener.kept, reverse: true });
    const { epoch, offset } = told.position;
    const isNew = ({ position }) => position.epoch !== epoch || position.offset > offset;
    const news = listener.held.filter(isNew);
    listener.held = false;
    this.goOn(listener, { publications: told.publications.reverse(), position: told.position });
    for (const publication of news) this.show(listener, publication);
  }

  show(listener, publication) {
    listener.since = publication.position ?? listener.since;
    listener.publication(publication.data, publication);
  }

  async meet(channel, listener) {
    const { members } = await this.call("channel.presence", { channel });
    listener.members = new Map(members.map((member) => [member.user ?? member.connection, member]));
    listener.here([...listener.members.values()]);
  }

  count(listener, member, what) {
    const members = (listener.members ??= new Map());
    const key = member.user ?? member.connection;
    what === "joined" ? members.set(key, member) : members.delete(key);
    listener[what]?.(member);
    listener.here?.([...members.values()]);
  }
}
