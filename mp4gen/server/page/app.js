// The page: shows the state from /page/state and /page/events, and sends the user's changes.
// Text from outside is set as text, never as markup.

import { byId, createElement, formatDuration, formatSize, keyOf, queryOf, request, state } from "./base.js";
import { LazyImages, placeholder } from "./images.js";
import { upload } from "./uploads.js";
import { drawVideos } from "./videos.js";

// --- the library ---------------------------------------------------------------------------

const MAX_ROWS = 1000;
const coverCache = new Map();
// A server may take seconds for a cover, and renders one at a time.
const covers = new LazyImages(1);

function coverFor(track) {
  const key = keyOf(track);
  if (!coverCache.has(key)) {
    coverCache.set(key, track.problem ? placeholder(key, "cover") : covers.create(key, "cover", `page/cover?${queryOf(track)}`));
  }
  return coverCache.get(key);
}

function drawTracks() {
  const query = byId("search").value.trim().toLowerCase();
  const shown = state.library.filter((track) =>
    `${track.title} ${track.artist ?? ""} ${track.task}`.toLowerCase().includes(query));
  byId("count").textContent = `library: ${state.library.length} ${state.library.length === 1 ? "track" : "tracks"}`;
  byId("count").hidden = false;
  byId("search").hidden = state.library.length < 8;
  byId("no-tracks").hidden = state.library.length > 0;
  byId("more-tracks").hidden = shown.length <= MAX_ROWS;
  byId("no-match").hidden = shown.length > 0 || state.library.length === 0;
  const focused = document.activeElement?.closest("#tracks .row");
  const part = document.activeElement?.classList.contains("play") ? ".play" : ".pick";
  byId("tracks").replaceChildren(...shown.slice(0, MAX_ROWS).map(trackRow));
  makeTabStop(rowOf(focused?.dataset.key) ?? rowOf(state.chosen) ?? byId("tracks").firstElementChild);
  if (focused) rowOf(focused.dataset.key)?.querySelector(part).focus();
}

