// The page: puts its parts together, and follows the server's events.
// Text from outside is set as text, never as markup.

import { byId, request, state, throttle } from "./base.js";
import { follow } from "./events.js";
import { refreshSong } from "./new-video.js";
import { drawOptions } from "./options.js";
import { drawBatches, loadSongs } from "./song-list.js";
import "./uploads.js";
import { drawQueue, loadVideos } from "./videos.js";

function show(newState) {
  const { videos_version: videosVersion, library_version: libraryVersion } = state;
  Object.assign(state, newState);
  drawQueue();
  drawBatches();
  if (videosVersion !== state.videos_version) refreshVideos();
  if (libraryVersion !== state.library_version) refreshLibrary();
}

const refreshVideos = throttle(loadVideos, 500);
// While the tags of a large library are read, it changes many times a second.
const refreshLibrary = throttle(async () => { await loadSongs(); refreshSong(); drawQueue(); await loadVideos(); }, 2000);

async function refresh() {
  const newState = await request("page/state");
  byId("login").hidden = true;
  byId("app").hidden = false;
  byId("tabs").hidden = false;
  byId("extensions").textContent = "mp3, flac, ogg, wav";
  byId("extensions").title = newState.extensions.join(", ");
  byId("file").accept = newState.extensions.join(",");
  const isFirst = !state.looks;
  Object.assign(state, { looks: newState.looks, presets: newState.presets, size: newState.size });
  if (isFirst) drawOptions();
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
