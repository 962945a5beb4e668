// Pictures, covers and lyrics of the user's own: uploads them, and offers them as a choice.

import { byId, chosenTrack, request } from "./base.js";

// The server's names of the files, by the field that they are for.
const files = new Map();
export const attached = (field) => files.get(field)?.id ?? null;

let listener = () => {};
// Calls `callback` when a file was added or taken away.
export function onAttached(callback) { listener = callback; }

async function attach(field, file) {
  byId("attachment-problem").textContent = "";
  try {
    const kind = field === "lyrics" ? "lyrics" : "pictures";
    const { id } = await request(`page/${kind}?${new URLSearchParams({ name: file.name })}`, { method: "POST", body: file });
    files.set(field, { id, name: file.name });
    show(field, file.name);
    listener();
  } catch (error) {
    byId("attachment-problem").textContent = error.message;
  }
}

function show(field, name) {
  if (field === "cover") { drawCover(); return; }
  const choice = byId(field === "lyrics" ? "own-lyrics" : "own-picture");
  choice.hidden = false;
  choice.lastElementChild.textContent = name;
  choice.lastElementChild.title = name;
  choice.firstElementChild.checked = true;
}

function drawCover() {
  const name = files.get("cover")?.name;
  byId("cover-text").textContent = name ?? "Cover…";
  byId("cover-reset").hidden = !name;
}

// Another song has other lyrics and another cover; the background may stay.
export function showSong(track) {
  files.delete("lyrics");
  files.delete("cover");
  drawCover();
  byId("cover-chip").hidden = Boolean(track.problem);
  byId("own-lyrics").hidden = track.lyrics === null;
  if (track.lyrics !== null) show("lyrics", track.lyrics ? track.audio + track.lyrics : "in the file");
  else document.querySelector("[name=lyrics][value=none]").checked = true;
}

// Takes a file that was dropped; returns whether it is for the new video.
export function takeDropped(file) {
  if (!chosenTrack()) return false;
  if (/\.(lrc|srt|vtt)$/i.test(file.name)) attach("lyrics", file);
  else if (file.type.startsWith("image/")) attach("picture", file);
  else return false;
  return true;
}

for (const field of ["picture", "cover", "lyrics"]) {
  byId(field).addEventListener("change", async (event) => {
    if (event.target.files[0]) await attach(field, event.target.files[0]);
    event.target.value = "";
  });
}
byId("cover-reset").addEventListener("click", () => { files.delete("cover"); drawCover(); byId("cover").focus(); listener(); });
