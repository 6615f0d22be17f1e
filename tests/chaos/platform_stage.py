"""The stage on the platform: real parts, and workers that are processes of their own, of which some are killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import by_hand
import yaml

from innkeeper.embedded.options import Addresses
from innkeeper.model.catalog import ChartRef
from innkeeper.model.names import namespace_of, release_of
from innkeeper.model.ports import Cluster, Ref

from .effects import Effect, Play
from .gateways import Parts
from .played import Cast
from .scenarios import CATALOG, STARTER
from .start import Hand

ROOT = Path(__file__).resolve().parents[2]

DEADLINES = {"prepare": 600, "release": 600, "ready": 600, "gone": 600, "decision": 3}
"""Seconds: steps stand still until the last cell of their worker has come to its effect, and must outlast that."""

ENDS_WITHIN = 120.0
"""Seconds that a worker has to end in once it was told to, or has told that it dies."""


def catalog() -> str:
    """The plans on the platform, as a catalog file."""
    plans = {
        name: {
            "chart": {"path": str(ROOT / "charts" / "room")},
            "values": {"web": {"replicas": plan.web}, "existingSecret": "${secret.credentials}"},
            "secrets": [{"name": "credentials", "generate": {"password": 24}}],
            "quota": {"pods": plan.pods},
            "container_defaults": plan.container_defaults,
            "pod_security": plan.pod_security,
            "url": "https://${instance.name}.rooms.example",
            "deadlines": DEADLINES,
        }
        for name, plan in CATALOG.items()
    }
    return yaml.safe_dump({"plans": plans})


class PlatformStage:
    """See `runner.Stage`."""

    settles_within = 120.0  # the namespace controller takes its time when twenty namespaces go at once
    ends_within = 900.0

    def __init__(self, parts: Parts, addresses: Addresses, catalog: Path, logs: Path, seed: int) -> None:
        self.client = parts.client
        self.rows = parts.rows
        self.hand = Hand(parts.steps(Cast()), self.cluster_of, parts.rows, self._install)
        self._helm = parts.helm
        self._cluster = parts.cluster
        self._environment = {**os.environ, **addresses.environment(), "INNKEEPER_CATALOG": str(catalog)}
        self._logs = logs
        self._seed = seed

    async def _install(self, instance: str) -> None:
        room = ChartRef(path=str(ROOT / "charts" / "room"))
        values = {"web": {"replicas": CATALOG[STARTER].web}, "existingSecret": by_hand.CREDENTIALS}
        home = namespace_of(instance)
        await by_hand.install(self._cluster, self._helm, home, release_of(instance), chart=room, values=values)

    def cluster_of(self, instance: str) -> Cluster:
        return self._cluster

    async def leave(self, instance: str) -> None:
        """See `runner.Stage.leave`: what others list and watch does not grow with what is done."""
        ref = Ref("v1", "Namespace", namespace_of(instance))
        found = await self._cluster.get(ref)
        if found is not None:
            await self._cluster.delete(ref, uid=found["metadata"]["uid"])

    @asynccontextmanager
    async def worker(self, queue: str, plays: Sequence[Play]) -> AsyncIterator[None]:
        """See `runner.Stage.worker`."""
        log = (self._logs / f"{queue}.log").open("ab")
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "innkeeper.tests.chaos.child",
            env={**self._environment, "INNKEEPER_TASK_QUEUE": queue},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
        log.close()
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(self._orders(plays))
        await child.stdin.drain()
        ready = asyncio.Event()
        hearing = asyncio.create_task(_hear(child.stdout, {play.instance: play for play in plays}, ready))
        try:
            await _first(ready, hearing, f"worker {queue} has not started: see {self._logs / queue}.log")
            yield
        finally:
            await _ended(child, plays)
            await hearing

    def _orders(self, plays: Sequence[Play]) -> bytes:
        told: dict[str, Any] = {
            "seed": self._seed,
            "plays": [
                {
                    "instance": play.instance,
                    "faults": [[*effect, fault] for effect, fault in play.faults.items()],
                    "refused": play.refused,
                    "title": play.title,
                }
                for play in plays
            ],
        }
        return json.dumps(told).encode() + b"\n"


async def _hear(lines: asyncio.StreamReader, plays: Mapping[str, Play], ready: asyncio.Event) -> None:
    """Note in the plays here what happens in those of the worker."""
    async for line in lines:
        told = json.loads(line)
        if told["event"] == "ready":
            ready.set()
            continue
        play, effect = plays[told["instance"]], Effect(*told["effect"])
        match told["event"]:
            case "effect":
                play.effects.append(effect)
            case "uncounted":
                play.effects.remove(effect)
            case "played":
                play.played.add(play.faults[effect])
            case "held":
                play.held.set()


async def _first(ready: asyncio.Event, hearing: asyncio.Task[None], problem: str) -> None:
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({waiting, hearing}, timeout=ENDS_WITHIN, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    assert ready.is_set(), problem


async def _ended(child: asyncio.subprocess.Process, plays: Sequence[Play]) -> None:
    """Wait for the end of a worker that kills itself; kill one that waits in vain, and stop the others politely."""
    assert child.stdin is not None
    deadly = [play for play in plays if play.deadly]
    if not deadly:
        child.stdin.close()
    elif not all(play.held.is_set() for play in deadly):
        child.kill()
    try:
        async with asyncio.timeout(ENDS_WITHIN):
            await child.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()
