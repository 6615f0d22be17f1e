"""The worker: settings → gateways → activities → worker, from top to bottom.

A worker whose settings are wrong, whose Helm is missing or too old, or which cannot reach a part, does not start: it
says which, and how to mend it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from types import TracebackType
from typing import Any

from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.worker import PollerBehaviorSimpleMaximum, UnsandboxedWorkflowRunner, Worker, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from .activities import heavy_steps
from .activities.adoptions import Adoptions
from .activities.charts import Charts
from .activities.checks import Checks
from .activities.expiry import Expiry
from .activities.fence import Fence
from .activities.frame import Frame
from .activities.metering import Metering
from .activities.namespaces import Namespaces
from .activities.reconciling import Reconciling
from .activities.records import Records
from .activities.releases import Releases
from .activities.requests import Requests
from .activities.secrets import Secrets
from .activities.storage import Storage
from .activities.sweeps import Sweeps
from .activities.workloads import Workloads
from .client import connection, schedules
from .client.desk import TemporalDesk
from .gateways.database import SupabaseDatabase
from .gateways.finding_rows import SupabaseFindings
from .gateways.freeze_rows import SupabaseFreezes
from .gateways.helm import HelmCommand
from .gateways.kubernetes import KubernetesCluster
from .gateways.kubernetes_fleet import KubernetesFleet
from .gateways.usage_rows import SupabaseUsage
from .leaving import leave
from .model import fence, marks
from .model.catalog import Catalog
from .model.errors import AlreadyExists, BadInput, Forbidden, InnkeeperError, Permanent, Transient, Unreachable
from .model.freezes import FreezeRows
from .model.messages import SEARCH_ATTRIBUTES
from .model.ports import Cluster, Database, Desk, Helm, Ref
from .model.usage_ports import Meters
from .settings import Settings
from .workflows.registry import SERVICES, WORKFLOWS

LONGEST_START = 30.0
"""Seconds within which every part must have answered."""

PATIENT_SHUTDOWN = timedelta(seconds=10)
"""How long running steps may go on after a stop was asked for, before they are cancelled and left to another worker."""

STICKY = timedelta(seconds=2)
"""How long a workflow's task waits for the worker that remembers the workflow, before any other gets it."""

POLLS = 2
"""Polls for steps at once, in each queue. When a worker's machine is lost, Temporal goes on giving steps to its polls
for a minute: each is one step that nobody does until its heartbeats are missed."""

FEWEST_TASKS, MOST_TASKS = 8, 100
"""Tasks of workflows at once, within which there are as many as heavy steps. Few are as fast as many: each is some
milliseconds of work, and a call or two of the database. Of a thousand new operations a worker takes up those whose turn
it is, with those that are begun between them."""

PURE = ("pydantic", "pydantic_core", "annotated_types", "yaml", "innkeeper.model", "innkeeper.activities")
"""What passes through every sandbox is pure, or is only referred to by workflows and never called in them."""

STRICT = SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules(*PURE))
"""Imports the workflows anew for each run, and refuses in them what is not deterministic: the tests' sandbox."""

PROVEN = UnsandboxedWorkflowRunner()
"""Runs workflows as they are: the tests reach each line and branch of them in the strict sandbox, so that a second look
at each step of each operation finds nothing, and costs some CPU time."""

_log = logging.getLogger("innkeeper.worker")


def activities(
    *,
    cluster: Cluster,
    helm: Helm,
    database: Database,
    meters: Meters,
    freezes: FreezeRows,
    desk: Desk,
    catalog: Catalog,
    operator_namespace: str,
) -> list[Callable[..., Any]]:
    """Every activity, over these gateways."""
    charts, secrets, storage = Charts(helm, cluster), Secrets(cluster, operator_namespace), Storage(cluster)
    fence = Fence(cluster, catalog)
    adoptions = Adoptions(cluster, database, catalog, fence, operator_namespace)
    checks = Checks(cluster, database, charts, catalog, adoptions, operator_namespace)
    namespaces = Namespaces(cluster, catalog, secrets, fence)
    records = Records(database, catalog)
    releases = Releases(cluster, helm, catalog, charts, secrets, fence, storage)
    workloads = Workloads(cluster, catalog, storage)
    return [
        adoptions.preview,
        adoptions.mark,
        adoptions.unmark,
        checks.check,
        records.claim,
        records.known,
        records.claimed,
        records.finish,
        namespaces.prepare,
        namespaces.undo_prepare,
        namespaces.survey,
        namespaces.delete,
        releases.release,
        releases.undo_release,
        releases.uninstall,
        releases.restore,
        releases.reapply,
        workloads.ready,
        workloads.settle,
        workloads.scale_down,
        workloads.gone,
        workloads.halt,
        workloads.scale_up,
        workloads.roll,
        workloads.roll_back,
        Requests(desk).deliver,
        Sweeps(database, freezes, desk).sweep,
        Metering(meters).meter,
        Expiry(meters, freezes, desk, catalog).expire,
    ]


