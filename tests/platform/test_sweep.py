"""On real parts: operations terminated by hand, or lost with all of Temporal's state, are found and repaired."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from in_memory import temporal_binary
from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from innkeeper.client import Innkeeper, OperationHandle
from innkeeper.client.schedules import SWEEP, keep
from innkeeper.embedded import demo_proof as proof
from innkeeper.embedded.options import Addresses
from innkeeper.gateways.database import SupabaseDatabase
from innkeeper.gateways.kubernetes import KubernetesCluster
from innkeeper.model import names
from innkeeper.model.instance import Instance, Kind, Status
from innkeeper.model.messages import SEARCH_ATTRIBUTES, Outcome
from innkeeper.model.ports import Ref
from innkeeper.settings import Settings
from innkeeper.worker import running

from .drifting import Hands

QUEUE = "swept"
"""A task queue of its own, with a worker that sweeps; the session's does not."""


@pytest.fixture
async def sweeping(settings: Settings, cluster: KubernetesCluster, addresses: Addresses) -> Settings:
    """A worker's settings that look for lost operations every second; of other tests there are none.

    Many rows are written without an operation. Their repairs would take all of Helm's slots.
    """
    under_way = f"?status=not.in.({','.join(each.value for each in Status if each.settled)})"
    await Hands(cluster, addresses).rows(
        "PATCH", "instances", query=under_way, body={"status": "error", "settled": "error"}
    )
    return settings.model_copy(update={"task_queue": QUEUE, "sweep_every": 1})


@pytest.fixture
async def temporal(addresses: Addresses) -> AsyncIterator[Client]:
    """The platform's Temporal, which has no schedule after the test."""
    client = await Client.connect(addresses.temporal_address, data_converter=pydantic_data_converter)
    yield client
    await keep(client, SWEEP, every=0, task_queue=QUEUE)


@pytest.fixture
async def another_temporal() -> AsyncIterator[str]:
    """The address of a Temporal that knows of nothing."""
    keys: dict[str, Callable[[str], SearchAttributeKey[Any]]] = {
        "Keyword": SearchAttributeKey.for_keyword,
        "Bool": SearchAttributeKey.for_bool,
    }
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(temporal_binary()),
        dev_server_log_level="error",
        search_attributes=[keys[kind](name) for name, kind in SEARCH_ATTRIBUTES.items()],
    )
    async with environment:
        yield environment.client.service_client.config.target_host
    # The interpreter may crash at its exit where this does not follow the shutdown.
    await asyncio.sleep(0.3)


class Gate:
    """What holds the releases of the plan `gated` until a test lets them go on."""

    def __init__(self, cluster: KubernetesCluster) -> None:
        self._cluster = cluster

    async def held(self, name: str) -> None:
        """Wait until the instance's Helm waits at the gate."""
        async with asyncio.timeout(120):
            while await self._cluster.get(Ref("batch/v1", "Job", f"{name}-before", f"inn-{name}")) is None:
                await asyncio.sleep(0.05)

    async def open(self) -> None:
        await self._mark("open")

    async def close(self) -> None:
        await self._mark(None)

    async def _mark(self, mark: str | None) -> None:
        await self._cluster.patch(Ref("v1", "Node", "node-1"), {"metadata": {"labels": {"swept": mark}}})


@pytest.fixture
async def gate(cluster: KubernetesCluster) -> AsyncIterator[Gate]:
    """The gate, closed before and after the test."""
    gate = Gate(cluster)
    yield gate
    await gate.close()


async def settled(database: SupabaseDatabase, name: str) -> Instance:
    """The row once nothing is under way any more."""
    row: Instance | None = None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(180):
            while True:
                row = await database.instance(name)
                if row is not None and row.status.settled:
                    return row
                await asyncio.sleep(0.5)
    raise AssertionError(f"something is still under way: {row!r}")


async def terminate(client: Client, handle: OperationHandle) -> None:
    workflow = client.get_workflow_handle(names.workflow_id_of(handle.instance), run_id=handle.run_id)
    await workflow.terminate("by hand")


async def test_the_workers_own_schedule_finds_what_was_terminated_and_has_it_repaired(
    addresses: Addresses,
    sweeping: Settings,
    temporal: Client,
    cluster: KubernetesCluster,
    database: SupabaseDatabase,
    gate: Gate,
) -> None:
    async with running(sweeping):
        innkeeper = await Innkeeper.connect(addresses.temporal_address, task_queue=QUEUE)
        lost = await innkeeper.provision("swept", tenant="t1", plan="gated")
        await gate.held("swept")
        await terminate(temporal, lost)
        await gate.open()
        row = await settled(database, "swept")
        assert (row.status, row.generation) == (Status.RUNNING, 2)
        await proof.demand_running(cluster, database, "swept")
        repair = await innkeeper.latest("swept")
        assert repair is not None
        result = await repair.result()
        record = await database.operation(result.request_id)
        assert record is not None
        assert (record.kind, record.asked_by, record.id) == (Kind.REPAIR, "sweep", "sweep-swept-1")


async def test_what_was_lost_with_temporals_state_is_repaired_and_what_had_ended_is_known(
    addresses: Addresses,
    sweeping: Settings,
    temporal: Client,
    another_temporal: str,
    cluster: KubernetesCluster,
    database: SupabaseDatabase,
    gate: Gate,
) -> None:
    async with running(sweeping):
        innkeeper = await Innkeeper.connect(addresses.temporal_address, task_queue=QUEUE)
        await (await innkeeper.provision("asleep", tenant="t1", plan="starter", request_id="asleep-1")).result()
        await (await innkeeper.stop("asleep")).result()
        lost = await innkeeper.provision("forgotten", tenant="t1", plan="gated")
        await gate.held("forgotten")
    await gate.open()
    async with running(sweeping.model_copy(update={"temporal_address": another_temporal})):
        row = await settled(database, "forgotten")
        assert (row.status, row.generation) == (Status.RUNNING, 2)
        await proof.demand_running(cluster, database, "forgotten")
        await proof.demand_stopped(cluster, database, "asleep")
        innkeeper = await Innkeeper.connect(another_temporal, task_queue=QUEUE)
        again = await innkeeper.provision("asleep", tenant="t1", plan="starter", request_id="asleep-1")
        assert (await again.result()).outcome is Outcome.DONE
        await proof.demand_stopped(cluster, database, "asleep")
        assert (await (await innkeeper.start("asleep")).result()).status is Status.RUNNING
    await terminate(temporal, lost)
