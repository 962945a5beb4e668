// Shows the songs by folder or in another order: searches, selects, plays and chooses them.

import { byId, count, createElement, recall, remember, state } from "./base.js";
import { convert, convertButton, drawBatch } from "./batches.js";
import { loadLibrary, sortLibrary } from "./library.js";
import { onPlaying } from "./player.js";
import { forgetCover, retryCovers, songRow, updateRow } from "./song-rows.js";

const ROWS = 500;
let maxRows = ROWS;
const list = byId("tracks");
const collapsed = new Set(recall("collapsed", []));
byId("sort").value = recall("sort", "folder");
const nameOf = (folder) => folder === "." ? "Music" : folder.split("/").at(-1);

// Resolves when the songs are those of the server.
export async function loadSongs() {
  const hasChanged = await loadLibrary(byId("sort").value, forgetCover);
  retryCovers();
  if (hasChanged) drawSongs();
}

// --- the list ------------------------------------------------------------------------------

function shownSongs() {
  const query = byId("search").value.trim().toLowerCase();
  return state.library.filter((track) => track.text.includes(query));
}

function drawSongs() {
  const shown = shownSongs();
  byId("count").textContent = `library: ${count(state.library.length, "song")}`;
  byId("count").hidden = false;
  byId("search").hidden = state.library.length < 8;
  byId("no-tracks").hidden = state.library.length > 0;
  byId("no-match").hidden = shown.length > 0 || state.library.length === 0;
  keepFocus(() => list.replaceChildren(...groups(shown)));
  const rest = shown.length - list.querySelectorAll(".row").length - hiddenSongs(shown);
  byId("more-tracks").hidden = rest <= 0;
  byId("more-tracks").textContent = `Show more of ${count(shown.length, "song")}`;
  drawSelection();
  drawBatches();
}

// Redraws, and gives the focus back to what has the same name afterwards.
function keepFocus(draw) {
  const item = document.activeElement?.closest("#tracks .item");
  const isSecond = item && document.activeElement !== buttonsOf(item)[0];
  draw();
  const found = itemOf(item?.dataset.key);
  makeTabStop(found ?? itemOf(state.chosen) ?? list.querySelector(".row") ?? list.querySelector(".item"));
  if (found) (isSecond && buttonsOf(found)[1] || buttonsOf(found)[0]).focus();
}

function groups(shown) {
  if (byId("sort").value !== "folder") return [rows(shown.slice(0, maxRows), "Songs", (track) => track.task === "." ? "" : nameOf(track.task))];
  const byFolder = groupByFolder(shown);
  const nodes = [];
  let left = maxRows;
  for (const [folder, songs] of byFolder) {
    if (left <= 0) break;
    nodes.push(folderSection(folder, songs, isOpen(folder) ? songs.slice(0, left) : []));
    left -= isOpen(folder) ? songs.length : 1;
  }
  return nodes;
}

function groupByFolder(shown) {
  const found = new Map();
  for (const track of shown) {
    if (!found.has(track.task)) found.set(track.task, []);
    found.get(track.task).push(track);
  }
  return found;
}

// A search also looks into collapsed folders.
const isOpen = (folder) => byId("search").value !== "" || !collapsed.has(folder);
const hiddenSongs = (shown) => byId("sort").value === "folder" ? shown.filter((track) => !isOpen(track.task)).length : 0;

function rows(songs, name, placeOf) {
  const node = createElement("ul", { className: "list" }, ...songs.map((track) => songRow(track, placeOf(track), pick)));
  node.setAttribute("aria-label", name);
  return node;
}

function folderSection(folder, songs, shown) {
  const toggle = createElement("button", { className: "toggle", type: "button", tabIndex: -1 },
    createElement("span", { className: "name", textContent: nameOf(folder) }), ` ${songs.length.toLocaleString()}`);
  toggle.setAttribute("aria-expanded", isOpen(folder));
  toggle.addEventListener("click", () => {
    if (!collapsed.delete(folder)) collapsed.add(folder);
    remember("collapsed", [...collapsed]);
    drawSongs();
  });
  const head = createElement("div", { className: "folder-head item" }, createElement("h3", {}, toggle), convertButton(folder, songs));
  head.dataset.key = folder;
  return createElement("section", { className: "folder" }, head, createElement("div", { className: "bar", hidden: true }, createElement("i")),
    shown.length > 0 ? rows(shown, nameOf(folder), () => "") : null);
}

