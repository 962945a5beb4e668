// Shared by all parts of the page: its elements, its state and its requests.

export const byId = (id) => document.getElementById(id);
export const state = { token: "", library: [], tracks: new Map(), chosen: null, selection: null, batches: [], counts: {}, running: [], render_seconds: [0, 0] };
export const keyOf = ({ task, audio }) => JSON.stringify([task, audio]);
export const queryOf = ({ task, audio }) => new URLSearchParams({ task, audio });
export const titleOf = (video) => video.title ?? state.tracks.get(keyOf(video))?.title ?? video.audio;
export const chosenTrack = () => state.tracks.get(state.chosen);
export const selected = (name) => document.querySelector(`[name=${name}]:checked`)?.value;

export function createElement(tag, props = {}, ...children) {
  const node = Object.assign(document.createElement(tag), props);
  node.append(...children.filter((child) => child !== null));
  return node;
}

// Returns a round button with a picture for its text, which a screen reader reads instead.
export function iconButton(kind, label, onClick) {
  const node = createElement("button", { className: `soft icon ${kind}`, type: "button" });
  node.setAttribute("aria-label", label);
  node.addEventListener("click", onClick);
  return node;
}

export function formatDuration(seconds) {
  if (seconds === null || seconds === undefined) return "";
  const rounded = Math.round(seconds);
  return `${Math.floor(rounded / 60)}:${String(rounded % 60).padStart(2, "0")}`;
}

export function formatSize(bytes) {
  return bytes > 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.max(1, Math.round(bytes / 1e3))} kB`;
}

export const count = (number, noun) => `${number.toLocaleString()} ${noun}${number === 1 ? "" : "s"}`;

export async function request(path, options = {}) {
  const headers = { "X-Mp4gen-Token": state.token, ...options.headers };
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not respond. Is it running?");
  }
  if (response.status === 401 && path !== "page/login") { showLogin(); throw new Error(""); }
  const body = await response.json();
  if (!response.ok) throw new Error(body.msg);
  return body;
}

// Returns a function that runs `work` soon: at most once in `pause` ms, and never twice at a time.
export function throttle(work, pause) {
  let timer = 0;
  let running = false;
  let again = false;
  return async function run() {
    if (timer || running) { again = true; return; }
    running = true;
    again = false;
    try { await work(); } catch { /* The next event tries it again. */ }
    running = false;
    timer = setTimeout(() => { timer = 0; if (again) run(); }, pause);
  };
}

// What the user chose last time; a browser may refuse to store it.
export function remember(name, value) {
  try { localStorage.setItem(`mp4gen-${name}`, JSON.stringify(value)); } catch { /* It lasts until the page closes. */ }
}
export function recall(name, fallback) {
  try { return JSON.parse(localStorage.getItem(`mp4gen-${name}`)) ?? fallback; } catch { return fallback; }
}

function showLogin() {
  byId("app").hidden = true;
  byId("tabs").hidden = true;
  byId("login").hidden = false;
  byId("key").focus();
}
