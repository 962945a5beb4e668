// Shows the queue and one page of the videos; filters, repeats and deletes videos.

import { byId, request, state, titleOf } from "./base.js";
import { createVideoRow, updateVideoRow } from "./video-row.js";
import { onDelete, watch } from "./watch.js";

const rows = new Map();
const view = { filter: "all", page: 0, videos: [] };
const radios = [...document.querySelectorAll("[name=filter]")];

function countOf(filter) {
  const { waiting = 0, rendering = 0, ready = 0, failed = 0 } = state.counts;
  return { all: waiting + rendering + ready + failed, rendering: waiting + rendering, ready, failed }[filter];
}
// Videos that render are on the first page, beside a full page of others.
const pagedCount = () => countOf(view.filter) - (view.filter === "all" || view.filter === "rendering" ? state.counts.rendering : 0);

// --- what is shown -------------------------------------------------------------------------

// Resolves when the page of videos is that of the server.
export async function loadVideos() {
  const lastPage = Math.max(0, Math.ceil(pagedCount() / state.page_size) - 1);
  view.page = Math.min(view.page, lastPage);
  const { filter, page } = view;
  const { videos } = await request(`page/videos?${new URLSearchParams({ state: filter, page })}`);
  if (filter !== view.filter || page !== view.page) return;
  view.videos = videos;
  drawVideos();
}

export function drawQueue() {
  const { rendering, queued } = state;
  const counts = [rendering && `${rendering} rendering`, queued && `${queued.toLocaleString()} waiting`].filter(Boolean);
  byId("queue").textContent = counts.join(" · ") || "idle";
  byId("queue").hidden = false;
  byId("trouble").textContent = state.trouble ?? "";
  byId("tab-count").hidden = countOf("rendering") === 0;
  byId("tab-count").textContent = countOf("rendering");
  drawFilters();
  // Progress arrives with each event, the list only when it changes.
  const running = new Map(state.running.map((video) => [video.id, video]));
  view.videos = view.videos.map((video) => running.get(video.id) ?? video);
  drawVideos();
}

function drawFilters() {
  for (const radio of radios) {
    const count = countOf(radio.value);
    radio.nextElementSibling.lastElementChild.textContent = count.toLocaleString();
    radio.parentNode.classList.toggle("none", count === 0);
  }
  const total = countOf("all");
  byId("filters").hidden = total === 0;
  const count = countOf(view.filter);
  byId("no-videos").hidden = count > 0;
  byId("no-videos").textContent = total > 0 ? "No videos here." : "No videos yet.";
  const paged = pagedCount();
  const first = view.page * state.page_size;
  byId("pages").hidden = paged <= state.page_size;
  byId("range").textContent = `${(first + 1).toLocaleString()}–${Math.min(paged, first + state.page_size).toLocaleString()} of ${paged.toLocaleString()}`;
  byId("newer").disabled = view.page === 0;
  byId("older").disabled = first + state.page_size >= paged;
  const [number, caption] = { rendering: [state.counts.waiting, "Cancel all # waiting"], failed: [count, "Delete all # failed"] }[view.filter] ?? [0, ""];
  byId("delete-all").hidden = number === 0;
  byId("delete-all").textContent = caption.replace("#", number.toLocaleString());
}

function drawVideos() {
  const ids = new Set(view.videos.map((video) => video.id));
  for (const [id, row] of rows) if (!ids.has(id)) { moveFocus(row.node); row.node.remove(); rows.delete(id); }
  view.videos.forEach((video, index) => {
    const text = JSON.stringify([video, titleOf(video)]);
    let row = rows.get(video.id);
    // Only changed rows are replaced, so that the focus stays.
    if (row?.text !== text) {
      const node = row && row.state === video.state ? updateVideoRow(row.node, video)
        : createVideoRow(video, row?.node, { onWatch: watch, onAgain: makeAgain, onDelete: deleteVideo });
      if (row && row.node !== node) {
        const focused = row.node.contains(document.activeElement);
        row.node.replaceWith(node);
        if (focused) node.querySelector("button").focus();
      }
      row = { node, text, state: video.state };
      rows.set(video.id, row);
    }
    const list = byId("videos");
    if (list.children[index] !== row.node) list.insertBefore(row.node, list.children[index] ?? null);
  });
}

// After a deletion by keyboard the focus moves to the next video.
function moveFocus(node) {
  if (!node.contains(document.activeElement)) return;
  const next = node.nextElementSibling ?? node.previousElementSibling;
  (next?.querySelector(".actions > :last-child") ?? byId("videos-title")).focus();
}

// --- filters and pages ---------------------------------------------------------------------

function showPage(filter, page) {
  Object.assign(view, { filter, page });
  drawFilters();
  loadVideos().catch(report);
}
for (const radio of radios) radio.addEventListener("change", () => showPage(radio.value, 0));
byId("newer").addEventListener("click", () => showPage(view.filter, view.page - 1));
byId("older").addEventListener("click", () => showPage(view.filter, view.page + 1));

// --- changes -------------------------------------------------------------------------------

const report = (error) => { byId("videos-problem").textContent = error.message; };

// Returns whether it was done.
async function change(path, question, method = "DELETE") {
  if (question && !confirm(question)) return false;
  byId("videos-problem").textContent = "";
  return request(path, { method }).then(() => true, (error) => { report(error); return false; });
}

const deleteVideo = (video) => change(`page/videos/${video.id}`, video.url ? `Delete the video of ${titleOf(video)}?` : "");
const makeAgain = (video) => change(`page/videos/${video.id}/again`, "", "POST");
onDelete(deleteVideo);
byId("delete-all").addEventListener("click", () =>
  change(`page/videos?state=${view.filter === "failed" ? "failed" : "waiting"}`, `${byId("delete-all").textContent}?`));
