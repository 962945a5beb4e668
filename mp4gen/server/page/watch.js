// Plays a finished video, and offers all that can be done with it.

import { byId, request, titleOf } from "./base.js";

const dialog = byId("watch");
let shown = null;
let deleteVideo = () => {};
export function onDelete(callback) { deleteVideo = callback; }

export function watch(video) {
  byId("audio").pause();
  show(video);
  byId("player").src = video.url;
  dialog.showModal();
  byId("player").focus();
  byId("player").play().catch(() => {});
}

function show(video) {
  shown = video;
  byId("watch-title").textContent = titleOf(video);
  Object.assign(byId("watch-save"), { href: video.url, download: `${titleOf(video)}.mp4` });
  byId("watch-keep").setAttribute("aria-pressed", video.kept);
  byId("watch-text").textContent = "";
}

const say = (text) => { byId("watch-text").textContent = text; };
async function change(work, done) {
  try { await work(); say(done); } catch (error) { say(error.message); }
}

byId("watch-close").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", () => { byId("player").pause(); byId("player").removeAttribute("src"); });
byId("watch-link").addEventListener("click", () => change(() => copy(new URL(shown.url, location).href), "Link copied."));
byId("watch-again").addEventListener("click", () =>
  change(() => request(`page/videos/${shown.id}/again`, { method: "POST" }), "Queued again."));
byId("watch-keep").addEventListener("click", () => {
  const kept = !shown.kept;
  change(async () => {
    await request(`page/videos/${shown.id}`, { method: "PUT", body: JSON.stringify({ kept }) });
    show({ ...shown, kept });
  }, kept ? "Kept until you delete it." : "Deleted when its time is over.");
});
byId("watch-delete").addEventListener("click", async () => { if (await deleteVideo(shown)) dialog.close(); });

async function copy(text) {
  // Browsers give the clipboard only to pages that came over https or from this machine.
  if (navigator.clipboard) { await navigator.clipboard.writeText(text); return; }
  const field = Object.assign(document.createElement("textarea"), { value: text, className: "unseen" });
  dialog.append(field);
  field.select();
  const copied = document.execCommand("copy");
  field.remove();
  byId("watch-link").focus();
  if (!copied) throw new Error("The browser does not allow it. Copy the address of Download.");
}
