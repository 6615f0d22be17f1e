"""What a plan says about drift is done by everyone's door, once for each finding, and not of what is frozen."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from innkeeper.client import BadInput, Kind, Refused, Status
from innkeeper.model.drift_kinds import Policy
from innkeeper.model.errors import Permanent, Unreachable
from innkeeper.model.messages import SWEEP_WORKFLOW, TASK_QUEUE
from innkeeper.model.ports import Page, Ref
from innkeeper.model.sweeps import Swept

from .conftest import World


@pytest.fixture
def name() -> str:
    """An instance's, of the test's own: request ids are for ever, and tests share a Temporal."""
    return f"watched-{uuid.uuid4().hex[:8]}"


async def provision(world: World, name: str, plan: str = "watched") -> None:
    await (await world.innkeeper.provision(name, tenant="t1", plan=plan)).result()


async def scale(world: World, name: str, replicas: int = 3) -> None:
    await world.cluster.patch(
        Ref("apps/v1", "Deployment", f"{name}-web", f"inn-{name}"), {"spec": {"replicas": replicas}}
    )


async def repaired(world: World, name: str) -> str:
    """The request id of the repair that was asked for, once it is done."""
    handle = await world.innkeeper.latest(name)
    assert handle is not None
    result = await handle.result()
    assert result.kind is Kind.REPAIR
    return result.request_id


async def repairs(world: World, name: str) -> int:
    page = await world.innkeeper.operations(name, kind=Kind.REPAIR)
    return len(page.items)


async def test_a_repair_is_asked_for_once_and_the_finding_is_gone(world: World, name: str) -> None:
    await provision(world, name)
    await scale(world, name)
    found = await world.innkeeper.reconcile()
    assert (found.asked, found.held, found.failures) == ([name], [], [])
    (record,) = (await world.innkeeper.findings(name)).items
    assert record.policy is Policy.REPAIR
    assert await repaired(world, name) == f"drift-{name}-{record.id}"
    operation = await world.innkeeper.operation(f"drift-{name}-{record.id}")
    assert operation is not None
    assert operation.asked_by == "drift"
    assert (await world.innkeeper.reconcile()).asked == []
    assert (await world.innkeeper.findings(name)).items == []
    # What comes back is another finding.
    await scale(world, name)
    assert (await world.innkeeper.reconcile()).asked == [name]
    await repaired(world, name)
    assert await repairs(world, name) == 2


async def test_a_finding_that_a_repair_does_not_mend_is_not_asked_about_again(world: World, name: str) -> None:
    await provision(world, name)
    await scale(world, name)
    world.faults.fail("helm.rollback", Permanent("Helm says no"), times=None)
    assert (await world.innkeeper.reconcile()).asked == [name]
    handle = await world.innkeeper.latest(name)
    assert handle is not None
    with pytest.raises(Exception, match="Helm says no"):
        await handle.result()
    # The row says error, which its cause tells; were it well again, the finding that stands was asked about.
    row = await world.row(name)
    world.database.rows[name] = row.model_copy(update={"status": Status.RUNNING, "settled": Status.RUNNING})
    assert (await world.innkeeper.reconcile()).asked == []
    assert await repairs(world, name) == 1


async def test_several_findings_of_one_instance_are_one_repair(world: World, name: str) -> None:
    await provision(world, name)
    await scale(world, name)
    ref = Ref("apps/v1", "StatefulSet", f"{name}-db", f"inn-{name}")
    found = await world.cluster.get(ref)
    assert found is not None
    await world.cluster.delete(ref, uid=found["metadata"]["uid"])
    assert (await world.innkeeper.reconcile()).asked == [name]
    await repaired(world, name)
    assert (await world.innkeeper.reconcile()).found == {}
    assert await repairs(world, name) == 1


async def test_what_is_only_reported_or_asked_is_not_repaired(world: World, name: str) -> None:
    await provision(world, name, "starter")
    await scale(world, name)
    await provision(world, "globex")
    await world.cluster.patch(Ref("v1", "ResourceQuota", "innkeeper", "inn-globex"), {"spec": {"hard": {"pods": "9"}}})
    found = await world.innkeeper.reconcile()
    assert (found.found, found.asked) == ({"quota-changed": 1, "replicas-changed": 1}, [])
    asked = (await world.findings.findings(Page(), policy=Policy.ASK)).items
    assert [(each.instance, each.what.value) for each in asked] == [("globex", "quota-changed")]


async def test_a_repair_that_cannot_be_asked_for_is_told_and_asked_for_by_the_next(world: World, name: str) -> None:
    await provision(world, name)
    await scale(world, name)
    world.faults.fail("db.operation", Unreachable("the database is away"), times=1)
    found = await world.innkeeper.reconcile()
    assert found.asked == []
    assert [each.partition(":")[0] for each in found.failures] == [name]
    assert (await world.innkeeper.reconcile()).asked == [name]
    await repaired(world, name)


async def test_who_is_quicker_than_the_policy_is_left_to_it(world: World, name: str) -> None:
    await provision(world, name)
    await scale(world, name)
    with world.environment.with_time_skipping_disabled():
        asking = world.faults.hang("db.operation")
        looking = asyncio.create_task(world.innkeeper.reconcile())
        await asking.reached.wait()
        working = world.faults.hang("cluster.patch")
        handle = await world.innkeeper.stop(name)
        await working.reached.wait()
        asking.release()
        found = await looking
        assert (found.asked, found.failures) == ([], [])
        working.release()
        assert (await handle.result()).kind is Kind.STOP


@pytest.mark.parametrize(
    "frozen", [{"name": "me"}, {"plan": "watched"}, {"cluster": True}], ids=["instance", "plan", "cluster"]
)
async def test_of_what_is_frozen_no_repair_is_asked_for_and_people_may_go_on(
    world: World, name: str, frozen: dict[str, object]
) -> None:
    frozen = {"name": name} if "name" in frozen else frozen
    await provision(world, name)
    await scale(world, name)
    freeze = await world.innkeeper.freeze(**frozen, operator="ann", note="a move")  # type: ignore[arg-type]
    found = await world.innkeeper.reconcile()
    assert (found.asked, found.held) == ([], [name])
    told = await world.innkeeper.explain(name)
    assert told.freezes == [freeze]
    assert freeze.operator == "ann"
    await (await world.innkeeper.stop(name)).result()
    await (await world.innkeeper.start(name)).result()
    assert await world.innkeeper.unfreeze(**frozen)  # type: ignore[arg-type]
    assert await world.innkeeper.freezes() == []
    assert (await world.innkeeper.reconcile()).asked == [name]
    await repaired(world, name)


async def test_a_freeze_of_another_holds_nobody_else(world: World, name: str) -> None:
    await provision(world, name)
    await scale(world, name)
    await world.innkeeper.freeze(plan="starter", everything=True)
    assert (await world.innkeeper.reconcile()).asked == [name]
    await repaired(world, name)


@pytest.mark.parametrize("frozen", [{"name": "me"}, {"plan": "watched"}, {"cluster": True}])
async def test_where_everything_is_frozen_no_operation_begins_and_one_that_runs_goes_on(
    world: World, name: str, frozen: dict[str, object]
) -> None:
    frozen = {"name": name} if "name" in frozen else frozen
    await provision(world, name)
    hang = world.faults.hang("cluster.patch")
    stopping = await world.innkeeper.stop(name, request_id="stop-1")
    await hang.reached.wait()
    await world.innkeeper.freeze(**frozen, everything=True, note="a move")  # type: ignore[arg-type]
    hang.release()
    assert (await stopping.result()).status is Status.STOPPED
    with pytest.raises(Refused, match="is frozen since") as refused:
        await (await world.innkeeper.start(name)).result()
    assert (refused.value.cause.code, refused.value.cause.fix.startswith("innkeeper unfreeze")) == ("Freeze", True)
    assert (await world.row(name)).status is Status.STOPPED
    # Asked again, what has ended is answered as ever.
    again = await world.innkeeper.stop(name, request_id="stop-1")
    assert (await again.result()).status is Status.STOPPED
    await world.innkeeper.unfreeze(**frozen)  # type: ignore[arg-type]
    assert (await (await world.innkeeper.start(name)).result()).status is Status.RUNNING


async def test_a_plan_that_is_frozen_wholly_gets_no_new_instance(world: World, name: str) -> None:
    await world.innkeeper.freeze(plan="watched", everything=True)
    with pytest.raises(Refused, match="plan watched is frozen"):
        await (await world.innkeeper.provision(name, tenant="t1", plan="watched")).result()
    assert await world.innkeeper.get(name) is None


async def test_the_sweep_leaves_what_is_frozen(world: World, name: str) -> None:
    await provision(world, name)
    hang = world.faults.hang("cluster.patch")
    handle = await world.innkeeper.stop(name)
    await hang.reached.wait()
    await world.client.get_workflow_handle(f"instance/{name}", run_id=handle.run_id).terminate("by hand")
    world.faults.clear()
    row = await world.row(name)
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    world.database.rows[name] = row.model_copy(update={"updated_at": long_ago})
    await world.innkeeper.freeze(name)
    assert await sweep(world) == Swept(looked_at=1, held=1)
    found = await world.innkeeper.reconcile()
    assert found.found == {"transition-stuck": 1}
    await world.innkeeper.unfreeze(name)
    assert (await sweep(world)).repairs == [name]
    await repaired(world, name)
    assert (await world.row(name)).status is Status.STOPPED


async def sweep(world: World) -> Swept:
    swept: Swept = await world.client.execute_workflow(
        SWEEP_WORKFLOW, id=f"sweep-{uuid.uuid4().hex}", task_queue=TASK_QUEUE, result_type=Swept
    )
    return swept


async def test_one_thing_is_frozen_at_a_time_and_it_has_to_be_there(world: World) -> None:
    for wrong in ({}, {"name": "acme", "plan": "starter"}, {"plan": "starter", "cluster": True}):
        for ask in (world.innkeeper.freeze, world.innkeeper.unfreeze):
            with pytest.raises(BadInput, match="is not the one thing to freeze"):
                await ask(**wrong)
    with pytest.raises(BadInput, match="is no instance"):
        await world.innkeeper.freeze("nobody")
    with pytest.raises(BadInput, match="note"):
        await world.innkeeper.freeze(cluster=True, note="n" * 1001)
    assert not await world.innkeeper.unfreeze("nobody")
    assert await world.freezes.freezes() == []
