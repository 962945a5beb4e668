// Makes the row of one video, and changes it while the video is rendered.

import { createElement, formatDuration, formatSize, keyOf, titleOf } from "./base.js";
import { LazyImages, placeholder } from "./images.js";

const thumbnails = new LazyImages(2);

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

export function updateVideoRow(node, video) {
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

// Calls `onWatch` and `onDelete` with the video.
export function createVideoRow(video, before, { onWatch, onDelete }) {
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
    button("Watch", "Watch", () => onWatch(video), "watch");
    const download = createElement("a", { className: "soft save", href: video.url, download: `${title}.mp4` },
      createElement("span", { textContent: "Download" }));
    download.setAttribute("aria-label", `Download ${title}`);
    actions.append(download);
  }
  const finished = video.state === "done" || video.state === "failed";
  button(finished ? "" : "Cancel", finished ? "Delete" : "Cancel", () => onDelete(video, finished), finished ? "x" : "");
  const frame = video.state === "failed" ? placeholder(keyOf(video), "frame")
    : before?.querySelector(".frame") ?? thumbnails.create(keyOf(video), "frame", `page/thumbnail?id=${video.id}`);
  return updateVideoRow(createElement("li", { className: `row ${video.state}` }, frame, text, actions), video);
}
