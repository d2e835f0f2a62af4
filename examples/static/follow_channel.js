// Follows a channel with history: `show` gets what is known of it, in order and each publication once,
// whenever that has changed. `news` gets how many came while the page was away, null if some are lost.
// Returns what ends it.
function followChannel(subscription, limit, show, news = () => {}) {
  const known = new Map(); // by offset
  let isWhole = false;

  function add(publications) {
    for (const publication of publications) known.set(publication.offset, publication);
    show([...known.values()].sort((one, other) => one.offset - other.offset));
  }

  async function load() {
    try {
      const { publications } = await subscription.history({ limit, reverse: true });
      isWhole = true;
      add(publications);
    } catch {
      if (subscription.state === "subscribed") setTimeout(load, 1000); // else it begins anew
    }
  }

  function begin({ wasRecovering, recovered }) {
    if (!recovered) {
      known.clear(); // offsets may count from 1 again
      isWhole = false;
      if (wasRecovering) news(null);
    }
    const before = known.size;
    if (recovered) queueMicrotask(() => news(known.size - before)); // the missed ones follow at once
    if (!isWhole) load();
  }

  const hear = (publication) => add([publication]);
  subscription.on("publication", hear).on("subscribed", begin);
  if (subscription.state === "subscribed") begin({});
  return () => subscription.off("publication", hear).off("subscribed", begin);
}
