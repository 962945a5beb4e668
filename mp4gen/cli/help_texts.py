"""What each command does, in words: for `mp4gen --help` and the command's own, before it is loaded.

The first line is the short one.
"""

from __future__ import annotations

INTRODUCTION = """Turn music tracks into MP4 videos.

Begin with `mp4gen demo`: it needs neither a key nor a network.
"""

EXIT_CODES = (
    "Exit codes: 0 all done, 1 something failed, 2 bad input (nothing was sent), 3 stopped because "
    "the key was refused or the credits are used up, 130 stopped by Ctrl-C."
)

DEMO = """Make videos of three short pieces of music.

Everything happens on this machine: mp4gen's own server renders the bundled music on a free port of
the loopback address, mp4gen's own client submits, polls and downloads.
"""

SERVE = """Serve the API from a music folder; it renders by itself.

Speaks the "Create Music Video" API, and shows a page for people. Point any client at it, for
instance with MP4GEN_BASE_URL=http://127.0.0.1:8787. Ctrl-C or SIGTERM stop it; tasks that were not
finished go on when it is started again.
"""

RENDER = """Render one music file into an MP4.

Needs no server and no network. The video appears under its name only when it is whole.
"""

CONVERT = """Turn all tracks of a table into videos.

The first line of a CSV names its columns as the API does: taskId, audioId, author, domainName,
callBackUrl. Names such as task_id do as well, and only the first two are needed. All rows are
checked before the first one is sent.

A ledger beside the videos keeps what was submitted, so that the same line again goes on where it
was stopped and pays for nothing twice. Ctrl-C stops submitting and waits for what is in progress; a
second one stops at once.
"""

CREATE = """Submit one track; prints the video task's id.

The API makes one video of a track: a second submit is refused, and the first task's id is told.
"""

WAIT = "Wait for a video task; prints the video's link, or with --to its file."

DETAILS = "Look once at a video task."

DOWNLOAD = """Fetch the video of a task or of a link; prints where it is.

The file appears under its name only when it is whole.
"""

TRACKS = """List the tracks of a music task.

With --json, what it prints is a table that `mp4gen convert -` reads.
"""

CREDITS = "Tell how many credits are left."

LEDGER = """Tell what is in the ledger of a run, also while it runs.

Without options: how many tracks are how far. With --failed, --uncertain or --expiring: which ones.
--csv and --json print all, or the chosen ones.
"""
