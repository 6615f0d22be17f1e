"""A reconcile over instances in memory: what was changed by hand is found, once, and is gone when it is put back."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from following import failed
from in_memory import CATALOG

from innkeeper.activities.reconciling import Reconciling
from innkeeper.client import BadInput, Unreachable
from innkeeper.client.desk import TemporalDesk
from innkeeper.gateways.memory_fleet import MemoryFleet
from innkeeper.gateways.memory_nodes import FAULT
from innkeeper.model import catalog
from innkeeper.model.drift_picture import LOOKS
from innkeeper.model.errors import Conflict, Permanent, ReleaseFailed
from innkeeper.model.findings import RECONCILE_WORKFLOW, Looking, Reconciled
from innkeeper.model.instance import Instance, Kind, Status
from innkeeper.model.messages import TASK_QUEUE
from innkeeper.model.ports import Ref
from innkeeper.worker import compose

from .conftest import World

MOON = {"moon": "full"}
LONG_AGO = datetime.now(UTC) - timedelta(hours=1)


def web(name: str) -> Ref:
    return Ref("apps/v1", "Deployment", f"{name}-web", f"inn-{name}")


async def scale(world: World, name: str, replicas: int) -> None:
    await world.cluster.patch(web(name), {"spec": {"replicas": replicas}})


async def standing(world: World, name: str | None = None) -> list[str]:
    items = (await world.innkeeper.findings(name)).items
    return [f"{each.instance} {each.what.value}" for each in items]


async def test_what_operations_leave_is_no_drift(world: World) -> None:
    for name in ("one", "two", "three", "four", "five"):
        await world.provisioned(name)
    await (await world.innkeeper.stop("two")).result()
    await (await world.innkeeper.uninstall("three")).result()
    await (await world.innkeeper.repair("one")).result()
    await (await world.innkeeper.stop("four")).result()
    await (await world.innkeeper.upgrade("four", plan="crowded")).result()
    await (await world.innkeeper.uninstall("five")).result()
    await (await world.innkeeper.purge("five")).result()
    found = await world.innkeeper.reconcile()
    assert (found.looked_at, found.busy, found.named) == (5, 0, [])


async def test_what_never_ran_and_is_stopped_is_no_drift_and_can_be_started(world: World) -> None:
    world.faults.fail("helm.upgrade", ReleaseFailed("chart says no"))
    await failed(await world.innkeeper.provision("acme", tenant="t1", plan="starter"))
    await (await world.innkeeper.stop("acme")).result()
    row = await world.row("acme")
    assert (row.status, row.upgrade_pending) == (Status.STOPPED, True)
    found = await world.innkeeper.reconcile()
    assert (found.looked_at, found.named) == (1, [])
    assert (await (await world.innkeeper.start("acme")).result()).status is Status.RUNNING
    assert (await world.innkeeper.reconcile()).named == []


async def test_a_change_by_hand_is_found_once_and_gone_when_it_is_put_back(world: World) -> None:
    await world.provisioned("acme")
    await world.provisioned("globex")
    await scale(world, "acme", 3)
    found = await world.innkeeper.reconcile()
    assert found.found == {"replicas-changed": 1}
    assert found.named == ["acme: replicas-changed Deployment inn-acme/acme-web"]
    assert found.written.opened == 1
    assert (await world.innkeeper.reconcile()).written.opened == 0
    assert await standing(world) == ["acme replicas-changed"]
    assert await standing(world, "globex") == []
    await scale(world, "acme", 1)
    assert (await world.innkeeper.reconcile()).written.resolved == 1
    assert await standing(world) == []
    assert [each.object for each in (await world.innkeeper.findings(resolved=True)).items] == [
        "Deployment inn-acme/acme-web"
    ]


async def test_a_look_at_one_instance_says_what_is_there_and_leaves_the_others(world: World) -> None:
    for name in ("acme", "globex"):
        await world.provisioned(name)
        await scale(world, name, 2)
    found = await world.innkeeper.reconcile(" ACME ")
    assert (found.looked_at, found.found) == (1, {"replicas-changed": 1})
    assert found.seen is not None
    assert (found.seen.namespace, found.seen.revision, found.seen.state) == (True, 1, "deployed")
    assert (found.seen.chart, found.seen.current, found.seen.pods, found.seen.volumes) == ("room-0.1.0", True, 3, 1)
    assert [(each.object, each.wanted, each.found) for each in found.seen.workloads] == [
        ("Deployment inn-acme/acme-web", 1, 2),
        ("StatefulSet inn-acme/acme-db", 1, 1),
    ]
    assert await standing(world) == ["acme replicas-changed"]


async def test_who_is_nowhere_is_looked_for_in_vain(world: World) -> None:
    found = await world.innkeeper.reconcile("nobody")
    assert found == Reconciled()
    with pytest.raises(BadInput, match="is no instance"):
        await world.innkeeper.explain("nobody")


async def test_an_explanation_says_what_should_be_what_is_why_and_what_to_do(world: World) -> None:
    await world.provisioned("acme")
    await scale(world, "acme", 3)
    await world.cluster.delete(
        Ref("v1", "ResourceQuota", "innkeeper", "inn-acme"), uid=await uid_of(world, "ResourceQuota", "innkeeper")
    )
    told = await world.innkeeper.explain("acme")
    assert (told.instance.status, told.seen and told.seen.pods) == (Status.RUNNING, 4)
    assert [each.what.value for each in told.findings] == ["replicas-changed", "quota-missing"]
    assert [each.kind for each in told.operations] == [Kind.PROVISION]
    assert told.to_do == ["innkeeper repair acme"]


async def test_an_explanation_says_why_pods_are_not_ready_and_what_to_do_about_it(world: World) -> None:
    await world.provisioned("acme")
    template = {"metadata": {"annotations": {FAULT: "crash"}}}
    await world.cluster.patch(web("acme"), {"spec": {"template": template}})
    await world.cluster.patch(
        Ref("apps/v1", "StatefulSet", "acme-db", "inn-acme"), {"spec": {"template": {"spec": {"nodeSelector": MOON}}}}
    )
    told = await world.innkeeper.explain("acme")
    assert told.seen is not None
    web_state, db_state = told.seen.workloads
    assert (web_state.pods, web_state.ready, db_state.pods, db_state.ready) == (1, 1, 1, 0)
    assert "container web keeps crashing" in web_state.waits_for
    assert "Pod acme-db-0: no node can take it (0/2 nodes are available" in db_state.waits_for
    assert told.to_do[0].startswith("add nodes, ")
    # The cluster changed just now: what may be starting is told, and is no finding.
    assert told.findings == []


async def test_a_look_costs_the_same_lists_however_many_instances_there_are(world: World) -> None:
    for name in ("acme", "globex", "initech"):
        await world.provisioned(name)
        before = world.faults.calls.count("cluster.list_objects")
        await world.innkeeper.reconcile()
        assert world.faults.calls.count("cluster.list_objects") - before == len(LOOKS)


async def uid_of(world: World, kind: str, name: str) -> str:
    found = await world.cluster.get(Ref("v1", kind, name, "inn-acme"))
    assert found is not None
    return str(found["metadata"]["uid"])


async def test_an_explanation_of_a_parked_operation_has_its_question(world: World) -> None:
    await world.provisioned("acme")
    world.faults.fail("helm.uninstall", Permanent("no"), times=None)
    with world.environment.with_time_skipping_disabled():
        handle = await world.innkeeper.uninstall("acme")
        async with asyncio.timeout(60):
            while (await handle.describe()).question is None:
                await asyncio.sleep(0.1)
        told = await world.innkeeper.explain("acme")
        assert told.question is not None
        assert told.to_do[0] == f"innkeeper decide acme retry --question {told.question.id}"
        assert told.findings == []
        await world.innkeeper.decide("acme", "abort", operator="ann")


async def test_an_instance_whose_operation_runs_is_left_alone_and_a_lost_one_is_found(world: World) -> None:
    await world.provisioned("acme")
    hang = world.faults.hang("cluster.patch")
    handle = await world.innkeeper.stop("acme")
    await hang.reached.wait()
    row = await world.row("acme")
    world.database.rows["acme"] = row.model_copy(update={"updated_at": LONG_AGO})
    found = await world.innkeeper.reconcile()
    assert (found.looked_at, found.busy, found.named) == (0, 1, [])
    await world.client.get_workflow_handle("instance/acme", run_id=handle.run_id).terminate("by hand")
    found = await world.innkeeper.reconcile()
    assert (found.looked_at, found.found) == (1, {"transition-stuck": 1})
    (record,) = (await world.innkeeper.findings("acme")).items
    assert (record.wanted, record.mend) == ("an operation that runs", "innkeeper repair acme")


async def test_an_instance_that_is_claimed_while_it_is_looked_at_is_left_to_the_next(world: World) -> None:
    await world.provisioned("acme")
    await scale(world, "acme", 3)
    hang = world.faults.hang("db.reconciled")
    looking = asyncio.create_task(world.innkeeper.reconcile())
    await hang.reached.wait()
    row = await world.row("acme")
    world.database.rows["acme"] = row.model_copy(update={"generation": row.generation + 1})
    hang.release()
    found = await looking
    assert (found.written.opened, found.written.skipped) == (0, 1)
    assert await standing(world) == []


async def test_what_is_nowhere_any_more_takes_its_findings_with_it(world: World) -> None:
    labels = {"app.kubernetes.io/managed-by": "innkeeper", "innkeeper.dev/instance": "ghost"}
    made = await world.cluster.create(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "inn-ghost", "labels": labels}}
    )
    await world.innkeeper.reconcile()
    assert await standing(world) == ["ghost namespace-unowned"]
    await world.cluster.delete(Ref("v1", "Namespace", "inn-ghost"), uid=made["metadata"]["uid"])
    assert (await world.innkeeper.reconcile()).written.resolved == 1
    assert await standing(world) == []


async def test_a_part_that_is_away_for_a_moment_is_waited_for(world: World) -> None:
    await world.provisioned("acme")
    await scale(world, "acme", 2)
    world.faults.fail("cluster.list_objects", Conflict("the list grew too old"), times=2)
    world.faults.fail("db.reconciled", Unreachable("the database is away"), times=1)
    world.faults.fail("helm.chart_digest", Permanent("the chart is not there"), times=None)
    assert (await world.innkeeper.reconcile()).found == {"replicas-changed": 1}


async def test_a_look_that_fails_for_good_says_why(world: World) -> None:
    await world.provisioned("acme")
    world.faults.fail("db.instance", Permanent("a row cannot be read"), times=None)
    with pytest.raises(Unreachable, match="a row cannot be read"):
        await world.innkeeper.reconcile("acme")


async def test_an_explanation_goes_without_what_is_where_nobody_can_look(world: World) -> None:
    await world.provisioned("acme")
    world.faults.fail("cluster.list_objects", Permanent("the API server says no"), times=None)
    told = await world.innkeeper.explain("acme")
    assert told.seen is None
    assert "nobody could look for drift" in told.not_seen


def row(number: int) -> Instance:
    name = f"room-{number:04}"
    return Instance(
        name=name,
        tenant="t1",
        plan="starter",
        namespace=f"inn-{name}",
        release=name,
        status=Status.PURGED,
        settled=Status.PURGED,
        generation=1,
        created_at=LONG_AGO,
        updated_at=LONG_AGO,
    )


async def test_thousands_of_rows_are_read_and_written_page_by_page(idle_world: World) -> None:
    world, queue = idle_world, f"many-{uuid.uuid4().hex}"
    for number in range(2500):
        world.database.rows[f"room-{number:04}"] = row(number)
    plans, desk = catalog.parse(CATALOG, folder=""), TemporalDesk(world.client, TASK_QUEUE)
    fleet = MemoryFleet(world.cluster)
    looks = Reconciling(world.database, world.findings, world.freezes, fleet, desk, world.helm, plans)
    async with compose(world.client, [looks.reconcile], task_queue=queue):
        found: Reconciled = await world.client.execute_workflow(
            RECONCILE_WORKFLOW, Looking(), id=queue, task_queue=queue, result_type=Reconciled
        )
    assert (found.looked_at, found.busy, found.named) == (2500, 0, [])
