// Shared by all parts of the page: its elements, its state and its requests.

export const byId = (id) => document.getElementById(id);
export const state = { token: "", library: [], tracks: new Map(), chosen: null, libraryVersion: null, render_seconds: [0, 0] };
export const keyOf = ({ task, audio }) => JSON.stringify([task, audio]);
export const queryOf = ({ task, audio }) => new URLSearchParams({ task, audio });
export const titleOf = (video) => state.tracks.get(keyOf(video))?.title ?? video.audio;

export function createElement(tag, props = {}, ...children) {
  const node = Object.assign(document.createElement(tag), props);
  node.append(...children.filter((child) => child !== null));
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

export async function request(path, options = {}) {
  const headers = { "X-Mp4gen-Token": state.token, ...options.headers };
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch {
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

export function showLogin() {
  byId("app").hidden = true;
  byId("login").hidden = false;
  byId("key").focus();
}
