"""How long work stands still when a worker dies, or when the connection to Temporal dies without a word.

Prints a Markdown table and writes the figures, with the machine and its load, to benchmarks/results/recovery.json.
Seconds are told here and nowhere asserted: they are made of timeouts, and of how busy the machine is.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform as machine
import socket
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from proxy import Fault, Proxy
from temporalio.api.enums.v1 import EventType, PendingActivityState
from temporalio.client import Client, WorkflowHandle

from innkeeper.client import Innkeeper, OperationHandle, connection
from innkeeper.embedded.options import Addresses, Options
from innkeeper.embedded.platform import Platform
from innkeeper.model.errors import OperationFailed

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).resolve().parent / "results" / "recovery.json"
LOOK = 0.05
"""Seconds between two looks at what is measured."""


class Worker:
    """One worker process whose ways to Temporal and to the database lead through proxies."""

    def __init__(self, process: asyncio.subprocess.Process, temporal: Proxy, database: Proxy) -> None:
        self.process = process
        self.temporal = temporal
        self.database = database
        self.identity = f"{process.pid}@{socket.gethostname()}"

    async def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        await self.process.wait()

    async def cut_off(self) -> None:
        """End it as its machine's end would: nobody hears that its connections are gone."""
        self.temporal.lose()
        await self.kill()


class Field:
    """A platform and what is measured on it."""

    def __init__(self, addresses: Addresses, temporal: Client, folder: Path, stack: AsyncExitStack) -> None:
        self.addresses = addresses
        self.temporal = temporal
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self._folder = folder
        self._stack = stack
        self._number = 0

    def name(self, what: str) -> str:
        """A name for an instance, or a queue of its own."""
        self._number += 1
        return f"{what}-{self._number}"

    @asynccontextmanager
    async def workers(self, number: int) -> AsyncIterator[tuple[Innkeeper, list[Worker]]]:
        """So many workers on a queue of their own, and a client that asks them; the rest of them ends with this."""
        queue = self.name("queue")
        fleet = [await self._start(queue) for _ in range(number)]
        innkeeper = Innkeeper(self.temporal, task_queue=queue)
        try:
            # Once each has done some operation, all of it is loaded.
            for _ in range(2 * number):
                handle = await innkeeper.provision(self.name("warm"), tenant="t", plan="bench")
                await handle.result()
            yield innkeeper, fleet
        finally:
            for worker in fleet:
                if worker.process.returncode is None:
                    worker.process.terminate()
                    await worker.process.wait()

    async def _start(self, queue: str) -> Worker:
        temporal = await self._stack.enter_async_context(Proxy.to(self.addresses.temporal_address))
        database = await self._stack.enter_async_context(Proxy.to(self.addresses.supabase_url))
        settings = {
            **self.addresses.environment(),
            "TEMPORAL_ADDRESS": temporal.address,
            "INNKEEPER_SUPABASE_URL": f"http://{database.address}",
            "INNKEEPER_TASK_QUEUE": queue,
            "INNKEEPER_CATALOG": str(ROOT / "benchmarks" / "catalog.yaml"),
        }
        with (self._folder / "workers.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "innkeeper.worker", env={**os.environ, **settings}, stdout=log, stderr=log
            )
        return Worker(process, temporal, database)

    def run_of(self, handle: OperationHandle) -> WorkflowHandle[Any, Any]:
        """The workflow that an operation is."""
        return self.temporal.get_workflow_handle(f"instance/{handle.instance}", run_id=handle.run_id)

    async def waiting(self, innkeeper: Innkeeper) -> tuple[OperationHandle, str]:
        """An operation that waits in a step which never ends, and who runs that step."""
        handle = await innkeeper.provision(self.name("waits"), tenant="t", plan="waits")
        return handle, await until(lambda: self.who_waits(handle))

    async def who_waits(self, handle: OperationHandle, *, not_by: str = "") -> str:
        """Who runs the step that waits for readiness; empty where nobody else than `not_by` does."""
        described = await self.run_of(handle).describe()
        for step in described.raw_description.pending_activities:
            started = step.state == PendingActivityState.PENDING_ACTIVITY_STATE_STARTED
            if step.activity_type.name == "ready" and started and step.last_worker_identity != not_by:
                return step.last_worker_identity
        return ""

    async def who_decides(self, handle: OperationHandle, *, not_by: str = "") -> str:
        """Who got the workflow's last task; empty where that was `not_by`."""
        found = ""
        async for event in self.run_of(handle).fetch_history_events():
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED:
                found = event.workflow_task_started_event_attributes.identity
        return "" if found == not_by else found


async def until(look: Callable[[], Awaitable[str]]) -> str:
    """Look until there is something."""
    async with asyncio.timeout(300):
        while not (found := await look()):
            await asyncio.sleep(LOOK)
    return found


async def ended(handle: OperationHandle) -> None:
    """Wait for the end, whatever it is."""
    with contextlib.suppress(OperationFailed):
        await handle.result()


async def a_step_runs(field: Field, what: str, end: Callable[[Worker], Awaitable[None]]) -> None:
    """The worker that runs a step dies: until another runs it, and until a cancellation after that has ended it."""
    async with field.workers(2) as (innkeeper, fleet):
        handle, identity = await field.waiting(innkeeper)
        victim = next(worker for worker in fleet if worker.identity == identity)
        begun = time.monotonic()
        await end(victim)
        await until(lambda: field.who_waits(handle, not_by=identity))
        field.seconds[f"{what} in a step: until another runs it"].append(time.monotonic() - begun)
        await field.run_of(handle).terminate()


