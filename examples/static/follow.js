// Keeps the newest message in sight, also when htmx replaces the whole list.
new MutationObserver(() => {
  const messages = document.getElementById("messages");
  messages.scrollTop = messages.scrollHeight;
}).observe(document.getElementById("chat"), { childList: true, subtree: true });
