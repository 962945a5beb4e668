// The page: shows what /page/state and /page/events tell, and sends what its visitor wants.
// Everything that came from outside is set as text, never as markup.

import { Pictures, tinted } from "./pictures.js";
import { send } from "./uploads.js";

const by = (id) => document.getElementById(id);
const state = { token: "", library: [], videos: [], chosen: null, libraryVersion: null };
const keyOf = (it) => JSON.stringify([it.task, it.audio]);
const queryOf = (it) => new URLSearchParams({ task: it.task, audio: it.audio });

function make(tag, props = {}, ...children) {
  const node = Object.assign(document.createElement(tag), props);
  node.append(...children.filter((child) => child !== null));
  return node;
}

function clock(seconds) {
  if (seconds === null || seconds === undefined) return "";
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

function size(bytes) {
  return bytes > 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.max(1, Math.round(bytes / 1e3))} kB`;
}

async function call(path, options = {}) {
  const headers = { "X-Mp4gen-Token": state.token, ...options.headers };
  let answer;
  try {
    answer = await fetch(path, { ...options, headers });
  } catch {
    throw new Error("The server does not answer. Is it running?");
  }
  if (answer.status === 401 && path !== "/page/enter") { showDoor(); throw new Error(""); }
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.msg);
  return body;
}

function showDoor() {
  by("rooms").hidden = true;
  by("door").hidden = false;
  by("key").focus();
}

// --- the library ---------------------------------------------------------------------------

const SHOWN = 1000;
const kept = new Map();
// A cover may take a server seconds to draw, one after the other.
const covers = new Pictures(1);

function coverFor(track) {
  const key = keyOf(track);
  if (!kept.has(key)) {
    kept.set(key, track.problem ? tinted(key, "cover") : covers.place(key, "cover", `/page/cover?${queryOf(track)}`));
  }
  return kept.get(key);
}

function drawTracks() {
  const wanted = by("search").value.trim().toLowerCase();
  const shown = state.library.filter((track) =>
    `${track.title} ${track.artist ?? ""} ${track.task}`.toLowerCase().includes(wanted));
  by("count").textContent = `library: ${state.library.length} ${state.library.length === 1 ? "track" : "tracks"}`;
  by("count").hidden = false;
  by("search").hidden = state.library.length < 8;
  by("no-tracks").hidden = state.library.length > 0;
  by("more-tracks").hidden = shown.length <= SHOWN;
  by("no-match").hidden = shown.length > 0 || state.library.length === 0;
  const focused = document.activeElement?.closest("#tracks .row");
  const part = document.activeElement?.classList.contains("play") ? ".play" : ".pick";
  by("tracks").replaceChildren(...shown.slice(0, SHOWN).map(trackRow));
  const rows = [...by("tracks").children];
  const there = (key) => rows.find((row) => row.dataset.key === key);
  enter(there(focused?.dataset.key) ?? there(state.chosen) ?? rows[0]);
  if (focused) there(focused.dataset.key)?.querySelector(part).focus();
}

// The list is one stop for the Tab key, however long it is; the arrows move within it.
function enter(row) {
  for (const one of by("tracks").querySelectorAll("[tabindex='0']")) one.tabIndex = -1;
  for (const one of row?.querySelectorAll("button") ?? []) one.tabIndex = 0;
}
by("tracks").addEventListener("focusin", (event) => enter(event.target.closest(".row")));
by("tracks").addEventListener("keydown", (event) => {
  const row = event.target.closest(".row");
  const next = {
    ArrowDown: row.nextElementSibling, ArrowUp: row.previousElementSibling,
    Home: row.parentNode.firstElementChild, End: row.parentNode.lastElementChild,
  }[event.key];
  if (next === undefined) return;
  event.preventDefault();
  (event.target.classList.contains("play") && next?.querySelector(".play") || next?.querySelector(".pick"))?.focus();
});

function trackRow(track) {
  const chosen = state.chosen === keyOf(track);
  const where = track.task === "." ? track.artist ?? "Music" : track.task;
  const more = track.problem
    ? make("span", { className: "more bad", textContent: track.problem })
    : make("span", { className: "more", textContent: [where, clock(track.seconds)].filter(Boolean).join(" · ") });
  const pick = make("button", { className: "pick", type: "button", tabIndex: -1 },
    make("span", { className: "name", textContent: track.title }), more);
  pick.setAttribute("aria-pressed", chosen);
  pick.addEventListener("click", () => choose(track));
  const playing = listening === keyOf(track);
  const play = make("button", { className: playing ? "play on" : "play", type: "button", tabIndex: -1 });
  play.setAttribute("aria-label", `${playing ? "Pause" : "Play"} ${track.title}`);
  play.addEventListener("click", () => listen(track));
  const row = make("li", { className: chosen ? "row chosen" : "row" }, coverFor(track), pick, track.problem ? null : play);
  row.dataset.key = keyOf(track);
  return row;
}

let listening = null;
function listen(track) {
  const audio = by("listen");
  if (listening === keyOf(track)) { audio.pause(); listening = null; } else {
    audio.src = `/page/music?${queryOf(track)}`;
    audio.play().catch(() => { listening = null; drawTracks(); });
    listening = keyOf(track);
  }
  drawTracks();
}
by("listen").addEventListener("ended", () => { listening = null; drawTracks(); });
by("search").addEventListener("input", drawTracks);

function choose(track) {
  state.chosen = keyOf(track);
  drawTracks();
  by("go").disabled = Boolean(track.problem);
  by("takes").textContent = track.problem ? "" : `about ${spoken(track.takes)}`;
  by("author").placeholder = track.artist ?? "none";
  preview();
}

function spoken(seconds) {
  if (seconds < 90) return `${seconds} seconds`;
  return `${Math.round(seconds / 60)} minutes`;
}

const chosenTrack = () => state.library.find((track) => keyOf(track) === state.chosen);

// --- the new video -------------------------------------------------------------------------

function wishes() {
  const form = new FormData(by("make"));
  return { author: by("author").value.trim(), domainName: by("domain").value.trim(),
    shape: form.get("shape"), sound: form.get("sound") };
}

const CHOOSE = by("stage-text").textContent;
let previewTimer = 0;
let previewComing = null;
function preview(wait = 0) {
  clearTimeout(previewTimer);
  const track = chosenTrack();
  const stage = by("stage");
  if (!track || track.problem) {
    if (previewComing) previewComing.src = "";
    previewComing = null;
    stage.classList.remove("busy");
    by("preview").hidden = true;
    by("stage-text").textContent = track ? "This song cannot be shown." : CHOOSE;
    return;
  }
  stage.classList.add("busy");
  by("stage-text").textContent = by("preview").hidden ? "Listening to the song…" : "";
  previewTimer = setTimeout(async () => {
    const { author, domainName, shape } = wishes();
    const query = queryOf(track);
    for (const [name, value] of Object.entries({ author, domainName, shape })) query.set(name, value);
    // One that nobody waits for any more is in the way of all else.
    if (previewComing) previewComing.src = "";
    const coming = new Image();
    previewComing = coming;
    coming.src = `/page/preview?${query}`;
    const drawn = await coming.decode().then(() => true, () => false);
    if (coming !== previewComing) return;
    previewComing = null;
    stage.classList.remove("busy");
    by("stage-text").textContent = drawn ? "" : "This song cannot be shown.";
    by("preview").hidden = !drawn;
    if (drawn) by("preview").src = coming.src;
  }, wait);
}
for (const id of ["author", "domain"]) by(id).addEventListener("input", () => preview(400));
for (const radio of document.querySelectorAll("[name=shape]")) radio.addEventListener("change", () => preview());

let making = false;
by("make").addEventListener("submit", async (event) => {
  event.preventDefault();
  const track = chosenTrack();
  // A button that were disabled meanwhile would lose the focus.
  if (!track || track.problem || making) return;
  by("make-problem").textContent = "";
  making = true;
  try {
    const body = JSON.stringify({ task: track.task, audio: track.audio, ...wishes() });
    await call("/page/videos", { method: "POST", body });
    by("takes").textContent = "on its way, see below";
  } catch (error) {
    by("make-problem").textContent = error.message;
  }
  making = false;
});

// --- the videos ----------------------------------------------------------------------------

const rows = new Map();
const stills = new Pictures(2);

function drawVideos() {
  const { rendering, waiting } = state;
  const doing = [rendering && `${rendering} rendering`, waiting && `${waiting} waiting`].filter(Boolean);
  by("queue").textContent = doing.join(" · ") || "nothing to do";
  by("queue").hidden = false;
  by("no-videos").hidden = state.videos.length > 0;
  const seen = new Set(state.videos.map((video) => video.id));
  for (const [id, row] of rows) if (!seen.has(id)) { leave(row.node); row.node.remove(); rows.delete(id); }
  state.videos.forEach((video, index) => {
    const text = JSON.stringify([video, titleOf(video)]);
    let row = rows.get(video.id);
    // A row is drawn anew only where it changed, so that focus stays where it is.
    if (row?.text !== text) {
      const node = row && row.state === video.state ? refreshed(row.node, video) : videoRow(video, row?.node);
      if (row && row.node !== node) {
        const focused = row.node.contains(document.activeElement);
        row.node.replaceWith(node);
        if (focused) node.querySelector("button").focus();
      }
      row = { node, text, state: video.state };
      rows.set(video.id, row);
    }
    const list = by("videos");
    if (list.children[index] !== row.node) list.insertBefore(row.node, list.children[index] ?? null);
  });
}

// Who deletes a video by keyboard goes on at the next one.
function leave(node) {
  if (!node.contains(document.activeElement)) return;
  const next = node.nextElementSibling ?? node.previousElementSibling;
  (next?.querySelector(".doing > :last-child") ?? by("videos-title")).focus();
}

function titleOf(video) {
  return state.library.find((track) => keyOf(track) === keyOf(video))?.title ?? video.audio;
}

function tell(video) {
  const shape = video.shape && video.shape !== "16:9" ? ` · ${video.shape}` : "";
  if (video.state === "queued") return ["waiting", ""];
  if (video.state === "rendering" && video.total) return [`${clock(video.done)} of ${clock(video.total)}`, ""];
  if (video.state === "rendering") return ["listening to the song", ""];
  if (video.state === "failed") return [video.error ?? "It failed.", " bad"];
  const days = video.days ? `kept for ${video.days} more ${video.days === 1 ? "day" : "days"}` : "kept for some hours more";
  return video.days <= 3 ? [days, " warn"] : [`ready · ${size(video.size ?? 0)}${shape}`, ""];
}

function refreshed(node, video) {
  const [text, kind] = tell(video);
  node.querySelector(".name").textContent = titleOf(video);
  Object.assign(node.querySelector(".more"), { textContent: text, className: `more${kind}` });
  const bar = node.querySelector(".bar i");
  if (bar) {
    bar.style.width = video.total ? `${(100 * video.done) / video.total}%` : "";
    bar.className = video.total ? "" : "unknown";
  }
  return node;
}

function videoRow(video, before) {
  const title = titleOf(video);
  const what = make("div", {}, make("span", { className: "name" }), make("span", { className: "more" }));
  if (video.state === "rendering") what.append(make("div", { className: "bar" }, make("i")));
  const doing = make("div", { className: "doing" });
  const button = (text, label, act, kind = "") => {
    const made = make("button", { className: `soft ${kind}`, type: "button", textContent: text });
    made.setAttribute("aria-label", `${label} ${title}`);
    made.addEventListener("click", act);
    doing.append(made);
  };
  if (video.url) {
    button("Watch", "Watch", () => watch(video), "watch");
    const save = make("a", { className: "soft save", href: video.url, download: `${title}.mp4` },
      make("span", { textContent: "Download" }));
    save.setAttribute("aria-label", `Download ${title}`);
    doing.append(save);
  }
  const over = video.state === "done" || video.state === "failed";
  button(over ? "" : "Cancel", over ? "Delete" : "Cancel", () => drop(video, over), over ? "x" : "");
  const frame = video.state === "failed" ? tinted(keyOf(video), "frame")
    : before?.querySelector(".frame") ?? stills.place(keyOf(video), "frame", `/page/still?id=${video.id}`);
  return refreshed(make("li", { className: `row ${video.state}` }, frame, what, doing), video);
}

async function drop(video, ask) {
  if (ask && video.url && !confirm(`Delete the video of ${titleOf(video)}?`)) return;
  try {
    await call(`/page/videos/${video.id}`, { method: "DELETE" });
  } catch (error) {
    by("make-problem").textContent = error.message;
  }
}

function watch(video) {
  by("watch-title").textContent = titleOf(video);
  by("player").src = video.url;
  Object.assign(by("watch-save"), { href: video.url, download: `${titleOf(video)}.mp4` });
  by("listen").pause();
  by("watch").showModal();
  by("player").focus();
  by("player").play().catch(() => {});
}
by("watch-close").addEventListener("click", () => by("watch").close());
by("watch").addEventListener("close", () => { by("player").pause(); by("player").removeAttribute("src"); });

// --- uploads -------------------------------------------------------------------------------

async function take(files) {
  by("drop-problem").textContent = "";
  by("drop-progress").hidden = false;
  let last = null;
  for (const file of files) {
    by("drop-progress").value = 0;
    try { last = await send(file, state.token, (part) => { by("drop-progress").value = part; }); } catch (error) { by("drop-problem").textContent = error.message; }
  }
  by("drop-progress").hidden = true;
  if (last) {
    await refresh();
    const track = state.library.find((one) => keyOf(one) === keyOf(last));
    if (track) {
      choose(track);
      document.querySelector("#tracks .chosen")?.scrollIntoView({ block: "nearest" });
    }
  }
}
by("file").addEventListener("change", async (event) => { await take([...event.target.files]); event.target.value = ""; });
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => { event.preventDefault(); by("drop").classList.add("over"); });
}
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) by("drop").classList.remove("over"); });
document.addEventListener("drop", (event) => {
  event.preventDefault();
  by("drop").classList.remove("over");
  if (event.dataTransfer.files.length) take([...event.dataTransfer.files]);
});

// --- the beginning -------------------------------------------------------------------------

async function refresh() {
  const told = await call("/page/state");
  Object.assign(state, told);
  state.libraryVersion = told.library_version;
  by("door").hidden = true;
  by("rooms").hidden = false;
  by("endings").textContent = ["mp3", "m4a", "flac", "ogg", "opus", "wav"].join(", ");
  by("file").accept = told.endings.join(",");
  // What could not be drawn may be another file by now.
  for (const [key, cover] of kept) if ("failed" in cover.dataset) kept.delete(key);
  drawTracks();
  drawVideos();
}

let source = null;
let lost = false;
function follow() {
  source?.close();
  source = new EventSource("/page/events");
  source.addEventListener("open", () => {
    // Much may have changed while it was away, this page's own token among it.
    if (lost) refresh().catch(() => {});
    lost = false;
  });
  source.addEventListener("error", () => {
    lost = true;
    by("queue").textContent = "no answer, trying again…";
    // A refusal ends it for good, a lost connection does not.
    if (source.readyState === EventSource.CLOSED) setTimeout(follow, 3000);
  });
  source.addEventListener("message", (event) => {
    const told = JSON.parse(event.data);
    Object.assign(state, told);
    drawVideos();
    if (told.library_version !== state.libraryVersion) {
      state.libraryVersion = told.library_version;
      refresh().catch(() => {});
    }
  });
}

by("enter").addEventListener("submit", async (event) => {
  event.preventDefault();
  by("door-problem").textContent = "";
  try {
    await call("/page/enter", { method: "POST", body: JSON.stringify({ key: by("key").value }) });
    by("key").value = "";
    await begin();
    by("music-title").focus();
  } catch (error) {
    by("door-problem").textContent = error.message;
  }
});

async function begin() {
  await refresh();
  follow();
}
begin().catch((error) => {
  if (!error.message) return;
  by("queue").textContent = error.message;
  by("queue").hidden = false;
});