async def a_call_runs(field: Field, what: str, end: Callable[[Worker], Awaitable[None]]) -> None:
    """The worker dies that makes a fast call to the database, within the workflow's task."""
    async with field.workers(2) as (innkeeper, fleet):
        for worker in fleet:
            worker.database.fault = Fault.STALL
        handle = await innkeeper.provision(field.name("claims"), tenant="t", plan="bench")
        identity = await until(lambda: field.who_decides(handle))
        await asyncio.sleep(1)
        victim = next(worker for worker in fleet if worker.identity == identity)
        begun = time.monotonic()
        await end(victim)
        for worker in fleet:
            worker.database.fault = Fault.NONE
        await until(lambda: field.who_decides(handle, not_by=identity))
        field.seconds[f"{what} in a fast call: until another goes on"].append(time.monotonic() - begun)
        await handle.result()


async def nothing_runs(field: Field, what: str, end: Callable[[Worker], Awaitable[None]]) -> None:
    """The worker dies that remembers the workflow, just before something happens to it."""
    async with field.workers(2) as (innkeeper, fleet):
        handle, _ = await field.waiting(innkeeper)
        identity = await field.who_decides(handle)
        victim = next(worker for worker in fleet if worker.identity == identity)
        begun = time.monotonic()
        await end(victim)
        await field.run_of(handle).signal("nothing-hears-this")
        await until(lambda: field.who_decides(handle, not_by=identity))
        field.seconds[f"{what} between steps: until another goes on"].append(time.monotonic() - begun)
        await field.run_of(handle).terminate()


async def half_open(field: Field) -> None:
    """The only worker's connection to Temporal is lost without a word."""
    async with field.workers(1) as (innkeeper, [worker]):
        await asyncio.sleep(1)
        begun = time.monotonic()
        worker.temporal.lose()
        handle = await innkeeper.provision(field.name("asked"), tenant="t", plan="bench")

        async def connected() -> str:
            return "yes" if worker.temporal.open else ""

        await until(connected)
        field.seconds["half-open, worker: until it connects anew"].append(time.monotonic() - begun)
        await handle.result()
        field.seconds["half-open, worker: until an operation asked meanwhile is done"].append(time.monotonic() - begun)


async def half_open_caller(field: Field) -> None:
    """The connection of a backend that waits for a result is lost without a word, and the result comes."""
    async with field.workers(1) as (innkeeper, _), Proxy.to(field.addresses.temporal_address) as proxy:
        handle, _ = await field.waiting(innkeeper)
        assert handle.run_id is not None
        backend = await Innkeeper.connect(proxy.address)
        waiting = asyncio.create_task(ended(backend.handle_for(handle.instance, handle.run_id or "")))
        await asyncio.sleep(1)
        begun = time.monotonic()
        proxy.lose()
        await field.run_of(handle).terminate()
        await waiting
        field.seconds["half-open, backend: until it has the result"].append(time.monotonic() - begun)


MEASURED: dict[str, Callable[[Field], Awaitable[None]]] = {
    "step": lambda field: a_step_runs(field, "killed", Worker.kill),
    "call": lambda field: a_call_runs(field, "killed", Worker.kill),
    "between": lambda field: nothing_runs(field, "killed", Worker.kill),
    "lost-step": lambda field: a_step_runs(field, "lost with its machine", Worker.cut_off),
    "lost-call": lambda field: a_call_runs(field, "lost with its machine", Worker.cut_off),
    "lost-between": lambda field: nothing_runs(field, "lost with its machine", Worker.cut_off),
    "half-open": half_open,
    "half-open-caller": half_open_caller,
}


async def measure(rounds: int, chosen: list[str]) -> dict[str, Any]:
    """All figures of one run."""
    before = os.getloadavg()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="innkeeper-recovery-")))
        platform = await stack.enter_async_context(Platform(Options(state_dir=folder, temporal_in_memory=True)))
        temporal = await connection.connect(platform.addresses.temporal_address)
        field = Field(platform.addresses, temporal, folder, stack)
        for _ in range(rounds):
            for name in chosen:
                await MEASURED[name](field)
    return {
        "machine": {"cores": os.cpu_count(), "system": machine.platform(), "python": sys.version.split()[0]},
        "load before and after": [before[0], os.getloadavg()[0]],
        "rounds": rounds,
        "seconds": dict(field.seconds),
    }


def show(told: dict[str, Any]) -> None:
    """The Markdown table."""
    before, after = told["load before and after"]
    print(f"{told['rounds']} rounds, load {before:.1f} before and {after:.1f} after; seconds")
    print("\n| a worker or a connection is | median | longest |\n| --- | --- | --- |")
    for what, seconds in told["seconds"].items():
        print(f"| {what} | {statistics.median(seconds):.1f} | {max(seconds):.1f} |")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("measured", nargs="*", choices=[*MEASURED, []], help="what to measure; all of it by default")
    chosen = parser.parse_args()
    told = asyncio.run(measure(chosen.rounds, chosen.measured or list(MEASURED)))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(told, indent=1) + "\n")
    show(told)


if __name__ == "__main__":
    main()
