// Shows the songs: asks the server for what changed, sorts, filters, plays and chooses them.

import { byId, createElement, formatDuration, keyOf, queryOf, request, state } from "./base.js";
import { LazyImages, placeholder } from "./images.js";

const ROWS = 500;
let maxRows = ROWS;
let version = "";
const coverCache = new Map();
// A server may take seconds for a cover, and renders one at a time.
const covers = new LazyImages(1);
// Natural order: song 9 before song 10.
const { compare } = new Intl.Collator(undefined, { numeric: true });

// --- what changed --------------------------------------------------------------------------

// Resolves when the songs are those of the server.
export async function loadLibrary() {
  const changes = await request(`page/library?${new URLSearchParams({ since: version })}`);
  version = changes.version;
  const before = state.tracks.size;
  if (changes.complete) state.tracks.clear();
  for (const [task, audio] of changes.removed) state.tracks.delete(keyOf({ task, audio }));
  let isNew = changes.complete || before !== state.tracks.size;
  const tracks = tracksOf(changes);
  for (const track of tracks) {
    const key = keyOf(track);
    isNew ||= !state.tracks.has(key);
    state.tracks.set(key, track);
    // The file may have changed, and with it its cover.
    coverCache.delete(key);
  }
  for (const [key, cover] of coverCache) if ("failed" in cover.dataset) coverCache.delete(key);
  if (!isNew && tracks.length === 0) return;
  state.library = [...state.tracks.values()];
  state.library.sort((one, other) => compare(one.task, other.task) || compare(one.audio, other.audio));
  drawTracks();
}

// The server sends columns, which are described there.
function tracksOf({ folders, audios, titles, artists, seconds, problems }) {
  const tasks = folders.flatMap(([task, count]) => Array(count).fill(task));
  const problemOf = new Map(problems);
  let artist = null;
  return audios.map((audio, index) => {
    const title = typeof titles[index] === "string" ? titles[index] : audio.slice(titles[index]);
    if (artists[index] !== 0) artist = artists[index];
    const length = Math.abs(seconds[index]);
    const track = { task: tasks[index], audio, title, artist, length, duration: seconds[index] > 0 ? length : null, problem: problemOf.get(index) };
    track.text = `${title} ${artist ?? ""} ${track.task}`.toLowerCase();
    return track;
  });
}

// --- the list ------------------------------------------------------------------------------

function coverFor(track) {
  const key = keyOf(track);
  if (!coverCache.has(key)) {
    coverCache.set(key, track.problem ? placeholder(key, "cover") : covers.create(key, "cover", `page/cover?${queryOf(track)}`));
  }
  return coverCache.get(key);
}

export function drawTracks() {
  const query = byId("search").value.trim().toLowerCase();
  const shown = state.library.filter((track) => track.text.includes(query));
  byId("count").textContent = `${state.library.length.toLocaleString()} ${state.library.length === 1 ? "song" : "songs"}`;
  byId("count").hidden = false;
  byId("search").hidden = state.library.length < 8;
  byId("no-tracks").hidden = state.library.length > 0;
  byId("more-tracks").hidden = shown.length <= maxRows;
  byId("more-tracks").textContent = `Show more of ${shown.length.toLocaleString()} songs`;
  byId("no-match").hidden = shown.length > 0 || state.library.length === 0;
  const focused = document.activeElement?.closest("#tracks .row");
  const part = document.activeElement?.classList.contains("play") ? ".play" : ".pick";
  byId("tracks").replaceChildren(...shown.slice(0, maxRows).map(trackRow));
  makeTabStop(rowOf(focused?.dataset.key) ?? rowOf(state.chosen) ?? byId("tracks").firstElementChild);
  if (focused) rowOf(focused.dataset.key)?.querySelector(part)?.focus();
}

byId("search").addEventListener("input", () => { maxRows = ROWS; drawTracks(); });
byId("more-tracks").addEventListener("click", () => {
  const last = byId("tracks").lastElementChild;
  maxRows += ROWS;
  drawTracks();
  rowOf(last.dataset.key)?.nextElementSibling?.querySelector(".pick").focus();
});

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

const rowOf = (key) => key && [...byId("tracks").children].find((row) => row.dataset.key === key);

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

// --- playing and choosing ------------------------------------------------------------------

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

let listener = () => {};
export function onChosen(callback) { listener = callback; }
export const chosenTrack = () => state.tracks.get(state.chosen);

export function choose(track) {
  const before = state.chosen;
  state.chosen = keyOf(track);
  updateRow(rowOf(before));
  updateRow(rowOf(state.chosen));
  makeTabStop(rowOf(state.chosen));
  listener(track);
}
