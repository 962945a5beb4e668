// The form of a new video: its choices, what they mean for the server, and what is kept of them.

import { byId, createElement, recall, remember, selected, state } from "./base.js";
import { attached } from "./attachments.js";
import { clip } from "./clip.js";

const KEPT = ["author", "domain", "audio_mode"];
for (const name of KEPT) byId(name).value = recall(name, byId(name).value);

let listener = () => {};
// Calls `callback` when a choice has changed; with true while the user types.
export function onOptions(callback) { listener = callback; }

const capitalise = (name) => name[0].toUpperCase() + name.slice(1);
const option = (type, name, value, ...children) => createElement("label", {},
  createElement("input", { type, name, value }), createElement("span", {}, ...children));

// Shows the looks and presets that the server has.
export function drawOptions() {
  byId("looks").replaceChildren(...state.looks.map((look) => createElement("label", {},
    createElement("input", { type: "radio", name: "look", value: look }),
    createElement("img", { alt: "" }), createElement("span", { textContent: capitalise(look) }))));
  byId("presets").replaceChildren(...state.presets.map(({ name, title, note }) =>
    option("checkbox", "preset", name, createElement("b", { textContent: title }), createElement("small", { textContent: note }))));
  const look = recall("look", state.looks[0]);
  (document.querySelector(`[name=look][value="${CSS.escape(look)}"]`) ?? document.querySelector("[name=look]")).checked = true;
  const presets = recall("presets", state.presets.slice(0, 1).map(({ name }) => name));
  for (const box of document.querySelectorAll("[name=preset]")) box.checked = presets.includes(box.value);
}

export const chosenPresets = () => [...document.querySelectorAll("[name=preset]:checked")].map(({ value }) => value);

function background() {
  const value = selected("background");
  if (value === "picture") return { picture: attached("picture") };
  return { background: value === "colour" ? byId("colour").value : value };
}

// The choices that fit every song.
export function batchOptions() {
  return {
    author: byId("author").value.trim(), domainName: byId("domain").value.trim(), audio_mode: byId("audio_mode").value,
    look: selected("look"), accent: byId("own-accent").checked ? byId("accent").value : null, ...background(), presets: chosenPresets(),
  };
}

// All choices, for the chosen song.
export function songOptions() {
  const lyrics = selected("lyrics") === "none" ? { lyrics: "none" } : { lyricsFile: attached("lyrics") };
  return { ...batchOptions(), title: byId("title").value.trim(), cover: attached("cover"), ...lyrics, ...clip() };
}

byId("create-form").addEventListener("input", (event) => {
  const { id, type } = event.target;
  if (type === "file") return;
  if (id === "accent") byId("own-accent").checked = true;
  if (id === "colour") document.querySelector("[name=background][value=colour]").checked = true;
  if (KEPT.includes(id)) remember(id, event.target.value);
  remember("look", selected("look"));
  remember("presets", chosenPresets());
  listener(type === "text" || type === "color");
});
