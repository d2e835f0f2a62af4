// React hooks for centrifuge. What several components use is there once, for as long as one of them does.

const ConnectionContext = React.createContext(null);
const uses = new WeakMap(); // how many components use a connection, or a subscription

// Its end waits a moment: strict mode lets go of everything once, and takes it up again at once.
function use(shared, begin, end) {
  uses.set(shared, (uses.get(shared) ?? 0) + 1);
  begin();
  return () => {
    uses.set(shared, uses.get(shared) - 1);
    setTimeout(() => uses.get(shared) || end());
  };
}

// Around all components that use the hooks below.
function Connection({ url, children }) {
  const [centrifuge] = React.useState(() => new Centrifuge(url));
  React.useEffect(() => use(centrifuge, () => centrifuge.connect(), () => centrifuge.disconnect()), [centrifuge]);
  return React.createElement(ConnectionContext.Provider, { value: centrifuge }, children);
}

// The client, and its state: "connecting", "connected" or "disconnected".
function useConnection() {
  const centrifuge = React.useContext(ConnectionContext);
  const listen = React.useCallback(
    (listener) => {
      centrifuge.on("state", listener);
      return () => centrifuge.off("state", listener);
    },
    [centrifuge],
  );
  return { centrifuge, state: React.useSyncExternalStore(listen, () => centrifuge.state) };
}

const EVENTS = {
  publication: "onPublication",
  subscribed: "onSubscribed",
  unsubscribed: "onUnsubscribed",
  join: "onJoin",
  leave: "onLeave",
};

// Subscribes while the component is there; null until then. Listeners take the event and the subscription, and may be
// other ones each time.
function useSubscription(channel, listeners = {}) {
  const centrifuge = React.useContext(ConnectionContext);
  const [subscription, setSubscription] = React.useState(null);
  const newest = React.useRef(listeners);
  React.useEffect(() => void (newest.current = listeners));
  React.useEffect(() => {
    const found = centrifuge.getSubscription(channel) ?? centrifuge.newSubscription(channel);
    const heard = Object.entries(EVENTS).map(([event, name]) => [event, (said) => newest.current[name]?.(said, found)]);
    for (const [event, listener] of heard) found.on(event, listener);
    if (found.state === "subscribed") newest.current.onSubscribed?.({ channel }, found);
    const release = use(found, () => found.subscribe(), () => centrifuge.removeSubscription(found));
    setSubscription(found);
    return () => {
      for (const [event, listener] of heard) found.off(event, listener);
      release();
    };
  }, [centrifuge, channel]);
  return subscription;
}

// What a channel with history keeps, and what comes: in order, each once.
function usePublications(subscription, limit) {
  const [publications, setPublications] = React.useState([]);
  React.useEffect(() => {
    setPublications([]);
    if (subscription) return followChannel(subscription, limit, setPublications);
  }, [subscription, limit]);
  return publications;
}