class Workers:
    """One process's workers, which live and die together: of the operations, and of their heavy steps."""

    def __init__(self, *workers: Worker) -> None:
        self._workers = workers
        self._working = AsyncExitStack()

    async def run(self) -> None:
        """Work until `shutdown`, or until one of them cannot go on, which ends the others and is raised."""
        running = [asyncio.create_task(worker.run()) for worker in self._workers]
        try:
            await asyncio.gather(*running)
        finally:
            await self.shutdown()
            await asyncio.gather(*running, return_exceptions=True)

    async def shutdown(self) -> None:
        """Finish what is quick, and leave the rest to others."""
        await asyncio.gather(*(worker.shutdown() for worker in self._workers))

    async def __aenter__(self) -> Workers:
        async with AsyncExitStack() as entering:
            for worker in self._workers:
                await entering.enter_async_context(worker)
            self._working = entering.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            # At once: one after the other they would take longer than whoever asked for the stop waits.
            await self.shutdown()
        finally:
            # A worker that could not go on cancelled what it was entered by, and raises why in its place.
            await self._working.__aexit__(kind, failure, trace)


def compose(
    client: Client,
    steps: Sequence[Callable[..., Any]],
    *,
    task_queue: str,
    concurrent_activities: int = 500,
    helms: int = 100,
    max_cached_workflows: int = 1000,
    workflow_runner: WorkflowRunner = PROVEN,
    workflows: Sequence[type] = (*WORKFLOWS.values(), *SERVICES),
) -> Workers:
    """A worker of all operations over these activities; it runs while it is entered.

    Of the steps, so many as `concurrent_activities` run at once, and of the heavy ones as many as have use for `helms`
    processes of Helm; of the workflows' own tasks about as many as of those.
    """
    places = helms * heavy_steps.STEPS_A_HELM
    alike: dict[str, Any] = {
        "interceptors": [Frame()],
        "workflow_runner": workflow_runner,
        "max_heartbeat_throttle_interval": timedelta(seconds=1),
        "activity_task_poller_behavior": PollerBehaviorSimpleMaximum(POLLS),
        "graceful_shutdown_timeout": PATIENT_SHUTDOWN,
    }
    whole = Worker(
        client,
        task_queue=task_queue,
        workflows=workflows,
        # The heavy ones, too: a worker of a version before their queue asks for them in this one.
        activities=list(steps),
        max_cached_workflows=max_cached_workflows,
        max_concurrent_workflow_tasks=min(max(places, FEWEST_TASKS), MOST_TASKS),
        max_concurrent_activities=concurrent_activities,
        sticky_queue_schedule_to_start_timeout=STICKY,
        **alike,
    )
    limited = [step for step in steps if heavy_steps.is_heavy(step)]
    if not limited:
        return Workers(whole)
    queue = heavy_steps.queue_of(task_queue)
    return Workers(
        whole, Worker(client, task_queue=queue, activities=limited, max_concurrent_activities=places, **alike)
    )


