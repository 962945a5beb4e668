// Converts many songs with the settings of the form: queues them, shows their progress, stops them.

import { byId, createElement, request, state } from "./base.js";
import { batchOptions } from "./options.js";

// The server reads each file, so that a request for many takes seconds.
const CHUNK = 20;
const stopped = new Set();
const report = (text) => { byId("batch-problem").textContent = text; };

// Queues one video for each song and each output, unless it is there already.
export async function convert(songs) {
  report("");
  const usable = songs.filter((track) => !track.problem);
  let batch = null;
  let created = 0;
  try {
    for (let at = 0; at < usable.length; at += CHUNK) {
      const chunk = usable.slice(at, at + CHUNK).map(({ task, audio }) => [task, audio]);
      const body = JSON.stringify({ ...batchOptions(), songs: chunk, batch });
      const answer = await request("page/batches", { method: "POST", body });
      batch = answer.batch;
      created += answer.ids.length;
      if (stopped.has(batch)) { await stop(batch); return; }
    }
    if (created === 0) report("These videos are there already.");
  } catch (error) {
    report(error.message);
  }
}

async function stop(batch) {
  stopped.add(batch);
  await request(`page/batches/${batch}`, { method: "DELETE" }).catch((error) => report(error.message));
}

// Returns the button that converts a folder.
export function convertButton(folder, songs) {
  const start = createElement("button", { className: "soft small convert", type: "button", tabIndex: -1, textContent: "Convert all" });
  start.setAttribute("aria-label", `Convert all of ${folder === "." ? "Music" : folder}`);
  start.addEventListener("click", () => convert(songs));
  return start;
}

// Shows the progress of a batch below `node`, or none.
export function drawBatch(node, batch) {
  const bar = node.querySelector(".bar");
  bar.hidden = !batch;
  const start = node.querySelector(".convert");
  if (start) start.hidden = Boolean(batch);
  let progress = node.querySelector(".progress");
  if (!batch) { progress?.remove(); return; }
  bar.firstElementChild.style.width = `${(100 * batch.finished) / batch.total}%`;
  if (!progress) {
    progress = createElement("span", { className: "progress" }, createElement("span", { className: "quiet" }),
      createElement("button", { className: "soft small", type: "button", textContent: "Stop" }));
    (start?.parentNode ?? node.querySelector(".line")).append(progress);
  }
  progress.firstElementChild.textContent = `${batch.finished} of ${batch.total}`;
  progress.lastElementChild.setAttribute("aria-label", `Stop the conversion${batch.folder ? ` of ${batch.folder}` : ""}`);
  progress.lastElementChild.onclick = () => stop(batch.id);
}
