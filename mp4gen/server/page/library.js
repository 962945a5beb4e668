// The songs: asks the server for what changed, and puts them in the order that the user chose.

import { keyOf, request, state } from "./base.js";

let version = "";
// Natural order: song 9 before song 10.
const { compare } = new Intl.Collator(undefined, { numeric: true });
const byFolder = (one, other) => compare(one.task, other.task) || compare(one.audio, other.audio);
const ORDERS = {
  folder: byFolder,
  title: (one, other) => compare(one.title, other.title) || byFolder(one, other),
  // Songs without an artist come last.
  artist: (one, other) => !one.artist - !other.artist || compare(one.artist ?? "", other.artist ?? "") || byFolder(one, other),
  duration: (one, other) => one.length - other.length || byFolder(one, other),
  newest: (one, other) => other.modified - one.modified || byFolder(one, other),
};

// Resolves to whether the songs have changed, once they are those of the server. Calls `onChanged`
// with the key of each song whose file may be another one.
export async function loadLibrary(order, onChanged) {
  const changes = await request(`page/library?${new URLSearchParams({ since: version })}`);
  version = changes.version;
  const before = state.tracks.size;
  if (changes.complete) state.tracks.clear();
  for (const [task, audio] of changes.removed) state.tracks.delete(keyOf({ task, audio }));
  let isNew = changes.complete || before !== state.tracks.size;
  for (const track of tracksOf(changes)) {
    isNew = true;
    state.tracks.set(track.key, track);
    onChanged(track.key);
  }
  if (isNew) sortLibrary(order);
  return isNew;
}

export function sortLibrary(order) {
  state.library = [...state.tracks.values()].sort(ORDERS[order]);
}

// The server sends columns, which are described there.
function tracksOf({ folders, audios, titles, artists, seconds, modified, lyrics, problems }) {
  const tasks = folders.flatMap(([task, count]) => Array(count).fill(task));
  const [problemOf, lyricsOf] = [new Map(problems), new Map(lyrics)];
  let artist = null;
  let period = 0;
  return audios.map((audio, index) => {
    const title = typeof titles[index] === "string" ? titles[index] : audio.slice(titles[index]);
    if (artists[index] !== 0) artist = artists[index];
    period += modified[index];
    const length = Math.abs(seconds[index]);
    const track = { task: tasks[index], audio, title, artist, length, modified: period,
      duration: seconds[index] > 0 ? length : null, lyrics: lyricsOf.get(index) ?? null, problem: problemOf.get(index) };
    return Object.assign(track, { key: keyOf(track), text: `${title} ${artist ?? ""} ${track.task}`.toLowerCase() });
  });
}
