// Plays songs, and parts of them.

import { byId, queryOf } from "./base.js";

const audio = byId("audio");
let current = null;
let stopAt = Infinity;
const listeners = [];

// Calls `callback` with what was played and what is played now, each a key or null.
export function onPlaying(callback) { listeners.push(callback); }
export const playing = () => current;

function setPlaying(key) {
  const before = current;
  current = key;
  for (const listener of listeners) listener(before, key);
}

// Plays the song, or pauses it. `key` tells the song and a part of it apart.
export function togglePlayback(track, { key = track.key, from = 0, until = Infinity } = {}) {
  if (current === key) { audio.pause(); return; }
  setPlaying(key);
  stopAt = until;
  audio.src = `page/music?${queryOf(track)}`;
  audio.currentTime = from;
  audio.play().catch(() => { if (current === key) setPlaying(null); });
}
audio.addEventListener("timeupdate", () => { if (audio.currentTime >= stopAt) audio.pause(); });
// Also when a video starts to play; not when another song replaces this one.
audio.addEventListener("pause", () => { if (audio.paused) setPlaying(null); });