// The whole list is one tab stop; the arrow keys move within it.
function makeTabStop(row) {
  for (const button of byId("tracks").querySelectorAll("[tabindex='0']")) button.tabIndex = -1;
  for (const button of row?.querySelectorAll("button") ?? []) button.tabIndex = 0;
}
byId("tracks").addEventListener("focusin", (event) => makeTabStop(event.target.closest(".row")));
byId("tracks").addEventListener("keydown", (event) => {
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
  const location = track.task === "." ? track.artist ?? "Music" : track.task;
  const details = track.problem
    ? createElement("span", { className: "more bad", textContent: track.problem })
    : createElement("span", { className: "more", textContent: [location, formatDuration(track.duration)].filter(Boolean).join(" · ") });
  const pick = createElement("button", { className: "pick", type: "button", tabIndex: -1 },
    createElement("span", { className: "name", textContent: track.title }), details);
  pick.addEventListener("click", () => choose(track));
  const play = createElement("button", { className: "play", type: "button", tabIndex: -1 });
  play.addEventListener("click", () => togglePlayback(track));
  const row = createElement("li", { className: "row" }, coverFor(track), pick, track.problem ? null : play);
  row.dataset.key = keyOf(track);
  updateRow(row);
  return row;
}

const rowOf = (key) => [...byId("tracks").children].find((row) => row.dataset.key === key);

// Shows whether the row's track is chosen and whether it is playing.
function updateRow(row) {
  if (!row) return;
  const chosen = row.dataset.key === state.chosen;
  const isPlaying = row.dataset.key === playing;
  row.classList.toggle("chosen", chosen);
  row.querySelector(".pick").setAttribute("aria-pressed", chosen);
  const play = row.querySelector(".play");
  play?.classList.toggle("on", isPlaying);
  play?.setAttribute("aria-label", `${isPlaying ? "Pause" : "Play"} ${row.querySelector(".name").textContent}`);
}

let playing = null;
function setPlaying(key) {
  const before = playing;
  playing = key;
  updateRow(rowOf(before));
  updateRow(rowOf(key));
}

function togglePlayback(track) {
  const audio = byId("audio");
  const key = keyOf(track);
  if (playing === key) { audio.pause(); return; }
  setPlaying(key);
  audio.src = `page/music?${queryOf(track)}`;
  audio.play().catch(() => { if (playing === key) setPlaying(null); });
}
// Also when a video starts to play; not when another song replaces this one.
byId("audio").addEventListener("pause", () => { if (byId("audio").paused) setPlaying(null); });
byId("search").addEventListener("input", drawTracks);

function choose(track) {
  const before = state.chosen;
  state.chosen = keyOf(track);
  updateRow(rowOf(before));
  updateRow(rowOf(state.chosen));
  makeTabStop(rowOf(state.chosen));
  byId("go").disabled = Boolean(track.problem);
  byId("estimate").textContent = track.problem ? "" : `about ${formatSeconds(track.render_seconds)}`;
  byId("author").placeholder = track.artist ?? "none";
  preview();
}

function formatSeconds(seconds) {
  if (seconds < 90) return `${seconds} seconds`;
  return `${Math.round(seconds / 60)} minutes`;
}

const chosenTrack = () => state.library.find((track) => keyOf(track) === state.chosen);

// --- the new video -------------------------------------------------------------------------

function formValues() {
  const form = new FormData(byId("create-form"));
  return { author: byId("author").value.trim(), domainName: byId("domain").value.trim(),
    aspect_ratio: form.get("aspect_ratio"), audio_mode: form.get("audio_mode") };
}

const CHOOSE = byId("stage-text").textContent;
let previewTimer = 0;
let pendingImage = null;
function preview(wait = 0) {
  clearTimeout(previewTimer);
  const track = chosenTrack();
  const stage = byId("stage");
  if (!track || track.problem) {
    if (pendingImage) pendingImage.src = "";
    pendingImage = null;
    stage.classList.remove("busy");
    byId("preview").hidden = true;
    byId("stage-text").textContent = track ? "No preview available." : CHOOSE;
    return;
  }
  stage.classList.add("busy");
  byId("stage-text").textContent = byId("preview").hidden ? "Loading preview…" : "";
  previewTimer = setTimeout(async () => {
    const { author, domainName, aspect_ratio } = formValues();
    const query = queryOf(track);
    for (const [name, value] of Object.entries({ author, domainName, aspect_ratio })) query.set(name, value);
    // Cancel the previous request, so that it does not delay others.
    if (pendingImage) pendingImage.src = "";
    const image = new Image();
    pendingImage = image;
    image.src = `page/preview?${query}`;
    const drawn = await image.decode().then(() => true, () => false);
    if (image !== pendingImage) return;
    pendingImage = null;
    stage.classList.remove("busy");
    byId("stage-text").textContent = drawn ? "" : "No preview available.";
    byId("preview").hidden = !drawn;
    if (drawn) byId("preview").src = image.src;
  }, wait);
}
for (const id of ["author", "domain"]) byId(id).addEventListener("input", () => preview(400));
for (const radio of document.querySelectorAll("[name=aspect_ratio]")) radio.addEventListener("change", () => preview());

let creating = false;
byId("create-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const track = chosenTrack();
  // The button is not disabled during the request, because it would lose the focus.
  if (!track || track.problem || creating) return;
  byId("create-problem").textContent = "";
  creating = true;
  try {
    const body = JSON.stringify({ task: track.task, audio: track.audio, ...formValues() });
    await request("page/videos", { method: "POST", body });
    byId("estimate").textContent = "Queued. Progress is shown below.";
  } catch (error) {
    byId("create-problem").textContent = error.message;
  }
  creating = false;
});

// --- uploads -------------------------------------------------------------------------------

