"""The networks of the simulation: machines and faults, nothing of the API.

`Simulated` needs simloop (Python 3.12 or newer): each machine is a host, packets have latency,
links fall silent and machines die. A seed fixes everything, also the order of simultaneous
events. `Loopback` runs everywhere: real sockets between tasks of one loop in virtual time
(looptime). Both run the work of threads immediately, so that no clock advances meanwhile.
"""

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, Protocol

import looptime

try:
    import simloop
except ImportError:
    # Python 3.11, or not installed.
    simloop = None  # type: ignore[assignment]

_NORMAL_LATENCY = (0.01, 0.12)
_SPIKE_LATENCY = (0.2, 3.0)


class Network(Protocol):
    """A network of machines.

    Attributes:
        loop: The event loop of all machines.
        gateway: Host and port of the machine that forwards all requests.
        service: Host and port of the API.
    """

    loop: asyncio.AbstractEventLoop
    gateway: tuple[str, int]
    service: tuple[str, int]

    def start(self, machine: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` on `machine`."""

    def kill(self, machine: str, work: asyncio.Task[None]) -> None:
        """Kill `machine`; it closes nothing."""

    async def inject_faults(self, random: Random, new_gateway: Callable[[], None]) -> None:
        """Inject faults between the machines for a while."""

    def trace(self) -> str:
        """Return a hash of all decisions, or "" if the kernel makes some of them."""

    def close(self) -> None:
        """Close what dead machines left behind."""


class Simulated:
    """A network of simloop."""

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
        """Run `work` on `machine`; the clocks of clients are wrong."""
        host = self.loop.net.host(machine)
        if machine not in (self.service[0], self.gateway[0]):
            self.loop.net.set_clock(machine, offset=Random(machine).uniform(-1e6, 1e6))
        return host.create_task(work)

    def kill(self, machine: str, work: asyncio.Task[None]) -> None:
        """Kill `machine`: its packets are lost and its peers see no end of its connections."""
        if not work.done():
            self.loop.net.crash(machine)

    async def inject_faults(self, random: Random, new_gateway: Callable[[], None]) -> None:
        """Silence links, raise the latency, and kill and restart the gateway."""
        net, gateway = self.loop.net, self.gateway[0]
        for _ in range(random.randrange(5)):
            await asyncio.sleep(random.uniform(0, 90))
            match random.choice(["silence", "spike", "crash"]):
                case "silence":
                    net.partition({gateway}, {self.service[0]})
                    # Shorter than the clients' timeout: no limit counts requests that arrive later.
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
        """Return the hash of every step and packet."""
        return str(self.loop.trace_hash())

    def close(self) -> None:
        """Cancel all remaining tasks and close the loop."""
        from simloop._run import finish

        finish(self.loop)


def _ignore_exception(_: object, __: dict[str, Any]) -> None:
    """Ignore the destroyed tasks of dead machines; the outcome covers the live ones."""


class Loopback:
    """Real sockets on this machine, in virtual time."""

    gateway = service = ("127.0.0.1", 0)

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop = looptime.make_event_loop_class(_Loop)()

    def start(self, machine: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` on `machine`."""
        return self.loop.create_task(work, name=machine)

    def kill(self, machine: str, work: asyncio.Task[None]) -> None:
        """Kill `machine`; the kernel closes its connections."""
        work.cancel()

    async def inject_faults(self, random: Random, new_gateway: Callable[[], None]) -> None:
        """Inject nothing: the gateway's connection faults are enough."""

    def trace(self) -> str:
        """Return "": the kernel decides which of two sockets comes first."""
        return ""

    def close(self) -> None:
        """Cancel all remaining tasks and close the loop."""
        remaining = asyncio.all_tasks(self.loop)
        for task in remaining:
            task.cancel()
        if remaining:
            self.loop.run_until_complete(asyncio.wait(remaining))
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()


class _Loop(asyncio.SelectorEventLoop):
    """Runs the work of threads immediately."""

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - as a thread would do
            future.set_exception(error)
        return future
