// Adds songs to the library: files and folders that were dropped or chosen.

import { byId, formatSize, keyOf, state } from "./base.js";
import { takeDropped } from "./attachments.js";
import { choose, loadSongs } from "./song-list.js";

let uploading = Promise.resolve();
function queueUpload(files) {
  uploading = uploading.then(() => uploadFiles(files));
  return uploading;
}

// `files` are pairs of a file and the name of its folder, or "".
async function uploadFiles(files) {
  byId("drop-problem").textContent = "";
  byId("drop-progress").hidden = false;
  const problems = [];
  let last = null;
  for (const [index, [file, folder]] of files.entries()) {
    const show = (part) => { byId("drop-progress").value = (index + part) / files.length; };
    show(0);
    try {
      check(file);
      last = await upload(file, folder, show);
    } catch (error) {
      problems.push(error.message);
      byId("drop-problem").textContent = problems.join("\n");
    }
  }
  byId("drop-progress").hidden = true;
  if (!last) return;
  await loadSongs();
  const track = state.tracks.get(keyOf(last));
  if (track) choose(track);
}

const isMusic = (name) => state.extensions.some((extension) => name.toLowerCase().endsWith(extension));

// Rejects files that the server would reject after their upload.
function check(file) {
  const { extensions, max_upload_bytes: maxBytes } = state;
  if (!isMusic(file.name)) throw new Error(`${file.name} is not a supported audio file: ${extensions.join(", ")}`);
  if (file.size > maxBytes) throw new Error(`${file.name} is larger than ${formatSize(maxBytes)}`);
}

// Resolves to the new track's ids, or rejects with an error message.
function upload(file, folder, onProgress) {
  return new Promise((resolve, reject) => {
    // fetch() does not report the progress of an upload.
    const request = new XMLHttpRequest();
    request.open("POST", `page/upload?${new URLSearchParams({ name: file.name, folder })}`);
    request.setRequestHeader("X-Mp4gen-Token", state.token);
    request.upload.addEventListener("progress", (event) => onProgress(event.loaded / event.total));
    request.addEventListener("load", () => {
      let body = {};
      try { body = JSON.parse(request.responseText); } catch { /* A proxy's response. */ }
      if (request.status === 200) resolve(body);
      else reject(new Error(withFilename(file.name, body.msg ?? `HTTP status ${request.status}`)));
    });
    request.addEventListener("error", () => reject(new Error(`The upload of ${file.name} failed.`)));
    request.send(file);
  });
}

// Adds the file name unless the message contains it.
const withFilename = (name, message) => message.includes(name) ? message : `${name}: ${message}`;

// --- dropping ------------------------------------------------------------------------------

// Returns the music of a dropped file or folder, with the name of the folder that holds it.
async function musicIn(entry, folder = "") {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => { entry.file(resolve, reject); });
    return folder === "" || isMusic(file.name) ? [[file, folder]] : [];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    // A folder is read in parts, until one is empty.
    const part = await new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });
    if (part.length === 0) return found;
    for (const one of part) found.push(...await musicIn(one, entry.name));
  }
}

async function takeAll(items) {
  // All entries are taken first: they are gone after the first pause.
  const entries = [...items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
  const files = (await Promise.all(entries.map((entry) => musicIn(entry)))).flat();
  const music = files.filter(([file, folder]) => folder !== "" || isMusic(file.name) || !takeDropped(file));
  if (music.length > 0) await queueUpload(music);
}

byId("file").addEventListener("change", async (event) => {
  await queueUpload([...event.target.files].map((file) => [file, ""]));
  event.target.value = "";
});
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => { event.preventDefault(); byId("drop").classList.add("over"); });
}
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) byId("drop").classList.remove("over"); });
document.addEventListener("drop", (event) => {
  event.preventDefault();
  byId("drop").classList.remove("over");
  takeAll(event.dataTransfer.items).catch((error) => { byId("drop-problem").textContent = error.message; });
});
