// The page: shows what /page/state and /page/events tell, and sends what its visitor wants.
// Everything that came from outside is set as text, never as markup.

import { by, call, clock, keyOf, make, queryOf, size, state } from "./base.js";
import { LazyImages, placeholder } from "./images.js";
import { send } from "./uploads.js";
import { drawVideos } from "./videos.js";

// --- the library ---------------------------------------------------------------------------

const MAX_ROWS = 1000;
const coverCache = new Map();
// A cover may take a server seconds to draw, one after the other.
const covers = new LazyImages(1);

function coverFor(track) {
  const key = keyOf(track);
  if (!coverCache.has(key)) {
    coverCache.set(key, track.problem ? placeholder(key, "cover") : covers.create(key, "cover", `/page/cover?${queryOf(track)}`));
  }
  return coverCache.get(key);
}

function drawTracks() {
  const query = by("search").value.trim().toLowerCase();
  const shown = state.library.filter((track) =>
    `${track.title} ${track.artist ?? ""} ${track.task}`.toLowerCase().includes(query));
  by("count").textContent = `library: ${state.library.length} ${state.library.length === 1 ? "track" : "tracks"}`;
  by("count").hidden = false;
  by("search").hidden = state.library.length < 8;
  by("no-tracks").hidden = state.library.length > 0;
  by("more-tracks").hidden = shown.length <= MAX_ROWS;
  by("no-match").hidden = shown.length > 0 || state.library.length === 0;
  const focused = document.activeElement?.closest("#tracks .row");
  const part = document.activeElement?.classList.contains("play") ? ".play" : ".pick";
  by("tracks").replaceChildren(...shown.slice(0, MAX_ROWS).map(trackRow));
  const rows = [...by("tracks").children];
  const there = (key) => rows.find((row) => row.dataset.key === key);
  makeTabStop(there(focused?.dataset.key) ?? there(state.chosen) ?? rows[0]);
  if (focused) there(focused.dataset.key)?.querySelector(part).focus();
}

// The list is one stop for the Tab key, however long it is; the arrows move within it.
function makeTabStop(row) {
  for (const one of by("tracks").querySelectorAll("[tabindex='0']")) one.tabIndex = -1;
  for (const one of row?.querySelectorAll("button") ?? []) one.tabIndex = 0;
}
by("tracks").addEventListener("focusin", (event) => makeTabStop(event.target.closest(".row")));
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
  const where = track.task === "." ? track.artist ?? "Music" : track.task;
  const more = track.problem
    ? make("span", { className: "more bad", textContent: track.problem })
    : make("span", { className: "more", textContent: [where, clock(track.duration)].filter(Boolean).join(" · ") });
  const pick = make("button", { className: "pick", type: "button", tabIndex: -1 },
    make("span", { className: "name", textContent: track.title }), more);
  pick.addEventListener("click", () => choose(track));
  const play = make("button", { className: "play", type: "button", tabIndex: -1 });
  play.addEventListener("click", () => togglePlayback(track));
  const row = make("li", { className: "row" }, coverFor(track), pick, track.problem ? null : play);
  row.dataset.key = keyOf(track);
  mark(row);
  return row;
}

const rowOf = (key) => [...by("tracks").children].find((row) => row.dataset.key === key);

// Shows in a track's row whether it is chosen and whether it plays.
function mark(row) {
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
  mark(rowOf(before));
  mark(rowOf(key));
}

function togglePlayback(track) {
  const audio = by("audio");
  const key = keyOf(track);
  if (playing === key) { audio.pause(); return; }
  setPlaying(key);
  audio.src = `/page/music?${queryOf(track)}`;
  audio.play().catch(() => { if (playing === key) setPlaying(null); });
}
// Also where a video that is watched silences it; not where another song has begun instead.
by("audio").addEventListener("pause", () => { if (by("audio").paused) setPlaying(null); });
by("search").addEventListener("input", drawTracks);

function choose(track) {
  const before = state.chosen;
  state.chosen = keyOf(track);
  mark(rowOf(before));
  mark(rowOf(state.chosen));
  makeTabStop(rowOf(state.chosen));
  by("go").disabled = Boolean(track.problem);
  by("estimate").textContent = track.problem ? "" : `about ${spoken(track.render_seconds)}`;
  by("author").placeholder = track.artist ?? "none";
  preview();
}

