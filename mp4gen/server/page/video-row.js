// Makes the row of one video, and changes it while the video is rendered.

import { createElement, formatDuration, formatSize, iconButton, keyOf, state, titleOf } from "./base.js";
import { LazyImages, placeholder } from "./images.js";

const thumbnails = new LazyImages(2);
const ordinals = new Intl.PluralRules("en", { type: "ordinal" });
const SUFFIXES = { one: "st", two: "nd", few: "rd", other: "th" };
const ordinal = (number) => `${number.toLocaleString()}${SUFFIXES[ordinals.select(number)]}`;

function statusOf(video) {
  if (video.state === "queued") return video.trouble ? [`waiting: ${video.trouble}`, " warn"] : [`waiting, ${ordinal(video.position ?? 1)}`, ""];
  if (video.state === "rendering" && video.total) return [`${formatDuration(video.done)} of ${formatDuration(video.total)}`, ""];
  if (video.state === "rendering") return ["analysing the song", ""];
  if (video.state === "failed") return [video.error ?? "The render failed.", " bad"];
  const days = video.days_remaining;
  if (days !== null && days <= 3) return [days ? `expires in ${days} ${days === 1 ? "day" : "days"}` : "expires today", " warn"];
  const made = state.presets.find(({ name }) => name === video.preset)?.title ?? video.aspect_ratio ?? "ready";
  return [[made, formatSize(video.size ?? 0), video.kept ? "kept" : "", ...video.warnings].filter(Boolean).join(" · "), ""];
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

// Calls `onWatch`, `onAgain` and `onDelete` with the video.
export function createVideoRow(video, before, { onWatch, onAgain, onDelete }) {
  const title = titleOf(video);
  const text = createElement("div", {}, createElement("span", { className: "name" }), createElement("span", { className: "more" }));
  if (video.state === "rendering") text.append(createElement("div", { className: "bar" }, createElement("i")));
  const actions = createElement("div", { className: "actions" });
  if (video.url) {
    const watch = createElement("button", { className: "watch", type: "button" });
    watch.setAttribute("aria-label", `Watch ${title}`);
    watch.addEventListener("click", () => onWatch(video));
    const download = createElement("a", { className: "soft icon save", href: video.url, download: `${title}.mp4` });
    download.setAttribute("aria-label", `Download ${title}`);
    actions.append(watch, download);
  }
  if (video.state === "failed") {
    const again = createElement("button", { className: "soft small", type: "button", textContent: "Again" });
    again.setAttribute("aria-label", `Make ${title} again`);
    again.addEventListener("click", () => onAgain(video));
    actions.append(again);
  }
  const isFinished = video.state === "done" || video.state === "failed";
  actions.append(iconButton("x", `${isFinished ? "Delete" : "Cancel"} ${title}`, () => onDelete(video)));
  const frame = video.state === "failed" ? placeholder(keyOf(video), "frame")
    : before?.querySelector(".frame") ?? thumbnails.create(keyOf(video), "frame", `page/thumbnail?id=${video.id}`);
  return updateVideoRow(createElement("li", { className: `row ${video.state}` }, frame, text, actions), video);
}
