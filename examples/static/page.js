// What all pages share: a badge that shows how the page's newest WebSocket is, and a log.
{
  let newest = null;

  const show = (socket, state, text) => {
    const badge = document.getElementById("badge"); // looked up each time: PulsePoint changes pages in place
    if (socket !== newest || !badge) return;
    badge.dataset.state = state;
    badge.textContent = text;
    for (const fieldset of document.querySelectorAll("fieldset")) fieldset.disabled = state !== "connected";
  };

  // Whoever opens the socket, this page or htmx, gets one that tells the badge about itself.
  window.WebSocket = class extends WebSocket {
    constructor(...options) {
      super(...options);
      newest = this;
      show(this, "connecting", "connecting");
      this.addEventListener("open", () => show(this, "connected", "connected"));
      this.addEventListener("close", ({ code, reason }) => show(this, "closed", `closed ${code} ${reason}`.trim()));
    }
  };
}

// Adds a line to the page's log: `text` stays text, whatever it holds.
function write(text, kind = "") {
  const line = document.createElement("li");
  line.className = kind;
  line.textContent = text;
  const log = document.getElementById("log");
  log.append(line);
  log.scrollTop = log.scrollHeight;
}
