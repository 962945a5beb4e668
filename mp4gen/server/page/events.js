// Follows the server's events: through a worker that all tabs share, or alone in a visible tab.

let listener = () => {};
let tab = null;
let source = null;

// Calls `onMessage` with {text} for each event, and with {connected} when the connection changes.
// After a sign-in the events are those of another account.
export function follow(onMessage, { signedIn }) {
  listener = onMessage;
  const message = signedIn ? "restart" : "join";
  if (tab) { tab.postMessage(message); return; }
  if ("SharedWorker" in window) {
    const worker = new SharedWorker("page/asset/shared-events.js");
    // A browser that forbids it, as some do in private windows.
    worker.addEventListener("error", () => { tab = null; followAlone(); });
    tab = worker.port;
    tab.addEventListener("message", ({ data }) => listener(data));
    tab.start();
    tab.postMessage(message);
    return;
  }
  followAlone();
}

addEventListener("pagehide", () => tab?.postMessage("leave"));
addEventListener("pageshow", (event) => { if (event.persisted) tab?.postMessage("join"); });

// Hidden tabs give their connection back: a browser opens only six to a server.
function followAlone() {
  source?.close();
  source = null;
  if (document.hidden) return;
  const own = new EventSource("page/events");
  source = own;
  own.addEventListener("open", () => listener({ connected: true }));
  own.addEventListener("message", (event) => listener({ text: event.data }));
  own.addEventListener("error", () => {
    if (source !== own) return;
    listener({ connected: false });
    if (own.readyState === EventSource.CLOSED) setTimeout(() => { if (source === own) followAlone(); }, 3000);
  });
}
document.addEventListener("visibilitychange", () => { if (!tab) followAlone(); });