export function drawBatches() {
  for (const section of list.querySelectorAll(".folder")) {
    const { key } = section.firstElementChild.dataset;
    drawBatch(section, state.batches.find(({ folder }) => folder === key));
  }
  drawBatch(byId("selection"), state.batches.find(({ folder }) => folder === null));
  byId("selection").hidden = !state.selection && byId("selection").querySelector(".bar").hidden;
}

byId("search").addEventListener("input", () => { maxRows = ROWS; drawSongs(); });
byId("sort").addEventListener("change", () => { remember("sort", byId("sort").value); sortLibrary(byId("sort").value); drawSongs(); });
byId("more-tracks").addEventListener("click", () => {
  const last = [...list.querySelectorAll(".row")].at(-1)?.dataset.key;
  maxRows += ROWS;
  drawSongs();
  const items = [...list.querySelectorAll(".row")];
  items[items.findIndex((row) => row.dataset.key === last) + 1]?.querySelector(".pick").focus();
});

// --- the keyboard --------------------------------------------------------------------------

const itemOf = (key) => key && [...list.querySelectorAll(".item")].find((item) => item.dataset.key === key);

const buttonsOf = (item) => [...item.querySelectorAll("button")].filter((button) => !button.hidden);

// The whole list is one tab stop; the arrow keys move within it.
function makeTabStop(item) {
  for (const button of list.querySelectorAll("[tabindex='0']")) button.tabIndex = -1;
  for (const button of item?.querySelectorAll("button") ?? []) button.tabIndex = 0;
}
list.addEventListener("focusin", (event) => makeTabStop(event.target.closest(".item")));
list.addEventListener("keydown", (event) => {
  const items = [...list.querySelectorAll(".item")];
  const at = items.indexOf(event.target.closest(".item"));
  const next = { ArrowDown: items[at + 1], ArrowUp: items[at - 1], Home: items[0], End: items.at(-1) };
  if (!(event.key in next) || at < 0) return;
  event.preventDefault();
  const isSecond = event.target !== buttonsOf(items[at])[0];
  const buttons = next[event.key] ? buttonsOf(next[event.key]) : [];
  (buttons[isSecond ? 1 : 0] ?? buttons[0])?.focus();
});

// --- choosing and selecting ----------------------------------------------------------------

onPlaying((before, now) => { for (const key of [before, now]) updateRow(itemOf(key)); });

let listener = () => {};
export function onChosen(callback) { listener = callback; }

export function choose(track) {
  const before = state.chosen;
  state.chosen = track.key;
  updateRow(itemOf(before));
  updateRow(itemOf(state.chosen));
  makeTabStop(itemOf(state.chosen));
  itemOf(state.chosen)?.scrollIntoView({ block: "nearest" });
  listener(track);
}

let lastSelected = null;
function pick(track, event) {
  const isRange = event.shiftKey && lastSelected;
  if (!state.selection && !(event.ctrlKey || event.metaKey || isRange)) { lastSelected = track.key; choose(track); return; }
  setSelecting(true);
  const keys = [...list.querySelectorAll(".row")].map((row) => row.dataset.key);
  const [from, to] = [keys.indexOf(isRange ? lastSelected : track.key), keys.indexOf(track.key)].sort((one, other) => one - other);
  const add = isRange || !state.selection.has(track.key);
  for (const key of keys.slice(from, to + 1)) if (add) state.selection.add(key); else state.selection.delete(key);
  lastSelected = track.key;
  drawSelection();
}

function setSelecting(on) {
  if (on !== Boolean(state.selection)) state.selection = on ? new Set() : null;
  byId("select").setAttribute("aria-pressed", on);
  drawSelection();
}

function drawSelection() {
  for (const key of state.selection ?? []) if (!state.tracks.has(key)) state.selection.delete(key);
  for (const row of list.querySelectorAll(".row")) updateRow(row);
  const size = state.selection?.size ?? 0;
  byId("selection-text").textContent = state.selection ? (size ? `${count(size, "song")} selected` : "Select songs") : "";
  byId("convert-selection").disabled = size === 0;
  for (const id of ["select-all", "convert-selection"]) byId(id).hidden = !state.selection;
  drawBatches();
}

byId("select").addEventListener("click", () => setSelecting(!state.selection));
byId("select-all").addEventListener("click", () => { state.selection = new Set(shownSongs().map((track) => track.key)); drawSelection(); });
byId("convert-selection").addEventListener("click", async () => {
  const songs = [...state.selection].map((key) => state.tracks.get(key));
  setSelecting(false);
  byId("select").focus();
  await convert(songs);
});
