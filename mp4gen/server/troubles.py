"""The error of everything that passes by itself or by the administrator, and is no song's fault."""

from mp4gen.errors import Mp4GenError


class TransientError(Mp4GenError):
    """The disk, a folder, a worker or the machine failed; the same task may succeed later."""
