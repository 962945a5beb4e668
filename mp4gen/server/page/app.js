// The page: puts its parts together, follows the server's events, and sends the user's changes.
// Text from outside is set as text, never as markup.

import { byId, formatSize, keyOf, queryOf, request, showLogin, state, throttle } from "./base.js";
import { follow } from "./events.js";
import { choose, chosenTrack, loadLibrary, onChosen } from "./library.js";
import { upload } from "./uploads.js";
import { drawQueue, loadVideos } from "./videos.js";

// --- the new video -------------------------------------------------------------------------

onChosen((track) => {
  byId("go").disabled = Boolean(track.problem);
  const [fixed, each] = state.render_seconds;
  byId("estimate").textContent = track.problem ? "" : `about ${formatSeconds(Math.ceil(fixed + each * track.length))}`;
  byId("author").placeholder = track.artist ?? "none";
  preview();
});

function formatSeconds(seconds) {
  if (seconds < 90) return `${seconds} ${seconds === 1 ? "second" : "seconds"}`;
  return `${Math.round(seconds / 60)} minutes`;
}

function formValues() {
  const form = new FormData(byId("create-form"));
  return { author: byId("author").value.trim(), domainName: byId("domain").value.trim(),
    aspect_ratio: form.get("aspect_ratio"), audio_mode: form.get("audio_mode") };
}

const CHOOSE = byId("stage-text").textContent;
let previewTimer = 0;
let pendingImage = null;
function preview(wait = 0) {
  clearTimeout(previewTimer);
  const track = chosenTrack();
  const stage = byId("stage");
  if (!track || track.problem) {
    if (pendingImage) pendingImage.src = "";
    pendingImage = null;
    stage.classList.remove("busy");
    byId("preview").hidden = true;
    byId("stage-text").textContent = track ? "No preview available." : CHOOSE;
    return;
  }
  stage.classList.add("busy");
  byId("stage-text").textContent = byId("preview").hidden ? "Loading preview…" : "";
  previewTimer = setTimeout(async () => {
    const { author, domainName, aspect_ratio } = formValues();
    const query = queryOf(track);
    for (const [name, value] of Object.entries({ author, domainName, aspect_ratio })) query.set(name, value);
    // Cancel the previous request, so that it does not delay others.
    if (pendingImage) pendingImage.src = "";
    const image = new Image();
    pendingImage = image;
    image.src = `page/preview?${query}`;
    const drawn = await image.decode().then(() => true, () => false);
    if (image !== pendingImage) return;
    pendingImage = null;
    stage.classList.remove("busy");
    byId("stage-text").textContent = drawn ? "" : "No preview available.";
    byId("preview").hidden = !drawn;
    if (drawn) byId("preview").src = image.src;
  }, wait);
}
for (const id of ["author", "domain"]) byId(id).addEventListener("input", () => preview(400));
for (const radio of document.querySelectorAll("[name=aspect_ratio]")) radio.addEventListener("change", () => preview());

let creating = false;
byId("create-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const track = chosenTrack();
  // The button is not disabled during the request, because it would lose the focus.
  if (!track || track.problem || creating) return;
  byId("create-problem").textContent = "";
  creating = true;
  try {
    const body = JSON.stringify({ task: track.task, audio: track.audio, ...formValues() });
    await request("page/videos", { method: "POST", body });
    byId("estimate").textContent = "Queued. Progress is shown below.";
  } catch (error) {
    byId("create-problem").textContent = error.message;
  }
  creating = false;
});

// --- uploads -------------------------------------------------------------------------------

// Rejects files that the server would reject after their upload.
function check(file) {
  const { extensions, max_upload_bytes: maxBytes } = state;
  if (!extensions.some((extension) => file.name.toLowerCase().endsWith(extension))) {
    throw new Error(`${file.name} is not a supported audio file: ${extensions.join(", ")}`);
  }
  if (file.size > maxBytes) throw new Error(`${file.name} is larger than ${formatSize(maxBytes)}`);
}

let uploading = Promise.resolve();
function queueUpload(files) {
  uploading = uploading.then(() => uploadFiles(files));
  return uploading;
}

async function uploadFiles(files) {
  byId("drop-problem").textContent = "";
  byId("drop-progress").hidden = false;
  const problems = [];
  let last = null;
  for (const file of files) {
    byId("drop-progress").value = 0;
    try {
      check(file);
      last = await upload(file, state.token, (part) => { byId("drop-progress").value = part; });
    } catch (error) {
      problems.push(error.message);
      byId("drop-problem").textContent = problems.join("\n");
    }
  }
  byId("drop-progress").hidden = true;
  if (last) {
    await loadLibrary();
    const track = state.tracks.get(keyOf(last));
    if (track) {
      choose(track);
      document.querySelector("#tracks .chosen")?.scrollIntoView({ block: "nearest" });
    }
  }
}
byId("file").addEventListener("change", async (event) => { await queueUpload([...event.target.files]); event.target.value = ""; });
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => { event.preventDefault(); byId("drop").classList.add("over"); });
}
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) byId("drop").classList.remove("over"); });
document.addEventListener("drop", (event) => {
  event.preventDefault();
  byId("drop").classList.remove("over");
  if (event.dataTransfer.files.length > 0) queueUpload([...event.dataTransfer.files]);
});

// --- state and events ----------------------------------------------------------------------

function show(newState) {
  const { videos_version: videosVersion, library_version: libraryVersion } = state;
  Object.assign(state, newState);
  drawQueue();
  if (videosVersion !== state.videos_version) refreshVideos();
  if (libraryVersion !== state.library_version) refreshLibrary();
}

const refreshVideos = throttle(loadVideos, 500);
// While the tags of a large library are read, it changes many times a second.
const refreshLibrary = throttle(async () => { await loadLibrary(); drawQueue(); await loadVideos(); }, 2000);

async function refresh() {
  const newState = await request("page/state");
  byId("login").hidden = true;
  byId("app").hidden = false;
  byId("extensions").textContent = "mp3, m4a, flac, wav, ogg and others";
  byId("extensions").title = newState.extensions.join(", ");
  byId("file").accept = newState.extensions.join(",");
  show(newState);
}

let connected = true;
function receive(message) {
  if (message.text !== undefined) { show(JSON.parse(message.text)); return; }
  // The state may have changed in the meantime, including this page's token.
  if (message.connected && !connected) refresh().catch(() => {});
  connected = message.connected;
  if (!connected) byId("queue").textContent = "Connection lost. Reconnecting…";
}

byId("login-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  byId("login-problem").textContent = "";
  try {
    await request("page/login", { method: "POST", body: JSON.stringify({ key: byId("key").value }) });
    byId("key").value = "";
    await begin({ signedIn: true });
    byId("music-title").focus();
  } catch (error) {
    byId("login-problem").textContent = error.message;
  }
});

async function begin(options) {
  await refresh();
  follow(receive, options);
}
begin({ signedIn: false }).catch((error) => {
  if (!error.message) return;
  byId("queue").textContent = error.message;
  byId("queue").hidden = false;
});
