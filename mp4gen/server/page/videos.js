// Shows the queue and the videos; plays and deletes videos.

import { byId, createElement, formatDuration, formatSize, keyOf, request, state } from "./base.js";
import { LazyImages, placeholder } from "./images.js";

const rows = new Map();
const thumbnails = new LazyImages(2);

export function drawVideos() {
  const { rendering, queued } = state;
  const counts = [rendering && `${rendering} rendering`, queued && `${queued} queued`].filter(Boolean);
  byId("queue").textContent = counts.join(" · ") || "idle";
  byId("queue").hidden = false;
  byId("trouble").textContent = state.trouble ?? "";
  byId("no-videos").hidden = state.videos.length > 0;
  const ids = new Set(state.videos.map((video) => video.id));
  for (const [id, row] of rows) if (!ids.has(id)) { moveFocus(row.node); row.node.remove(); rows.delete(id); }
  state.videos.forEach((video, index) => {
    const text = JSON.stringify([video, titleOf(video)]);
    let row = rows.get(video.id);
    // Only changed rows are replaced, so that the focus stays.
    if (row?.text !== text) {
      const node = row && row.state === video.state ? updateRow(row.node, video) : videoRow(video, row?.node);
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

function titleOf(video) {
  return state.library.find((track) => keyOf(track) === keyOf(video))?.title ?? video.audio;
}

function statusOf(video) {
  const ratio = video.aspect_ratio && video.aspect_ratio !== "16:9" ? ` · ${video.aspect_ratio}` : "";
  if (video.state === "queued") return video.trouble ? [`waiting: ${video.trouble}`, " warn"] : ["queued", ""];
  if (video.state === "rendering" && video.total) return [`${formatDuration(video.done)} of ${formatDuration(video.total)}`, ""];
  if (video.state === "rendering") return ["analysing the song", ""];
  if (video.state === "failed") return [video.error ?? "The render failed.", " bad"];
  const days = video.days_remaining;
  if (days !== null && days <= 3) return [days ? `expires in ${days} ${days === 1 ? "day" : "days"}` : "expires today", " warn"];
  return [[`ready · ${formatSize(video.size ?? 0)}${ratio}`, ...video.warnings].join(" · "), ""];
}

function updateRow(node, video) {
  const [text, kind] = statusOf(video);
  node.querySelector(".name").textContent = titleOf(video);
  const hint = video.warnings.join(" ") || video.trouble || "";
  Object.assign(node.querySelector(".more"), { textContent: text, className: `more${kind}`, title: hint });
  const bar = node.querySelector(".bar i");
  if (bar) {
    bar.style.width = video.total ? `${(100 * video.done) / video.total}%` : "";
    bar.className = video.total ? "" : "unknown";
  }
  return node;
}

function videoRow(video, before) {
  const title = titleOf(video);
  const text = createElement("div", {}, createElement("span", { className: "name" }), createElement("span", { className: "more" }));
  if (video.state === "rendering") text.append(createElement("div", { className: "bar" }, createElement("i")));
  const actions = createElement("div", { className: "actions" });
  const button = (caption, label, onClick, kind = "") => {
    const node = createElement("button", { className: `soft ${kind}`, type: "button", textContent: caption });
    node.setAttribute("aria-label", `${label} ${title}`);
    node.addEventListener("click", onClick);
    actions.append(node);
  };
  if (video.url) {
    button("Watch", "Watch", () => watch(video), "watch");
    const download = createElement("a", { className: "soft save", href: video.url, download: `${title}.mp4` },
      createElement("span", { textContent: "Download" }));
    download.setAttribute("aria-label", `Download ${title}`);
    actions.append(download);
  }
  const finished = video.state === "done" || video.state === "failed";
  button(finished ? "" : "Cancel", finished ? "Delete" : "Cancel", () => deleteVideo(video, finished), finished ? "x" : "");
  const frame = video.state === "failed" ? placeholder(keyOf(video), "frame")
    : before?.querySelector(".frame") ?? thumbnails.create(keyOf(video), "frame", `page/thumbnail?id=${video.id}`);
  return updateRow(createElement("li", { className: `row ${video.state}` }, frame, text, actions), video);
}

async function deleteVideo(video, confirmFirst) {
  if (confirmFirst && video.url && !confirm(`Delete the video of ${titleOf(video)}?`)) return;
  try {
    await request(`page/videos/${video.id}`, { method: "DELETE" });
  } catch (error) {
    byId("create-problem").textContent = error.message;
  }
}

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
