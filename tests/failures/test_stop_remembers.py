"""A stop remembers what ran, whatever happens in the middle of it: start brings back exactly that."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import pytest
from asking import ask
from following import failed
from in_memory import World

from innkeeper.client import OperationHandle
from innkeeper.model.errors import Unreachable
from innkeeper.model.instance import Kind, Status
from innkeeper.model.messages import Outcome
from innkeeper.model.ports import Manifest
from innkeeper.model.workloads import KINDS

from ..workflows.agreement import agree
from .operations import together

CONTAINERS = {"containers": [{"name": "main", "image": "example/main:1"}]}


def by_hand(name: str) -> list[Manifest]:
    """What an instance may have beside its chart, each with a count of its own that a start must bring back."""
    labels = {"app": "by-hand"}
    template = {"metadata": {"labels": labels}, "spec": CONTAINERS}
    scaled = {"selector": {"matchLabels": labels}, "template": template}
    job = {"template": {"spec": {**CONTAINERS, "restartPolicy": "Never"}}}

    def made(version: str, kind: str, part: str, spec: Manifest) -> Manifest:
        meta = {"name": f"by-hand-{part}", "namespace": f"inn-{name}"}
        return {"apiVersion": version, "kind": kind, "metadata": meta, "spec": spec}

    return [
        made("apps/v1", "Deployment", "five", {"replicas": 5, **scaled}),
        made("apps/v1", "Deployment", "none", {"replicas": 0, **scaled}),
        made("apps/v1", "ReplicaSet", "two", {"replicas": 2, **scaled}),
        made("apps/v1", "DaemonSet", "everywhere", scaled),
        made("batch/v1", "CronJob", "nightly", {"schedule": "0 3 * * *", "jobTemplate": {"spec": job}}),
        made("batch/v1", "CronJob", "paused", {"schedule": "0 3 * * *", "suspend": True, "jobTemplate": {"spec": job}}),
    ]


PATCHES = 6
"""Of a stop: those above that run, and the chart's two. One that is at zero or suspended is left as it is."""


async def wanted(world: World, name: str) -> dict[str, Any]:
    """What is wanted of everything that makes pods and is nobody's part."""
    found: dict[str, Any] = {}
    for version, kind in KINDS:
        for item in await world.cluster.list_objects(version, kind, namespace=f"inn-{name}"):
            if not item["metadata"].get("ownerReferences"):
                spec = item["spec"]
                pod = spec.get("template", {}).get("spec", {})
                told = (spec.get("replicas"), bool(spec.get("suspend")), pod.get("nodeSelector") or {})
                found[f"{kind} {item['metadata']['name']}"] = told
    return found


class Cell(NamedTuple):
    """One instance, and the patch after which something happens."""

    world: World
    patch: int
    name: str

    async def running(self) -> tuple[dict[str, Any], int]:
        """Have it run; what is wanted of it, and how many pods that is."""
        handle = await self.world.innkeeper.provision(self.name, tenant="t1", plan="crowded")
        await handle.result()
        for manifest in by_hand(self.name):
            await self.world.cluster.create(manifest)
        return await wanted(self.world, self.name), len(await self.world.pods(self.name))

    async def demand_back(self, before: tuple[dict[str, Any], int]) -> None:
        """A start brings back exactly what was wanted."""
        await (await self.world.innkeeper.start(self.name)).result()
        assert (await wanted(self.world, self.name), len(await self.world.pods(self.name))) == before
        assert (await self.world.row(self.name)).status is Status.RUNNING
        assert "ResourceQuota" not in await self.world.kinds(self.name)

    async def lost_in(self, kind: Kind, activity: str) -> OperationHandle:
        """An operation whose workflow is terminated after the patch, while its worker has it in hand."""
        hang = self.world.faults.hang(f"{self.name} {activity} cluster.patch", when="after", skip=self.patch - 1)
        handle = await ask(self.world.client, kind, self.name)
        async with asyncio.timeout(60):
            await hang.reached.wait()
        await self.world.client.get_workflow_handle(f"instance/{self.name}", run_id=handle.run_id).terminate()
        return handle


def cells(world: World, way: str) -> list[Cell]:
    return [Cell(world, patch, f"{way}-{patch}") for patch in range(1, PATCHES + 1)]


async def test_a_stop_makes_as_many_patches_as_these_tests_kill_it_after(world: World) -> None:
    [cell, *_] = cells(world, "counted")
    before = await cell.running()
    calls = world.faults.count("cluster.patch")
    await (await world.innkeeper.stop(cell.name)).result()
    assert world.faults.count("cluster.patch") - calls == PATCHES
    await agree(world, cell.name, Status.STOPPED)
    await cell.demand_back(before)


@pytest.mark.parametrize("times", [1, 3])
async def test_an_attempt_that_dies_after_any_patch_is_carried_on_by_the_next(world: World, times: int) -> None:
    async def play(cell: Cell) -> None:
        before = await cell.running()
        died = Unreachable("the attempt died")
        for activity in ("scale-down", "scale-up"):
            call = f"{cell.name} {activity} cluster.patch"
            world.faults.fail(call, died, when="after", skip=cell.patch - 1, times=times)
        assert (await (await world.innkeeper.stop(cell.name)).result()).outcome is Outcome.DONE
        assert await world.pods(cell.name) == []
        await cell.demand_back(before)

    await together(play, cells(world, f"dies-{times}"))


async def test_a_start_brings_back_what_ran_before_a_stop_that_was_lost_after_any_patch(world: World) -> None:
    async def play(cell: Cell) -> None:
        before = await cell.running()
        await cell.lost_in(Kind.STOP, "scale-down")
        await cell.demand_back(before)

    await together(play, cells(world, "lost-stop"))


async def test_a_stop_that_was_lost_after_any_patch_can_be_asked_for_again(world: World) -> None:
    async def play(cell: Cell) -> None:
        before = await cell.running()
        await cell.lost_in(Kind.STOP, "scale-down")
        await (await world.innkeeper.stop(cell.name)).result()
        assert await world.pods(cell.name) == []
        await cell.demand_back(before)

    await together(play, cells(world, "lost-again"))


async def test_a_stop_remembers_what_ran_before_a_start_that_was_lost_after_any_patch(world: World) -> None:
    async def play(cell: Cell) -> None:
        before = await cell.running()
        await (await world.innkeeper.stop(cell.name)).result()
        await cell.lost_in(Kind.START, "scale-up")
        await (await world.innkeeper.stop(cell.name)).result()
        assert await world.pods(cell.name) == []
        await cell.demand_back(before)

    await together(play, cells(world, "lost-start"))


async def test_a_cancelled_stop_brings_back_what_ran_after_any_patch(world: World) -> None:
    async def play(cell: Cell) -> None:
        before = await cell.running()
        hang = world.faults.hang(f"{cell.name} scale-down cluster.patch", when="after", skip=cell.patch - 1)
        handle = await world.innkeeper.stop(cell.name)
        async with asyncio.timeout(60):
            await hang.reached.wait()
        await handle.cancel()
        assert (await failed(handle)).outcome is Outcome.CANCELLED
        assert (await world.row(cell.name)).status is Status.RUNNING
        assert (await wanted(world, cell.name), len(await world.pods(cell.name))) == before

    await together(play, cells(world, "cancelled"))
