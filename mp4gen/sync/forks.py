"""Event loops whose connections stay with the process that opened them.

A fork shares them: when the child ends and closes its copies, its parent would lose its events.
"""

import asyncio
import os
import select
import selectors
import socket
import sys
from weakref import WeakKeyDictionary

_selectors: WeakKeyDictionary[asyncio.AbstractEventLoop, selectors.BaseSelector] = (
    WeakKeyDictionary()
)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return a loop whose connections a forked child cannot touch."""
    if sys.platform == "win32":
        loop = asyncio.new_event_loop()
    else:
        selector = selectors.DefaultSelector()
        loop = asyncio.SelectorEventLoop(selector)
        _selectors[loop] = selector
    return loop


def _disconnect_child() -> None:
    """Replace the descriptors of the parent's loops with unconnected ones."""
    running = [(loop, selector) for loop, selector in _selectors.items() if not loop.is_closed()]
    for loop, selector in running:
        # aiohttp and asyncio would warn of unclosed connections, which the parent closes.
        loop.set_exception_handler(lambda *_: None)
        nowhere, other_end = socket.socketpair()
        with nowhere, other_end:
            for key in tuple(selector.get_map().values()):
                os.dup2(nowhere.fileno(), key.fd, inheritable=False)
        if sys.platform == "linux" and isinstance(selector, selectors.EpollSelector):
            # A fork also shares the set of registered descriptors.
            with select.epoll() as unshared:
                os.dup2(unshared.fileno(), selector.fileno(), inheritable=False)


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_disconnect_child)
