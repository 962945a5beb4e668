// Pictures of the video that would be made: a large one, and a small one of each look.

import { byId, chosenTrack, formatDuration, queryOf, state } from "./base.js";
import { clipSeconds } from "./clip.js";
import { chosenPresets, songOptions } from "./options.js";

const CHOOSE = byId("stage-text").textContent;
const stage = byId("stage");
let timer = 0;
let pending = [];

// The preset that the preview shows; without one the video has the server's own size.
const preset = () => state.presets.find(({ name }) => name === chosenPresets()[0]);

function urlOf(track, options) {
  const query = queryOf(track);
  for (const [name, value] of Object.entries(options)) if (value !== null && value !== undefined && value !== "") query.set(name, value);
  return `page/preview?${query}`;
}

// Resolves to the loaded image, or to null. Cancelled loads do not delay others at the server.
async function load(url) {
  const image = new Image();
  pending.push(image);
  image.src = url;
  return image.decode().then(() => image, () => null);
}

function cancel() {
  clearTimeout(timer);
  for (const image of pending) image.src = "";
  pending = [];
}

export function drawPreview(wait = 0) {
  cancel();
  const track = chosenTrack();
  drawSize(track);
  if (!track || track.problem) {
    stage.classList.remove("busy");
    byId("preview").hidden = true;
    byId("stage-text").textContent = track ? "No preview available." : CHOOSE;
    for (const image of document.querySelectorAll("#looks img")) image.removeAttribute("src");
    return;
  }
  stage.classList.add("busy");
  byId("stage-text").textContent = byId("preview").hidden ? "Loading preview…" : "";
  timer = setTimeout(() => loadAll(track), wait);
}

async function loadAll(track) {
  const { presets, ...options } = songOptions();
  options.preset = presets[0];
  const round = pending;
  const image = await load(urlOf(track, options));
  if (round !== pending) return;
  stage.classList.remove("busy");
  byId("stage-text").textContent = image ? "" : "No preview available.";
  byId("preview").hidden = !image;
  if (image) byId("preview").src = image.src;
  // One after the other: the server draws one at a time. With lyrics all looks would be alike.
  const plain = { ...options, preset: null, lyrics: "none", lyricsFile: null, start: null, length: null, size: "small" };
  for (const radio of document.querySelectorAll("[name=look]")) {
    const node = radio.parentNode.querySelector("img");
    const url = urlOf(track, { ...plain, look: radio.value });
    if (node.getAttribute("src") === url) continue;
    const small = await load(url);
    if (round !== pending) return;
    if (small) node.src = url;
  }
}

function drawSize(track) {
  const { width, height, max_length: longest } = preset() ?? state.size;
  byId("stage-size").hidden = !track || Boolean(track.problem);
  byId("stage-size").textContent = `${formatDuration(Math.min(clipSeconds(), longest ?? Infinity))} · ${width} × ${height}`;
}
