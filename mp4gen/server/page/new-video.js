// The new video: shows the chosen song, and queues its videos.

import { byId, chosenTrack, count, createElement, formatSize, queryOf, request, selected, state } from "./base.js";
import { onAttached, showSong } from "./attachments.js";
import { clipSeconds, onClip, showWaveform } from "./clip.js";
import { chosenPresets, onOptions, songOptions } from "./options.js";
import { onPlaying } from "./player.js";
import { drawPreview } from "./preview.js";
import { onChosen } from "./song-list.js";
import { details, playButton, updateRow } from "./song-rows.js";
import { showTab } from "./tabs.js";

const TYPING = 400;
// Measured: bytes a second of the sound, and of each pixel of bars; what other looks need beside them.
const SOUND_BYTES = 40_000;
const PIXEL_BYTES = 0.07;
const LOOK_WEIGHTS = { ring: 1.6, wave: 2.7, waveform: 0.3, pulse: 2 };

onChosen(async (track) => {
  byId("title").value = "";
  byId("create-problem").textContent = "";
  refreshSong();
  showSong(track);
  const measured = showWaveform(track);
  update(0);
  showTab("new");
  // What had the focus is hidden now.
  if (byId("tracks").contains(document.activeElement) && !byId("tracks").offsetParent) byId("new-title").focus();
  await measured;
  drawGo();
});
onOptions((isTyping) => update(isTyping ? TYPING : 0));
onAttached(() => update(0));
onClip((isMoving) => { drawGo(); if (!isMoving) drawPreview(TYPING); });
onPlaying(() => updateRow(byId("song").dataset.key ? byId("song") : null));

// The tags of a song may be read only after it was chosen.
export function refreshSong() {
  const track = chosenTrack();
  if (!track) return;
  byId("title").placeholder = track.title;
  byId("author").placeholder = track.artist ?? "none";
  drawSong(track);
}

function update(wait) {
  drawGo();
  drawPreview(wait);
}

// On a phone the song is shown above the form.
function drawSong(track) {
  const play = track.problem ? null : playButton(track);
  if (play) play.tabIndex = 0;
  byId("song").replaceChildren(createElement("div", { className: "cover" }, track.problem ? null : createElement("img", { alt: "", src: `page/cover?${queryOf(track)}` })),
    createElement("div", {}, createElement("span", { className: "name", textContent: track.title }), details(track, "")), play);
  byId("song").dataset.key = track.key;
  updateRow(byId("song"));
}

// --- what it costs -------------------------------------------------------------------------

function formatSeconds(seconds) {
  return seconds < 90 ? count(seconds, "second") : count(Math.round(seconds / 60), "minute");
}

function drawGo() {
  const track = chosenTrack();
  const outputs = Math.max(1, chosenPresets().length);
  byId("go").disabled = !track || Boolean(track.problem);
  byId("go-text").textContent = outputs > 1 ? `Make ${outputs} videos` : "Make the video";
  const [time, size] = track && !track.problem ? estimate() : [0, 0];
  byId("estimate").textContent = time ? `about ${formatSeconds(time)} · ${formatSize(size)}` : "";
  byId("estimate").classList.remove("said");
  // On a phone there is less room.
  byId("go-note").textContent = time ? `${formatSeconds(time).replace(/(?<= .).*/, "")} · ${formatSize(size)}` : "";
}

// Returns the seconds and the bytes of all outputs.
function estimate() {
  const [fixed, each] = state.render_seconds;
  const chosen = state.presets.filter(({ name }) => chosenPresets().includes(name));
  const weight = LOOK_WEIGHTS[selected("look")] ?? 1;
  let [time, bytes] = [0, 0];
  for (const { width, height, max_size: largest, max_length: longest } of chosen.length ? chosen : [state.size]) {
    const seconds = Math.min(clipSeconds(), longest ?? Infinity);
    time += fixed + each * seconds;
    bytes += Math.min(largest ?? Infinity, seconds * (SOUND_BYTES + PIXEL_BYTES * weight * width * height));
  }
  return [Math.ceil(time), bytes];
}

// --- making it -----------------------------------------------------------------------------

let creating = false;
byId("create-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const track = chosenTrack();
  // The button is not disabled during the request, because it would lose the focus.
  if (!track || track.problem || creating) return;
  byId("create-problem").textContent = "";
  creating = true;
  try {
    const body = JSON.stringify({ task: track.task, audio: track.audio, ...songOptions() });
    const { ids } = await request("page/videos", { method: "POST", body });
    byId("estimate").textContent = `${count(ids.length, "video")} queued.`;
    byId("estimate").classList.add("said");
  } catch (error) {
    byId("create-problem").textContent = error.message;
  }
  creating = false;
});
