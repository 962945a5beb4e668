// The part of the song that becomes the video: two handles on its waveform.

import { byId, chosenTrack, createElement, formatDuration, queryOf, request, selected } from "./base.js";
import { onPlaying, togglePlayback } from "./player.js";

const MIN_SECONDS = 1;
const DEFAULT_SECONDS = 45;
const wave = byId("wave");
let seconds = 0;
let peaks = [];
let [from, to] = [0, 0];
let pending = null;

let listener = () => {};
// Calls `callback` when the part has changed, and with true while a handle moves.
export function onClip(callback) { listener = callback; }

const canCut = () => seconds >= 2 * MIN_SECONDS;
const isPart = () => selected("clip") === "part" && seconds > 0;
// What the server gets: nothing for the whole song.
export const clip = () => isPart() ? { start: round(from), length: round(to - from) } : {};
export const clipSeconds = () => isPart() ? to - from : seconds || chosenTrack()?.length || 0;
const round = (number) => Math.round(number * 10) / 10;

// --- the song ------------------------------------------------------------------------------

export async function showWaveform(track) {
  pending?.abort();
  pending = new AbortController();
  const { signal } = pending;
  document.querySelector("[name=clip][value=whole]").checked = true;
  setSong(0, []);
  if (track.problem) return;
  // Without a waveform the song can still be cut by the handles.
  const found = await request(`page/waveform?${queryOf(track)}`, { signal }).catch(() => ({ seconds: track.length, peaks: [] }));
  if (!signal.aborted) setSong(found.seconds, found.peaks);
}

function setSong(newSeconds, newPeaks) {
  [seconds, peaks] = [newSeconds, newPeaks];
  const lines = peaks.map((peak, index) => `M${index + 0.5} ${50 - Math.max(2, peak * 0.44)}V${50 + Math.max(2, peak * 0.44)}`);
  for (const id of ["wave-all", "wave-part"]) byId(id).setAttribute("d", lines.join(""));
  [from, to] = [0, seconds];
  byId("play-clip").disabled = seconds === 0;
  for (const radio of document.querySelectorAll("[name=clip]")) radio.disabled = !canCut();
  draw();
}

// The loudest part is mostly the one that people know.
function loudestPart() {
  const length = Math.min(DEFAULT_SECONDS, seconds / 2);
  const width = Math.max(1, Math.round((length / seconds) * peaks.length));
  let sum = 0;
  let [best, at] = [-1, 0];
  peaks.forEach((peak, index) => {
    sum += peak - (peaks[index - width] ?? 0);
    if (index >= width - 1 && sum > best) [best, at] = [sum, index - width + 1];
  });
  const start = peaks.length ? Math.min((at / peaks.length) * seconds, seconds - length) : 0;
  return [round(start), round(start + length)];
}

// --- what is shown -------------------------------------------------------------------------

const spoken = (time) => `${Math.floor(time / 60)} min ${round(time % 60)} s`;

function draw() {
  wave.classList.toggle("part", isPart());
  wave.classList.toggle("off", !canCut());
  wave.style.setProperty("--start", seconds ? from / seconds : 0);
  wave.style.setProperty("--end", seconds ? to / seconds : 1);
  byId("wave-tint").setAttribute("x1", seconds ? (120 * from) / seconds : 0);
  byId("wave-tint").setAttribute("x2", seconds ? (120 * to) / seconds : 120);
  byId("wave-window").setAttribute("x", seconds ? (120 * from) / seconds : 0);
  byId("wave-window").setAttribute("width", seconds ? (120 * (to - from)) / seconds : 120);
  for (const [id, value, low, high] of [["clip-start", from, 0, to - MIN_SECONDS], ["clip-end", to, from + MIN_SECONDS, seconds]]) {
    const node = byId(id);
    for (const [name, text] of [["valuemin", round(low)], ["valuemax", round(high)], ["valuenow", round(value)], ["valuetext", spoken(value)], ["disabled", !canCut()]]) {
      node.setAttribute(`aria-${name}`, text);
    }
  }
  const bold = (time) => createElement("b", { textContent: formatDuration(time) });
  if (isPart()) byId("clip-text").replaceChildren(bold(from), " to ", bold(to), ` · ${Math.round(to - from)} s`, createElement("span", { className: "wide", textContent: ` of ${formatDuration(seconds)}` }));
  else byId("clip-text").textContent = formatDuration(seconds || null);
}

function move(newFrom, newTo, isMoving) {
  [from, to] = [newFrom, newTo];
  document.querySelector("[name=clip][value=part]").checked = true;
  draw();
  listener(isMoving);
}

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const moveStart = (time, isMoving) => move(clamp(time, 0, to - MIN_SECONDS), to, isMoving);
const moveEnd = (time, isMoving) => move(from, clamp(time, from + MIN_SECONDS, seconds), isMoving);
function moveBoth(time, isMoving) {
  const start = clamp(time, 0, seconds - (to - from));
  move(start, start + to - from, isMoving);
}

for (const radio of document.querySelectorAll("[name=clip]")) {
  radio.addEventListener("change", () => {
    if (isPart() && to - from >= seconds) [from, to] = loudestPart();
    if (!isPart()) [from, to] = [0, seconds];
    draw();
    listener(false);
  });
}

// --- pointer and keys ----------------------------------------------------------------------

const timeAt = (event) => {
  const { left, width } = wave.firstElementChild.getBoundingClientRect();
  return ((event.clientX - left) / width) * seconds;
};

wave.addEventListener("pointerdown", (event) => {
  if (!canCut() || event.button !== 0) return;
  event.preventDefault();
  const handle = event.target.closest(".handle");
  handle?.focus();
  const drag = handle?.id === "clip-start" ? moveStart : handle ? moveEnd : isPart() ? moveBoth : null;
  if (!drag) return;
  // Where the pointer is within what it drags.
  const offset = (drag === moveEnd ? to : from) - timeAt(event);
  wave.setPointerCapture(event.pointerId);
  const onMove = (moved) => drag(round(timeAt(moved) + offset), true);
  wave.addEventListener("pointermove", onMove);
  const end = () => { wave.removeEventListener("pointermove", onMove); listener(false); };
  wave.addEventListener("lostpointercapture", end, { once: true });
});

for (const [id, moveTo, low, high] of [
  ["clip-start", moveStart, () => 0, () => to - MIN_SECONDS], ["clip-end", moveEnd, () => from + MIN_SECONDS, () => seconds],
]) {
  byId(id).addEventListener("keydown", (event) => {
    const step = event.shiftKey ? 10 : 1;
    const now = id === "clip-start" ? from : to;
    const time = { ArrowLeft: now - step, ArrowDown: now - step, ArrowRight: now + step, ArrowUp: now + step,
      PageDown: now - 10, PageUp: now + 10, Home: low(), End: high() }[event.key];
    if (time === undefined || !canCut()) return;
    event.preventDefault();
    moveTo(round(time), false);
  });
}

const PART = "part";
byId("play-clip").addEventListener("click", () => togglePlayback(chosenTrack(), { key: PART, from, until: isPart() ? to : Infinity }));
onPlaying((_, now) => {
  byId("play-clip").classList.toggle("on", now === PART);
  byId("play-clip").setAttribute("aria-label", now === PART ? "Pause the clip" : "Play the clip");
});
