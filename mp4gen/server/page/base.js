// What every part of the page uses: its nodes, its state, and how it speaks to the server.

export const by = (id) => document.getElementById(id);
export const state = { token: "", library: [], videos: [], chosen: null, libraryVersion: null };
export const keyOf = (it) => JSON.stringify([it.task, it.audio]);
export const queryOf = (it) => new URLSearchParams({ task: it.task, audio: it.audio });

export function make(tag, props = {}, ...children) {
  const node = Object.assign(document.createElement(tag), props);
  node.append(...children.filter((child) => child !== null));
  return node;
}

export function clock(seconds) {
  if (seconds === null || seconds === undefined) return "";
  const rounded = Math.round(seconds);
  return `${Math.floor(rounded / 60)}:${String(rounded % 60).padStart(2, "0")}`;
}

export function size(bytes) {
  return bytes > 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.max(1, Math.round(bytes / 1e3))} kB`;
}

export async function call(path, options = {}) {
  const headers = { "X-Mp4gen-Token": state.token, ...options.headers };
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch {
    throw new Error("The server does not answer. Is it running?");
  }
  if (response.status === 401 && path !== "/page/login") { showLogin(); throw new Error(""); }
  const body = await response.json();
  if (!response.ok) throw new Error(body.msg);
  return body;
}

export function showLogin() {
  by("app").hidden = true;
  by("login").hidden = false;
  by("key").focus();
}
