// Shows the queue and one page of the videos; filters, plays and deletes videos.

import { byId, request, state, titleOf } from "./base.js";
import { createVideoRow, updateVideoRow } from "./video-row.js";

const rows = new Map();
const view = { filter: "all", page: 0, videos: [] };
const radios = [...document.querySelectorAll("[name=filter]")];

const countOf = (filter) => filter === "all"
  ? Object.values(state.counts).reduce((sum, count) => sum + count, 0)
  : state.counts[filter];
// Videos that render are on the first page of all, beside a full page of others.
const pagedCount = () => countOf(view.filter) - (view.filter === "all" ? state.counts.rendering : 0);

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
  const counts = [rendering && `${rendering} rendering`, queued && `${queued.toLocaleString()} queued`].filter(Boolean);
  byId("queue").textContent = counts.join(" · ") || "idle";
  byId("queue").hidden = false;
  byId("trouble").textContent = state.trouble ?? "";
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
  const caption = { waiting: `Cancel all ${count.toLocaleString()} waiting`, failed: `Delete all ${count.toLocaleString()} failed` }[view.filter];
  byId("delete-all").hidden = !caption || count === 0;
  byId("delete-all").textContent = caption ?? "";
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
        : createVideoRow(video, row?.node, { onWatch: watch, onDelete: deleteVideo });
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

async function change(path, question) {
  if (question && !confirm(question)) return;
  byId("videos-problem").textContent = "";
  await request(path, { method: "DELETE" }).catch(report);
}

function deleteVideo(video, isFinished) {
  change(`page/videos/${video.id}`, isFinished && video.url ? `Delete the video of ${titleOf(video)}?` : "");
}
byId("delete-all").addEventListener("click", () =>
  change(`page/videos?state=${view.filter}`, `${byId("delete-all").textContent}?`));

function watch(video) {
  byId("watch-title").textContent = titleOf(video);
  byId("player").src = video.url;
  Object.assign(byId("watch-save"), { href: video.url, download: `${titleOf(video)}.mp4` });
  byId("audio").pause();
  byId("watch").showModal();
  byId("player").focus();
  byId("player").play().catch(() => {});
}
byId("watch-close").addEventListener("click", () => byId("watch").close());
byId("watch").addEventListener("close", () => { byId("player").pause(); byId("player").removeAttribute("src"); });