@contextlib.asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Workers]:
    """A worker with all parts reached, checked and running; on leaving, everything is closed.

    Raises:
        BadInput: a setting or the catalog is wrong.
        Permanent: a part refuses, or Helm is missing or too old.
        Unreachable: a part does not answer.
    """
    catalog = settings.load_catalog()
    if settings.supabase_url is None or settings.supabase_key is None:
        name = "supabase_url" if settings.supabase_url is None else "supabase_key"
        raise BadInput(
            name, None, "is missing", fix=f"set INNKEEPER_{name.upper()}, or start the platform with `innkeeper up`"
        )
    async with AsyncExitStack() as stack:
        cluster = await KubernetesCluster.connect(
            settings.kubeconfig, settings.kube_context, in_cluster=settings.in_cluster
        )
        stack.push_async_callback(cluster.close)
        await cluster.version()
        helm = HelmCommand(
            binary=settings.helm,
            kubeconfig=settings.kubeconfig,
            context=cluster.context,
            slots=settings.helm_slots,
        )
        stack.push_async_callback(helm.aclose)
        await helm.version()
        await settle_in(cluster, settings.operator_namespace)
        database = await SupabaseDatabase.connect(settings.supabase_url, settings.supabase_key.get_secret_value())
        stack.push_async_callback(database.aclose)
        await database.ping()
        client = await connection.connect(settings.temporal_address)
        await _check_temporal(client)
        await _keep_schedules(client, settings)
        desk, freezes = TemporalDesk(client, settings.task_queue), database.sharing(SupabaseFreezes)
        steps = activities(
            cluster=cluster,
            helm=helm,
            database=database,
            meters=SupabaseUsage(database),
            freezes=freezes,
            desk=desk,
            catalog=catalog,
            operator_namespace=settings.operator_namespace,
        )
        findings = database.sharing(SupabaseFindings)
        reconciling = Reconciling(database, findings, freezes, KubernetesFleet(cluster), desk, helm, catalog)
        steps.append(reconciling.reconcile)
        queue, at_once = settings.task_queue, settings.concurrent_activities
        worker = compose(client, steps, task_queue=queue, concurrent_activities=at_once, helms=helm.slots)
        async with worker:
            yield worker


async def _keep_schedules(client: Client, settings: Settings) -> None:
    for errand, every in (
        (schedules.SWEEP, settings.sweep_every),
        (schedules.METERING, settings.meter_every),
        (schedules.RECONCILE, settings.reconcile_every),
    ):
        await schedules.keep(client, errand, every=every, task_queue=settings.task_queue)


async def _check_temporal(client: Client) -> None:
    """See that the namespace is there, with the search attributes that operations carry.

    Raises:
        BadInput: it is not, or lacks some; says how to register them.
    """
    with connection.temporal_errors(client):
        await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace))
        known = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=client.namespace)
        )
    missing = sorted(set(SEARCH_ATTRIBUTES) - set(known.custom_attributes))
    if missing:
        wanted = " ".join(f"--name {name} --type {SEARCH_ATTRIBUTES[name]}" for name in missing)
        raise BadInput(
            "namespace",
            client.namespace,
            f"of Temporal lacks the search attributes {', '.join(missing)}",
            fix=f"temporal operator search-attribute create --namespace {client.namespace} {wanted}",
        )


async def settle_in(cluster: Cluster, operator_namespace: str) -> None:
    """Have in the cluster what all instances share: the operator's namespace, and the role for their Helm.

    Raises:
        Permanent: the role is missing, and this worker may not make it; says how to.
    """
    labels = {marks.MANAGED_BY: marks.MANAGER}
    with contextlib.suppress(AlreadyExists):
        await cluster.create(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": operator_namespace, "labels": labels}}
        )
    try:
        if await cluster.get(Ref(fence.RBAC, "ClusterRole", fence.ROLE)) is None:
            with contextlib.suppress(AlreadyExists):
                await cluster.create(fence.widest_role())
    except Forbidden as refusal:
        raise Permanent(
            f"ClusterRole {fence.ROLE}, which says what Helm may do in an instance's namespace, cannot be had: "
            f"{refusal.cause.message}",
            code="RightsMissing",
            object=f"ClusterRole {fence.ROLE}",
            fix="kubectl apply -f deploy/worker-rights.yaml",
        ) from None


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; then finish what is quick and leave the rest to another worker."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(LONGEST_START):
                await stack.enter_async_context(running(settings))
        except TimeoutError:
            raise Unreachable(
                f"not every part answered within {LONGEST_START:g} s", fix="see which by `innkeeper doctor`"
            ) from None
        _log.info("worker runs on task queue %s", settings.task_queue)
        await stopped.wait()
        _log.info("worker stops")


def main(settings: Settings | None = None) -> int:
    """Run a worker; the exit code is 0 after a stop that was asked for, 2 for wrong settings, 4 for a missing part."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line a request
    logging.getLogger("temporalio.activity").setLevel(logging.ERROR)  # a traceback for what `Frame` says in a line
    try:
        asyncio.run(serve(settings or Settings.load()))
    except InnkeeperError as error:
        print(f"innkeeper worker: {error}", file=sys.stderr)  # noqa: T201  # the one message, for whoever started it
        return 4 if isinstance(error, Transient) else 2
    return 0


if __name__ == "__main__":
    leave(main())
