// The queue and the finished videos: shown, watched, deleted.

import { by, call, clock, keyOf, make, size, state } from "./base.js";
import { LazyImages, placeholder } from "./images.js";

const rows = new Map();
const thumbnails = new LazyImages(2);

export function drawVideos() {
  const { rendering, queued } = state;
  const doing = [rendering && `${rendering} rendering`, queued && `${queued} queued`].filter(Boolean);
  by("queue").textContent = doing.join(" · ") || "nothing to do";
  by("queue").hidden = false;
  by("no-videos").hidden = state.videos.length > 0;
  const ids = new Set(state.videos.map((video) => video.id));
  for (const [id, row] of rows) if (!ids.has(id)) { moveFocus(row.node); row.node.remove(); rows.delete(id); }
  state.videos.forEach((video, index) => {
    const text = JSON.stringify([video, titleOf(video)]);
    let row = rows.get(video.id);
    // A row is drawn anew only where it changed, so that focus stays where it is.
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
    const list = by("videos");
    if (list.children[index] !== row.node) list.insertBefore(row.node, list.children[index] ?? null);
  });
}

// Who deletes a video by keyboard goes on at the next one.
function moveFocus(node) {
  if (!node.contains(document.activeElement)) return;
  const next = node.nextElementSibling ?? node.previousElementSibling;
  (next?.querySelector(".doing > :last-child") ?? by("videos-title")).focus();
}

function titleOf(video) {
  return state.library.find((track) => keyOf(track) === keyOf(video))?.title ?? video.audio;
}

function statusOf(video) {
  const ratio = video.aspect_ratio && video.aspect_ratio !== "16:9" ? ` · ${video.aspect_ratio}` : "";
  if (video.state === "queued") return ["queued", ""];
  if (video.state === "rendering" && video.total) return [`${clock(video.done)} of ${clock(video.total)}`, ""];
  if (video.state === "rendering") return ["listening to the song", ""];
  if (video.state === "failed") return [video.error ?? "It failed.", " bad"];
  const days = video.days_remaining ? `kept for ${video.days_remaining} more ${video.days_remaining === 1 ? "day" : "days"}` : "kept for some hours more";
  return video.days_remaining <= 3 ? [days, " warn"] : [`ready · ${size(video.size ?? 0)}${ratio}`, ""];
}

function updateRow(node, video) {
  const [text, kind] = statusOf(video);
  node.querySelector(".name").textContent = titleOf(video);
  Object.assign(node.querySelector(".more"), { textContent: text, className: `more${kind}` });
  const bar = node.querySelector(".bar i");
  if (bar) {
    bar.style.width = video.total ? `${(100 * video.done) / video.total}%` : "";
    bar.className = video.total ? "" : "unknown";
  }
  return node;
}

function videoRow(video, before) {
  const title = titleOf(video);
  const what = make("div", {}, make("span", { className: "name" }), make("span", { className: "more" }));
  if (video.state === "rendering") what.append(make("div", { className: "bar" }, make("i")));
  const doing = make("div", { className: "doing" });
  const button = (text, label, act, kind = "") => {
    const made = make("button", { className: `soft ${kind}`, type: "button", textContent: text });
    made.setAttribute("aria-label", `${label} ${title}`);
    made.addEventListener("click", act);
    doing.append(made);
  };
  if (video.url) {
    button("Watch", "Watch", () => watch(video), "watch");
    const save = make("a", { className: "soft save", href: video.url, download: `${title}.mp4` },
      make("span", { textContent: "Download" }));
    save.setAttribute("aria-label", `Download ${title}`);
    doing.append(save);
  }
  const finished = video.state === "done" || video.state === "failed";
  button(finished ? "" : "Cancel", finished ? "Delete" : "Cancel", () => deleteVideo(video, finished), finished ? "x" : "");
  const frame = video.state === "failed" ? placeholder(keyOf(video), "frame")
    : before?.querySelector(".frame") ?? thumbnails.create(keyOf(video), "frame", `/page/thumbnail?id=${video.id}`);
  return updateRow(make("li", { className: `row ${video.state}` }, frame, what, doing), video);
}

async function deleteVideo(video, confirmFirst) {
  if (confirmFirst && video.url && !confirm(`Delete the video of ${titleOf(video)}?`)) return;
  try {
    await call(`/page/videos/${video.id}`, { method: "DELETE" });
  } catch (error) {
    by("make-problem").textContent = error.message;
  }
}

function watch(video) {
  by("watch-title").textContent = titleOf(video);
  by("player").src = video.url;
  Object.assign(by("watch-save"), { href: video.url, download: `${titleOf(video)}.mp4` });
  by("audio").pause();
  by("watch").showModal();
  by("player").focus();
  by("player").play().catch(() => {});
}
by("watch-close").addEventListener("click", () => by("watch").close());
by("watch").addEventListener("close", () => { by("player").pause(); by("player").removeAttribute("src"); });