// Rejects files that the server would reject after their upload.
function check(file) {
  const { extensions, max_upload_bytes: maxBytes } = state;
  if (!extensions.some((extension) => file.name.toLowerCase().endsWith(extension))) {
    throw new Error(`${file.name} is not a supported audio file: ${extensions.join(", ")}`);
  }
  if (file.size > maxBytes) throw new Error(`${file.name} is larger than ${formatSize(maxBytes)}`);
}

let uploading = Promise.resolve();
function queueUpload(files) {
  uploading = uploading.then(() => uploadFiles(files));
  return uploading;
}

async function uploadFiles(files) {
  byId("drop-problem").textContent = "";
  byId("drop-progress").hidden = false;
  const problems = [];
  let last = null;
  for (const file of files) {
    byId("drop-progress").value = 0;
    try {
      check(file);
      last = await upload(file, state.token, (part) => { byId("drop-progress").value = part; });
    } catch (error) {
      problems.push(error.message);
      byId("drop-problem").textContent = problems.join("\n");
    }
  }
  byId("drop-progress").hidden = true;
  if (last) {
    await refresh();
    const track = state.library.find((one) => keyOf(one) === keyOf(last));
    if (track) {
      choose(track);
      document.querySelector("#tracks .chosen")?.scrollIntoView({ block: "nearest" });
    }
  }
}
byId("file").addEventListener("change", async (event) => { await queueUpload([...event.target.files]); event.target.value = ""; });
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => { event.preventDefault(); byId("drop").classList.add("over"); });
}
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) byId("drop").classList.remove("over"); });
document.addEventListener("drop", (event) => {
  event.preventDefault();
  byId("drop").classList.remove("over");
  if (event.dataTransfer.files.length > 0) queueUpload([...event.dataTransfer.files]);
});

// --- state and events ----------------------------------------------------------------------

async function refresh() {
  const newState = await request("page/state");
  Object.assign(state, newState);
  // Natural order: song 9 before song 10.
  const { compare } = new Intl.Collator(undefined, { numeric: true });
  state.library.sort((one, other) => compare(one.task, other.task) || compare(one.audio, other.audio));
  state.libraryVersion = newState.library_version;
  byId("login").hidden = true;
  byId("app").hidden = false;
  byId("extensions").textContent = ["mp3", "m4a", "flac", "ogg", "opus", "wav"].join(", ");
  byId("file").accept = newState.extensions.join(",");
  // Load failed covers again: the file may have changed.
  for (const [key, cover] of coverCache) if ("failed" in cover.dataset) coverCache.delete(key);
  drawTracks();
  drawVideos();
}

let source = null;
let disconnected = false;
function follow() {
  source?.close();
  source = new EventSource("page/events");
  source.addEventListener("open", () => {
    // The state may have changed in the meantime, including this page's token.
    if (disconnected) refresh().catch(() => {});
    disconnected = false;
  });
  source.addEventListener("error", () => {
    disconnected = true;
    byId("queue").textContent = "Connection lost. Reconnecting…";
    // The browser reconnects by itself, except after an HTTP error.
    if (source.readyState === EventSource.CLOSED) setTimeout(follow, 3000);
  });
  source.addEventListener("message", (event) => {
    const newState = JSON.parse(event.data);
    Object.assign(state, newState);
    drawVideos();
    if (newState.library_version !== state.libraryVersion) {
      state.libraryVersion = newState.library_version;
      refresh().catch(() => {});
    }
  });
}

byId("login-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  byId("login-problem").textContent = "";
  try {
    await request("page/login", { method: "POST", body: JSON.stringify({ key: byId("key").value }) });
    byId("key").value = "";
    await begin();
    byId("music-title").focus();
  } catch (error) {
    byId("login-problem").textContent = error.message;
  }
});

async function begin() {
  await refresh();
  follow();
}
begin().catch((error) => {
  if (!error.message) return;
  byId("queue").textContent = error.message;
  byId("queue").hidden = false;
});
