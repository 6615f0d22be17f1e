"""What was asked for goes on after everybody who was at work on it has died: worker, client and Temporal's server."""

from __future__ import annotations

import asyncio
from pathlib import Path

from innkeeper.client import Innkeeper
from innkeeper.embedded import demo_proof as proof
from innkeeper.embedded.options import Options
from innkeeper.embedded.platform import Platform
from innkeeper.gateways.database import SupabaseDatabase
from innkeeper.gateways.kubernetes import KubernetesCluster
from innkeeper.model.instance import Status
from innkeeper.model.messages import Outcome

from .processes import kill, spawn_client, spawn_worker

QUEUE = "of-the-survivors"
NAME = "outlives"


async def until(database: SupabaseDatabase, status: Status, told: set[Status]) -> None:
    """Read the row until it says so, and note all that it said before."""
    async with asyncio.timeout(200):
        while True:
            row = await database.instance(NAME)
            if row is not None:
                told.add(row.status)
            if row is not None and row.status is status:
                return
            await asyncio.sleep(0.1)


async def test_readiness_is_waited_for_after_the_death_of_worker_client_and_temporal(
    platform_env: dict[str, str], cluster: KubernetesCluster, database: SupabaseDatabase, tmp_path: Path
) -> None:
    told: set[Status] = set()
    async with Platform(Options(state_dir=tmp_path / "temporal", parts=frozenset({"temporal"}))) as platform:
        environment = {**platform_env, "TEMPORAL_ADDRESS": platform.addresses.temporal_address}
        worker = await spawn_worker(environment, tmp_path, QUEUE)
        client, run_id = await spawn_client(environment, tmp_path, QUEUE, NAME, "slow")
        innkeeper = await Innkeeper.connect(platform.addresses.temporal_address, task_queue=QUEUE)
        async with innkeeper:
            async for event in innkeeper.handle_for(NAME, run_id).progress():
                if event.step == "ready":
                    break
        await kill(worker)
        await kill(client)
        await platform.stop_part("temporal", crash=True)
        await until(database, Status.PROVISIONING, told)
        assert await proof.deployed(cluster, NAME) == [1]

        await platform.start_part("temporal")
        worker = await spawn_worker(environment, tmp_path, QUEUE)
        try:
            await until(database, Status.RUNNING, told)
            await proof.demand_running(cluster, database, NAME)
            async with await Innkeeper.connect(platform.addresses.temporal_address, task_queue=QUEUE) as innkeeper:
                result = await innkeeper.handle_for(NAME, run_id).result()
        finally:
            await kill(worker)
    assert told == {Status.PROVISIONING, Status.RUNNING}
    assert (result.outcome, result.generation) == (Outcome.DONE, 1)
    assert await proof.deployed(cluster, NAME) == [1]
