"""The networks that a simulation can run on; they know machines and weather, nothing of the API.

`Simulated` needs simloop (Python 3.12 or newer): every machine is a host of its own, every packet
takes its time, links fall silent, machines die, and a seed fixes all of it, down to the order in
which things happen at one and the same moment. `Loopback` runs everywhere: real sockets between
tasks of one loop in virtual time (looptime). Both do the work of threads at once, so that no clock
runs on meanwhile.
"""

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, Protocol

import looptime

try:
    import simloop
except ImportError:
    # Python 3.11, or simply not there.
    simloop = None  # type: ignore[assignment]

_NORMAL_LATENCY = (0.01, 0.12)
_SPIKE_LATENCY = (0.2, 3.0)


class Network(Protocol):
    """Where the machines are.

    Attributes:
        loop: all of them run on it.
        gateway: host and port of the machine that all calls go through.
        service: host and port of the API.
    """

    loop: asyncio.AbstractEventLoop
    gateway: tuple[str, int]
    service: tuple[str, int]

    def start(self, machine: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Let `machine` do `work`."""

    def kill(self, machine: str, work: asyncio.Task[None]) -> None:
        """End `machine` without a farewell to anybody."""

    async def inject_faults(self, random: Random, new_gateway: Callable[[], None]) -> None:
        """Let things go wrong on the way for a while."""

    def trace(self) -> str:
        """A hash of all that was decided; empty where the kernel has a say in it."""

    def close(self) -> None:
        """End what dead machines have left behind."""


class Simulated:
    """A network of simloop's."""

    # Of 127.0.0.0/8, where a client sends its key without TLS.
    gateway = ("127.0.0.3", 8080)
    service = ("127.0.0.2", 8080)

    def __init__(self, seed: int) -> None:
        self.loop = simloop.SimLoop(seed)
        self.loop.set_exception_handler(_ignore_exception)
        self.loop.net.host(self.service[0])
        self.loop.net.host(self.gateway[0])
        self.loop.net.set_defaults(latency=_NORMAL_LATENCY)

    def start(self, machine: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Let `machine` do `work`; those that are no server have clocks that are wrong."""
        host = self.loop.net.host(machine)
        if machine not in (self.service[0], self.gateway[0]):
            self.loop.net.set_clock(machine, offset=Random(machine).uniform(-1e6, 1e6))
        return host.create_task(work)

    def kill(self, machine: str, work: asyncio.Task[None]) -> None:
        """Its packets on the way are lost, and nobody hears that its connections have ended."""
        if not work.done():
            self.loop.net.crash(machine)

    async def inject_faults(self, random: Random, new_gateway: Callable[[], None]) -> None:
        """Links that fall silent, spikes of latency, and a gateway that dies and comes back."""
        net, gateway = self.loop.net, self.gateway[0]
        for _ in range(random.randrange(5)):
            await asyncio.sleep(random.uniform(0, 90))
            match random.choice(["silence", "spike", "crash"]):
                case "silence":
                    net.partition({gateway}, {self.service[0]})
                    # Shorter than a client waits: nobody can count calls that arrive after that.
                    await asyncio.sleep(random.uniform(1, 25))
                    net.heal()
                case "spike":
                    net.set_defaults(latency=_SPIKE_LATENCY)
                    await asyncio.sleep(random.uniform(1, 30))
                    net.set_defaults(latency=_NORMAL_LATENCY)
                case "crash":
                    net.crash(gateway)
                    await asyncio.sleep(random.uniform(1, 300))
                    net.restart(gateway)
                    new_gateway()

    def trace(self) -> str:
        """Of every step and every packet."""
        return str(self.loop.trace_hash())

    def close(self) -> None:
        """Cancel all tasks that are left, then close the loop."""
        from simloop._run import finish

        finish(self.loop)


def _ignore_exception(_: object, __: dict[str, Any]) -> None:
    """Let dead machines' tasks be destroyed in silence; what a live one does is looked at."""


class Loopback:
    """Real sockets on this machine, in virtual time."""

    gateway = service = ("127.0.0.1", 0)

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop = looptime.make_event_loop_class(_Loop)()

    def start(self, machine: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Let `machine` do `work`."""
        return self.loop.create_task(work, name=machine)

    def kill(self, machine: str, work: asyncio.Task[None]) -> None:
        """Its connections are closed by the kernel."""
        work.cancel()

    async def inject_faults(self, random: Random, new_gateway: Callable[[], None]) -> None:
        """Nothing but what the gateway does to connections."""

    def trace(self) -> str:
        """None: the kernel decides which of two sockets is first."""
        return ""

    def close(self) -> None:
        """Cancel all tasks that are left, then close the loop."""
        remaining = asyncio.all_tasks(self.loop)
        for task in remaining:
            task.cancel()
        if remaining:
            self.loop.run_until_complete(asyncio.wait(remaining))
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()


class _Loop(asyncio.SelectorEventLoop):
    """Does the work of threads at once."""

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - as a thread would hand it over
            future.set_exception(error)
        return future
