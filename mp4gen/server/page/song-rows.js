// Makes the row of one song, and shows whether it is chosen, selected or playing.

import { createElement, formatDuration, queryOf, state } from "./base.js";
import { LazyImages, placeholder } from "./images.js";
import { playing, togglePlayback } from "./player.js";

const coverCache = new Map();
// A server may take seconds for a cover, and renders one at a time.
const covers = new LazyImages(1);

// The file of the song has changed, and with it maybe its cover.
export function forgetCover(key) { coverCache.delete(key); }
export function retryCovers() {
  for (const [key, cover] of coverCache) if ("failed" in cover.dataset) coverCache.delete(key);
}

function coverFor(track) {
  if (!coverCache.has(track.key)) {
    coverCache.set(track.key, track.problem ? placeholder(track.key, "cover") : covers.create(track.key, "cover", `page/cover?${queryOf(track)}`));
  }
  return coverCache.get(track.key);
}

export function playButton(track) {
  const play = createElement("button", { className: "play", type: "button", tabIndex: -1 });
  play.addEventListener("click", () => togglePlayback(track));
  return play;
}

// `place` is the folder, if the list does not say it.
export function details(track, place) {
  if (track.problem) return createElement("span", { className: "more bad", textContent: track.problem });
  const by = track.artist ?? place;
  const length = formatDuration(track.duration);
  const badge = track.lyrics !== null ? createElement("span", { className: "badge", textContent: "lyrics" }) : null;
  return createElement("span", { className: "more" }, createElement("span", { textContent: by }),
    createElement("span", { textContent: by && length ? ` · ${length}` : length }), badge);
}

// Calls `onPick` with the song and the event of the click.
export function songRow(track, place, onPick) {
  const pick = createElement("button", { className: "pick", type: "button", tabIndex: -1 },
    createElement("span", { className: "name", textContent: track.title }), details(track, place));
  pick.addEventListener("click", (event) => onPick(track, event));
  const row = createElement("li", { className: "row item" }, coverFor(track), pick, track.problem ? null : playButton(track));
  row.dataset.key = track.key;
  updateRow(row);
  return row;
}

// `state.selection` is null unless songs are being selected.
export function updateRow(row) {
  if (!row) return;
  const { key } = row.dataset;
  const isSelected = Boolean(state.selection?.has(key));
  row.classList.toggle("chosen", key === state.chosen);
  row.classList.toggle("selected", isSelected);
  const pick = row.querySelector(".pick");
  if (state.selection) pick?.setAttribute("role", "checkbox"); else pick?.removeAttribute("role");
  pick?.removeAttribute(state.selection ? "aria-pressed" : "aria-checked");
  pick?.setAttribute(state.selection ? "aria-checked" : "aria-pressed", state.selection ? isSelected : key === state.chosen);
  const play = row.querySelector(".play");
  play?.classList.toggle("on", key === playing());
  play?.setAttribute("aria-label", `${key === playing() ? "Pause" : "Play"} ${row.querySelector(".name").textContent}`);
}