function spoken(seconds) {
  if (seconds < 90) return `${seconds} seconds`;
  return `${Math.round(seconds / 60)} minutes`;
}

const chosenTrack = () => state.library.find((track) => keyOf(track) === state.chosen);

// --- the new video -------------------------------------------------------------------------

function formValues() {
  const form = new FormData(by("make"));
  return { author: by("author").value.trim(), domainName: by("domain").value.trim(),
    aspect_ratio: form.get("aspect_ratio"), audio_mode: form.get("audio_mode") };
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
    const { author, domainName, aspect_ratio } = formValues();
    const query = queryOf(track);
    for (const [name, value] of Object.entries({ author, domainName, aspect_ratio })) query.set(name, value);
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
for (const radio of document.querySelectorAll("[name=aspect_ratio]")) radio.addEventListener("change", () => preview());

let making = false;
by("make").addEventListener("submit", async (event) => {
  event.preventDefault();
  const track = chosenTrack();
  // A button that were disabled meanwhile would lose the focus.
  if (!track || track.problem || making) return;
  by("make-problem").textContent = "";
  making = true;
  try {
    const body = JSON.stringify({ task: track.task, audio: track.audio, ...formValues() });
    await call("/page/videos", { method: "POST", body });
    by("estimate").textContent = "Queued. Progress is shown below.";
  } catch (error) {
    by("make-problem").textContent = error.message;
  }
  making = false;
});

// --- uploads -------------------------------------------------------------------------------

// What the server would refuse anyway need not travel there first.
function check(file) {
  const { extensions, max_upload_bytes: maxBytes } = state;
  if (!extensions.some((extension) => file.name.toLowerCase().endsWith(extension))) {
    throw new Error(`${file.name}: only music can be added: ${extensions.join(", ")}`);
  }
  if (file.size > maxBytes) throw new Error(`${file.name} has more than ${size(maxBytes)}`);
}

let uploading = Promise.resolve();
function queueUpload(files) {
  uploading = uploading.then(() => uploadFiles(files));
  return uploading;
}

async function uploadFiles(files) {
  by("drop-problem").textContent = "";
  by("drop-progress").hidden = false;
  const problems = [];
  let last = null;
  for (const file of files) {
    by("drop-progress").value = 0;
    try {
      check(file);
      last = await send(file, state.token, (part) => { by("drop-progress").value = part; });
    } catch (error) {
      problems.push(error.message);
      by("drop-problem").textContent = problems.join("\n");
    }
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
by("file").addEventListener("change", async (event) => { await queueUpload([...event.target.files]); event.target.value = ""; });
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => { event.preventDefault(); by("drop").classList.add("over"); });
}
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) by("drop").classList.remove("over"); });
document.addEventListener("drop", (event) => {
  event.preventDefault();
  by("drop").classList.remove("over");
  if (event.dataTransfer.files.length > 0) queueUpload([...event.dataTransfer.files]);
});

// --- the beginning -------------------------------------------------------------------------

async function refresh() {
  const newState = await call("/page/state");
  Object.assign(state, newState);
  // As people count: the ninth song before the tenth.
  const { compare } = new Intl.Collator(undefined, { numeric: true });
  state.library.sort((one, other) => compare(one.task, other.task) || compare(one.audio, other.audio));
  state.libraryVersion = newState.library_version;
  by("login").hidden = true;
  by("app").hidden = false;
  by("extensions").textContent = ["mp3", "m4a", "flac", "ogg", "opus", "wav"].join(", ");
  by("file").accept = newState.extensions.join(",");
  // What could not be drawn may be another file by now.
  for (const [key, cover] of coverCache) if ("failed" in cover.dataset) coverCache.delete(key);
  drawTracks();
  drawVideos();
}

let source = null;
let disconnected = false;
function follow() {
  source?.close();
  source = new EventSource("/page/events");
  source.addEventListener("open", () => {
    // Much may have changed while it was away, this page's own token among it.
    if (disconnected) refresh().catch(() => {});
    disconnected = false;
  });
  source.addEventListener("error", () => {
    disconnected = true;
    by("queue").textContent = "no answer, trying again…";
    // A refusal ends it for good, a lost connection does not.
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

by("login-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  by("login-problem").textContent = "";
  try {
    await call("/page/login", { method: "POST", body: JSON.stringify({ key: by("key").value }) });
    by("key").value = "";
    await begin();
    by("music-title").focus();
  } catch (error) {
    by("login-problem").textContent = error.message;
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
