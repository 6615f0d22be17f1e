"""A worker that plays faults and kills itself: the process under test of the crash matrix on the platform.

It reads what to play from its standard input, tells what happens in lines of JSON, and sends itself SIGKILL as soon as
each of its deadly plays has come to its effect. Its addresses and catalog are those of any worker's settings.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from innkeeper.leaving import leave
from innkeeper.model.names import namespace_of, release_of
from innkeeper.model.ports import Cluster
from innkeeper.model.release import revisions_of, storage_labels
from innkeeper.settings import Settings
from innkeeper.worker import compose

from .effects import Effect, Fault, Play
from .gateways import opened
from .played import Cast

LONGEST_WITHIN = 0.25
"""Seconds that Helm goes on at the most after it has begun to write."""


class Voice:
    """What this worker says, apart from the log that the SDK writes to its standard output."""

    def __init__(self) -> None:
        self._lines = os.fdopen(os.dup(sys.stdout.fileno()), "w")
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def say(self, **told: Any) -> None:
        """One line for whoever started this worker."""
        self._lines.write(json.dumps(told) + "\n")
        self._lines.flush()


class Director:
    """The plays of this worker, and its end."""

    def __init__(self, orders: dict[str, Any], voice: Voice) -> None:
        self._voice = voice
        self._seed = orders["seed"]
        self.plays = [
            Play(
                each["instance"],
                {Effect(*effect): Fault(fault) for *effect, fault in each["faults"]},
                refused=each["refused"],
                title=each["title"],
                tell=self._told,
            )
            for each in orders["plays"]
        ]
        self._deadly = [play for play in self.plays if play.deadly]

    def _told(self, play: Play, event: str, effect: Effect) -> None:
        self._voice.say(instance=play.instance, event=event, effect=list(effect))
        if event == "held" and all(each.dead for each in self._deadly):
            os.kill(os.getpid(), signal.SIGKILL)

    def cut_short_on(self, cluster: Cluster) -> Any:
        """Let Helm begin, and kill it a moment after it has written that it did."""

        async def cut_short(play: Play, act: Awaitable[None]) -> None:
            work = asyncio.ensure_future(act)
            while not work.done() and not await _is_at_work(cluster, play.instance):
                await asyncio.sleep(0.01)
            dice = random.Random(f"{self._seed} {play.title}")  # noqa: S311  # to be the same again
            await asyncio.wait({work}, timeout=dice.uniform(0, LONGEST_WITHIN))
            if not work.done():
                _kill_helm(namespace_of(play.instance))
            await play.die()

        return cut_short


async def _is_at_work(cluster: Cluster, instance: str) -> bool:
    labels = storage_labels(release_of(instance))
    found = revisions_of(await cluster.list_objects("v1", "Secret", namespace=namespace_of(instance), labels=labels))
    return bool(found) and found[-1].state.in_flight


def _kill_helm(namespace: str) -> None:
    """Kill the process group of each child of this process that works in a namespace."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(status.read_text().rpartition(")")[2].split()[1])
            words = (status.parent / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if parent == os.getpid() and namespace in words:
                os.killpg(int(status.parent.name), signal.SIGKILL)


async def work(orders: dict[str, Any]) -> None:
    """Work until the standard input is closed, or the plays end this process."""
    voice = Voice()
    director = Director(orders, voice)
    async with opened(Settings.load()) as parts:
        steps = parts.steps(Cast(director.plays), director.cut_short_on(parts.cluster))
        async with compose(parts.client, steps, task_queue=parts.settings.task_queue):
            voice.say(event="ready")
            await asyncio.to_thread(sys.stdin.read)


def main() -> None:
    """The program; its orders are the first line of its standard input."""
    asyncio.run(work(json.loads(sys.stdin.readline())))
    leave(0)


if __name__ == "__main__":
    main()
