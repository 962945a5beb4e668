"""The help of the commands: `mp4gen --help` shows it without importing them.

The first line is the summary.
"""

INTRODUCTION = """Turn music tracks into MP4 videos.

Start with `mp4gen demo`: it needs no key and no network.
"""

EXIT_CODES = (
    "Exit codes: 0 everything succeeded, 1 something failed, 2 bad input (nothing was sent), "
    "3 stopped because the key was refused or the credits are used up, 130 stopped by Ctrl-C."
)

DEMO = """Make videos of three bundled pieces of music.

Everything runs on this machine: mp4gen's own server renders the music on a free port of the
loopback address, and mp4gen's own client submits, polls and downloads.
"""

SERVE = """Serve the API from a music folder.

The server renders the videos itself. It speaks the "Create Music Video" API and has a page for
browsers. Point any client at it, for instance with MP4GEN_BASE_URL=http://127.0.0.1:8787. Ctrl-C or
SIGTERM stops the server; at the next start it continues unfinished tasks.
"""

RENDER = """Render audio files as MP4s.

You need no server and no network. Folders are searched for audio, and their videos keep the names
of the folders. All processors are used, and a file that fails does not stop the others. A video
appears only when it is complete.

Videos that exist are skipped, so the same command again resumes a stopped run. A file that is not a
complete video of mp4gen is never replaced without --overwrite. Ctrl-C drops the videos in progress;
a second Ctrl-C stops immediately.
"""

CONVERT = """Convert a table of tracks to videos.

The first line of a CSV file names the columns as the API does: taskId, audioId, author, domainName,
callBackUrl, extra. You can also write task_id. Only the first two are required. All rows are
checked before the first one is sent.

A ledger beside the videos records what was submitted. Run the same command again to resume a
stopped run without paying twice. Ctrl-C stops submitting and waits for the videos in progress; a
second Ctrl-C stops immediately.
"""

CREATE = """Submit a track and print the id of its video task.

The API makes one video for each track. It refuses a second submit, and the error names the first
task.
"""

WAIT = "Wait for a video task and print the video's URL, or its file with --to."

DETAILS = "Print the details of a video task."

DOWNLOAD = """Download a video by its task id or URL, and print its path.

The file appears only when it is complete.
"""

TRACKS = """List the tracks of a music task.

With --json, `mp4gen convert -` can read the output.
"""

LYRICS = "Print the lyrics of a track as LRC, with the times of the words, or write them with --to."

CREDITS = "Print the number of credits left."

LEDGER = """Show the ledger of a run, even while it runs.

Without options, it counts the tracks by state. --failed, --uncertain and --expiring list the tracks
that match. --csv and --json print all tracks, or those that match.
"""
