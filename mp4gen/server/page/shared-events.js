// A worker that all tabs of a browser share: it follows the server's events for them. A browser opens
// only six connections to a server, and an event stream takes one for as long as it is open.

const tabs = new Set();
let source = null;
let last = null;

function send(message) {
  last = message;
  for (const tab of tabs) tab.postMessage(message);
}

function connect() {
  source?.close();
  const own = new EventSource("../events");
  source = own;
  own.addEventListener("open", () => send({ connected: true }));
  own.addEventListener("message", (event) => send({ text: event.data }));
  own.addEventListener("error", () => {
    if (source !== own) return;
    send({ connected: false });
    // The browser reconnects by itself, except after an HTTP error.
    if (own.readyState === EventSource.CLOSED) setTimeout(() => { if (source === own) connect(); }, 3000);
  });
}

addEventListener("connect", ({ ports: [tab] }) => {
  tab.addEventListener("message", ({ data }) => {
    if (data === "leave") {
      tabs.delete(tab);
      if (tabs.size === 0) { source?.close(); source = null; last = null; }
      return;
    }
    tabs.add(tab);
    if (data === "restart" || source === null) connect();
    else if (last) tab.postMessage(last);
  });
  tab.start();
});
