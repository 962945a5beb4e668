// The queue and the finished videos: shown, watched, deleted.

import { by, call, clock, keyOf, make, size, state } from "./base.js";
import { Pictures, tinted } from "./pictures.js";

const rows = new Map();
const stills = new Pictures(2);

export function drawVideos() {
  const { rendering, waiting } = state;
  const doing = [rendering && `${rendering} rendering`, waiting && `${waiting} waiting`].filter(Boolean);
  by("queue").textContent = doing.join(" · ") || "nothing to do";
  by("queue").hidden = false;
  by("no-videos").hidden = state.videos.length > 0;
  const seen = new Set(state.videos.map((video) => video.id));
  for (const [id, row] of rows) if (!seen.has(id)) { leave(row.node); row.node.remove(); rows.delete(id); }
  state.videos.forEach((video, index) => {
    const text = JSON.stringify([video, titleOf(video)]);
    let row = rows.get(video.id);
    // A row is drawn anew only where it changed, so that focus stays where it is.
    if (row?.text !== text) {
      const node = row && row.state === video.state ? refreshed(row.node, video) : videoRow(video, row?.node);
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
function leave(node) {
  if (!node.contains(document.activeElement)) return;
  const next = node.nextElementSibling ?? node.previousElementSibling;
  (next?.querySelector(".doing > :last-child") ?? by("videos-title")).focus();
}

function titleOf(video) {
  return state.library.find((track) => keyOf(track) === keyOf(video))?.title ?? video.audio;
}

function tell(video) {
  const shape = video.shape && video.shape !== "16:9" ? ` · ${video.shape}` : "";
  if (video.state === "queued") return ["waiting", ""];
  if (video.state === "rendering" && video.total) return [`${clock(video.done)} of ${clock(video.total)}`, ""];
  if (video.state === "rendering") return ["listening to the song", ""];
  if (video.state === "failed") return [video.error ?? "It failed.", " bad"];
  const days = video.days ? `kept for ${video.days} more ${video.days === 1 ? "day" : "days"}` : "kept for some hours more";
  return video.days <= 3 ? [days, " warn"] : [`ready · ${size(video.size ?? 0)}${shape}`, ""];
}

function refreshed(node, video) {
  const [text, kind] = tell(video);
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
  const over = video.state === "done" || video.state === "failed";
  button(over ? "" : "Cancel", over ? "Delete" : "Cancel", () => drop(video, over), over ? "x" : "");
  const frame = video.state === "failed" ? tinted(keyOf(video), "frame")
    : before?.querySelector(".frame") ?? stills.place(keyOf(video), "frame", `/page/still?id=${video.id}`);
  return refreshed(make("li", { className: `row ${video.state}` }, frame, what, doing), video);
}

async function drop(video, ask) {
  if (ask && video.url && !confirm(`Delete the video of ${titleOf(video)}?`)) return;
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
  by("listen").pause();
  by("watch").showModal();
  by("player").focus();
  by("player").play().catch(() => {});
}
by("watch-close").addEventListener("click", () => by("watch").close());
by("watch").addEventListener("close", () => { by("player").pause(); by("player").removeAttribute("src"); });
