"""Limits of this process in the kernel, as far as the system has and accepts them.

Windows has none. macOS has no limit of memory, and opens at most 10,240 files.
"""

import logging
import sys

log = logging.getLogger("mp4gen.server")


def set_limit(name: str, value: int) -> bool:
    """Set a soft limit, within the hard one; return whether the system accepts it.

    Args:
        name: The name of the limit, such as "RLIMIT_AS".
        value: The limit in the system's unit.
    """
    if sys.platform == "win32":
        accepted = False
    else:
        import resource

        try:
            limit = getattr(resource, name)
            hard = resource.getrlimit(limit)[1]
            within = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(limit, (within, hard))
            accepted = True
        except (AttributeError, ValueError, OSError) as error:
            log.debug("the system refuses %s=%d: %s", name, value, error)
            accepted = False
    return accepted


def open_files() -> tuple[int | None, int | None]:
    """Return the soft and the hard limit of open files; None for no limit."""
    if sys.platform == "win32":
        limits: tuple[int | None, ...] = (None, None)
    else:
        import resource

        soft_and_hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        limits = tuple(None if one == resource.RLIM_INFINITY else one for one in soft_and_hard)
    return limits[0], limits[1]
