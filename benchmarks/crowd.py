"""Scenarios of `make bench-scale` with many others present: is one more as cheap, and what does the worker hold?"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import asdict
from typing import Any

from ..client import OperationFailed, OperationHandle
from .costs import connections_of, family_of
from .records import measured
from .stage import Stage, opened, say, settled

LONGEST = 900.0
"""Seconds after which operations that do not come to where they wait are taken for lost."""

STEADY = 10.0
"""Seconds of looks at operations that wait."""


async def flat(present: int, at_once: int, rounds: int) -> dict[str, Any]:
    """Provisions with others present, and with none, in turns on two platforms."""
    records = []
    async with opened() as alone, opened() as crowded:
        await crowded.make_room(present + at_once)
        await crowded.fill(present)
        for number in range(rounds):
            order = (alone, crowded) if number % 2 == 0 else (crowded, alone)
            for stage in order:
                # One is measured while the other rests, too: they share the machine.
                await settled(order)
                names = [f"more-{number}-{index}" for index in range(at_once)]
                record = await measured(stage, "ours", "provision", names, number)
                say(f"round {number} present {stage.present:4}: {at_once} after {record.costs.seconds:.2f} s")
                records.append(record)
                await stage.clear(names)
    return {"present": present, "at once": at_once, "records": [asdict(record) for record in records]}


class Looks:
    """What a worker held, each time that it was looked at."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.memory: list[float] = []
        self.helms: list[float] = []
        """MiB of its Helms, all together."""
        self.own: list[int] = []
        """Connections to the API server of the worker alone."""
        self.all: list[int] = []
        """The same with its Helms', which come and go."""

    def look(self) -> None:
        """Look once."""
        pid, port = self._stage.worker_pid, self._stage.meter.port
        memory = self._stage.memory()
        self.memory.append(memory["worker"])
        self.helms.append(memory["Helm"])
        self.own.append(connections_of([pid], port))
        self.all.append(connections_of(family_of(pid), port))

    async def keep(self, every: float = 0.5) -> None:
        """Look until this is cancelled."""
        while True:
            self.look()
            await asyncio.sleep(every)

    def told(self) -> dict[str, float]:
        """The most of each."""
        return {
            "worker MiB": max(self.memory),
            "its Helms' MiB": max(self.helms),
            "connections": max(self.own),
            "connections with Helm's": max(self.all),
        }


async def load(present: int, running: int) -> dict[str, Any]:
    """A worker's memory and connections: at rest with none and with many present, and with operations running."""
    held: dict[str, dict[str, float]] = {}
    async with opened() as stage:
        await stage.make_room(present + running)
        # A look for drift keeps what it has read, and comes every few minutes: it belongs to a worker at rest.
        await stage.innkeeper.reconcile()
        held["none present"] = await _held(stage)
        await stage.fill(present)
        await stage.innkeeper.reconcile()
        held["present"] = await _held(stage)
        looks = Looks(stage)
        async with asyncio.TaskGroup() as group:
            looking = group.create_task(looks.keep())
            names = [f"waits-{index}" for index in range(running)]
            handles = list(await asyncio.gather(*(_waiting(stage, name) for name in names)))
            await _all_wait(stage, names)
            held["until all wait"] = looks.told()
            held["present and running"] = await _held(stage)
            await stage.innkeeper.reconcile()
            held["after another look"] = await _held(stage)
            await asyncio.gather(*(_called_off(handle) for handle in handles))
            held["with their ends"] = looks.told()
            looking.cancel()
        return {
            "present": present,
            "running": running,
            "held": held,
            "memory MiB": stage.memory(),
            "cores": os.cpu_count(),
        }


async def _held(stage: Stage) -> dict[str, float]:
    await stage.meter.quiet()
    looks = Looks(stage)
    until = time.monotonic() + STEADY
    while time.monotonic() < until:
        looks.look()
        await asyncio.sleep(0.5)
    say(f"{stage.present} present: {looks.told()}")
    return looks.told()


async def _waiting(stage: Stage, name: str) -> OperationHandle:
    return await stage.innkeeper.provision(name, tenant="bench", plan="waits")


async def _all_wait(stage: Stage, names: list[str]) -> None:
    """Until each has a release whose pods never start."""
    wanted = {f"{name}-created" for name in names}
    async with asyncio.timeout(LONGEST):
        while True:
            there = await stage.cluster.list_objects("apps/v1", "Deployment")
            if wanted <= {each["metadata"]["name"] for each in there}:
                return
            await asyncio.sleep(1)


async def _called_off(handle: OperationHandle) -> None:
    await handle.cancel()
    try:
        await handle.result()
    except OperationFailed:
        return
