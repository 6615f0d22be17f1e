"""Scenarios of `make bench-scale` with trouble: sick instances among healthy ones, and a backlog of requests.

A healthy one must not wait for sick ones, a small tenant not for a large one, and no request may be lost.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..client import InnkeeperError, OperationHandle, Status
from .costs import Costs
from .stage import Stage, opened, say

SICK_ONE_IN = 5
_LOOK = 0.05


@dataclass(frozen=True)
class Wanted:
    """One request of a crowd."""

    name: str
    tenant: str
    plan: str = "bench"


class Crowd:
    """Provisions that are asked for at once, and how each of them ends."""

    def __init__(self, stage: Stage, wanted: Sequence[Wanted]) -> None:
        self._innkeeper = stage.innkeeper
        self._begun = time.perf_counter()
        self.accepted: dict[str, float] = {}
        """Seconds until Temporal had each request."""
        self.seconds: dict[str, float] = {}
        """Seconds until each had ended, from when all were asked for."""
        self.outcomes: Counter[str] = Counter()
        self._handles: dict[str, OperationHandle] = {}
        self._tasks = {each.name: asyncio.create_task(self._one(each)) for each in wanted}

    def now(self) -> float:
        """Seconds so far."""
        return time.perf_counter() - self._begun

    async def ended(self, names: Iterable[str] | None = None) -> None:
        """Wait for these, or for all."""
        await asyncio.gather(*(self._tasks[name] for name in (self._tasks if names is None else names)))

    async def call_off(self, names: Iterable[str]) -> None:
        """Have these take back what they made."""
        wanted = list(names)
        await asyncio.gather(*(self._handles[name].cancel() for name in wanted))
        await self.ended(wanted)

    async def _one(self, wanted: Wanted) -> None:
        try:
            handle = await self._innkeeper.provision(wanted.name, tenant=wanted.tenant, plan=wanted.plan)
            self._handles[wanted.name] = handle
            self.accepted[wanted.name] = self.now()
            self.outcomes[(await handle.result()).outcome.value] += 1
        except InnkeeperError as error:
            self.outcomes[error.cause.code] += 1
        self.seconds[wanted.name] = self.now()


async def sick(size: int, rounds: int) -> dict[str, Any]:
    """One in five never becomes ready: how long the healthy ones take among them, among healthy ones, and alone."""
    found: list[dict[str, Any]] = []
    ways = ("alone", "all well", "some sick")
    async with opened() as stage:
        await stage.make_room(2 * size)
        for number in range(rounds):
            for way in [*ways[number % 3 :], *ways[: number % 3]]:
                await stage.meter.quiet()
                told = await _among(stage, way, f"{way.replace(' ', '-')}-{number}", size)
                say(f"round {number}, {way}: the healthy ones after {max(told['seconds']):.2f} s")
                found.append({"way": way, "round": number, **told})
    healthy = size - size // SICK_ONE_IN
    return {"size": size, "healthy": healthy, "rounds": found}


async def _among(stage: Stage, way: str, prefix: str, size: int) -> dict[str, Any]:
    """One crowd: every fifth of it is left out, well, or sick."""
    names = [f"{prefix}-{index}" for index in range(size)]
    fifths = names[SICK_ONE_IN - 1 :: SICK_ONE_IN]
    healthy = [name for name in names if name not in fifths]
    plan = "waits" if way == "some sick" else "bench"
    wanted = [Wanted(name, "bench", plan if name in fifths else "bench") for name in names]
    if way == "alone":
        wanted = [each for each in wanted if each.name in healthy]
    well = names if way == "all well" else healthy
    crowd = Crowd(stage, wanted)
    await crowd.ended(well)
    told = {"seconds": [crowd.seconds[name] for name in healthy], "outcomes": dict(crowd.outcomes)}
    if way == "some sick":
        await crowd.call_off(fifths)
    await crowd.ended()
    await stage.clear(well)
    return told


def backlog_of(size: int) -> list[Wanted]:
    """So many requests in the order in which they are asked: nine in ten are one tenant's, a small one's come last."""
    large = size * 9 // 10
    small = min(3, size - large)
    others = size - large - small
    return [
        *(Wanted(f"large-{index}", "large") for index in range(large)),
        *(Wanted(f"other-{index}", f"other-{index}") for index in range(others)),
        *(Wanted(f"small-{index}", "small") for index in range(small)),
    ]


async def backlog(size: int) -> dict[str, Any]:
    """Requests all at once to one worker: undisturbed, and with the worker killed in the middle and another started."""
    crowd = backlog_of(size)
    figures = {}
    for what in ("undisturbed", "worker killed"):
        async with opened() as stage:
            await stage.make_room(size)
            figures[what] = await _backlog(stage, crowd, kill=what == "worker killed")
            say(f"backlog, {what}: {figures[what]['all after']:.1f} s, lost: {figures[what]['lost'] or 'none'}")
    return {"size": size, "small": sum(each.tenant == "small" for each in crowd), **figures}


async def _backlog(stage: Stage, wanted: Sequence[Wanted], *, kill: bool) -> dict[str, Any]:
    small = [each for each in wanted if each.tenant == "small"]
    alone = Crowd(stage, [Wanted(f"alone-{each.name}", each.tenant) for each in small])
    await alone.ended()
    await stage.meter.quiet()
    before = await stage.meter.before()
    crowd = Crowd(stage, wanted)
    killing = asyncio.create_task(_kill(stage, crowd, len(wanted))) if kill else None
    await crowd.ended()
    told = {
        "all after": crowd.now(),
        "accepted after": max(crowd.accepted.values(), default=0.0),
        "small alone": list(alone.seconds.values()),
        "small": [crowd.seconds[each.name] for each in small],
        "large": [crowd.seconds[each.name] for each in wanted if each.tenant == "large"],
        "outcomes": dict(crowd.outcomes),
    }
    if killing is not None:
        told |= await killing
    else:
        told |= {"costs": _spent((await stage.meter.after()).since(before)), "worker MiB": stage.worker_memory()}
    return told | {"lost": await _lost(stage, wanted)}


def _spent(costs: Costs) -> dict[str, Any]:
    return {"cpu": costs.cpu, "requests": sum(costs.requests.values()), "calls": costs.calls}


async def _kill(stage: Stage, crowd: Crowd, size: int) -> dict[str, Any]:
    """Kill the worker once half of the requests have ended; the platform starts another."""
    while len(crowd.seconds) < size // 2:
        await asyncio.sleep(_LOOK)
    ended, at = len(crowd.seconds), crowd.now()
    os.kill(stage.worker_pid, signal.SIGKILL)
    while ended == len(crowd.seconds) < size:
        await asyncio.sleep(_LOOK)
    return {"killed after": at, "ended by then": ended, "until the next ended": crowd.now() - at}


async def _lost(stage: Stage, wanted: Sequence[Wanted]) -> list[str]:
    """Those of whom the rows do not say that they run, or whose pods the cluster does not have."""
    running = {each.name: each.namespace async for each in stage.innkeeper.list_all(status=Status.RUNNING)}
    available = {
        each["metadata"]["namespace"]
        for each in await stage.cluster.list_objects("apps/v1", "Deployment")
        if each.get("status", {}).get("availableReplicas")
    }
    return [each.name for each in wanted if running.get(each.name) not in available]
