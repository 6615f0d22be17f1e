"""An operation whose workflow is gone: the sweep asks for a repair, and row, cluster and Helm's storage agree again."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import by_hand
import pytest
from asking import ask

from innkeeper.client import OperationHandle
from innkeeper.embedded import demo_proof as proof
from innkeeper.gateways.faults import Hang
from innkeeper.model import names
from innkeeper.model.errors import Forbidden, OperationFailed, ReleaseFailed
from innkeeper.model.instance import Kind, Status
from innkeeper.model.messages import SWEEP_WORKFLOW, TASK_QUEUE, OperationResult, Outcome, StepState
from innkeeper.model.ports import Ref
from innkeeper.model.sweeps import Swept

from .agreement import agree, data_of
from .conftest import World


async def sweep(world: World) -> Swept:
    """One sweep, from its start to its end."""
    swept: Swept = await world.client.execute_workflow(
        SWEEP_WORKFLOW, id=f"sweep-{uuid.uuid4().hex}", task_queue=TASK_QUEUE, result_type=Swept
    )
    return swept


def written(world: World, name: str, *, ago: timedelta) -> None:
    """Let the row have been last written some time ago; a negative time is still to come."""
    moment = datetime.now(UTC) - ago
    world.database.rows[name] = world.database.rows[name].model_copy(update={"updated_at": moment})


async def terminate(world: World, handle: OperationHandle) -> None:
    """End an operation's workflow as a person can, undoing nothing."""
    workflow = world.client.get_workflow_handle(names.workflow_id_of(handle.instance), run_id=handle.run_id)
    await workflow.terminate("by hand")
    written(world, handle.instance, ago=timedelta(hours=1))


async def lose(world: World, handle: OperationHandle, hang: Hang) -> None:
    """Terminate an operation while one of its calls is in flight, a long time ago."""
    async with asyncio.timeout(60):
        await hang.reached.wait()
    await terminate(world, handle)


async def repaired(world: World, name: str) -> OperationResult:
    """The end of the repair that a sweep asked for."""
    handle = await world.innkeeper.latest(name)
    assert handle is not None
    return await handle.result()


BEFORE = {
    Kind.PROVISION: (),
    Kind.ADOPT: (),
    Kind.STOP: (Kind.PROVISION,),
    Kind.START: (Kind.PROVISION, Kind.STOP),
    Kind.RESTART: (Kind.PROVISION,),
    Kind.UPGRADE: (Kind.PROVISION,),
    Kind.UNINSTALL: (Kind.PROVISION,),
    Kind.PURGE: (Kind.PROVISION, Kind.UNINSTALL),
    Kind.REPAIR: (Kind.PROVISION,),
}
"""The operations that bring an instance to where each one starts from."""


async def begin(world: World, kind: Kind, name: str) -> OperationHandle:
    """An operation of the kind, on an instance that is where such operations start from."""
    if kind is Kind.PROVISION:
        return await world.innkeeper.provision(name, tenant="t1", plan="starter")
    if kind is Kind.ADOPT:
        return await world.innkeeper.adopt(name, namespace=f"inn-{name}", tenant="t1", plan="starter")
    return await ask(world.client, kind, name, plan="crowded" if kind is Kind.UPGRADE else None)


async def prepared(world: World, kind: Kind, name: str) -> None:
    await world.provisioned(f"warm-{name}")  # so that the check is cached, and creates nothing
    if kind is Kind.ADOPT:
        await by_hand.install(world.cluster, world.helm, f"inn-{name}", name)
    for each in BEFORE[kind]:
        await (await begin(world, each, name)).result()


LOST = [
    (Kind.PROVISION, "db.claim", "after", Status.RUNNING),
    (Kind.PROVISION, "cluster.create", "before", Status.RUNNING),
    (Kind.PROVISION, "helm.upgrade", "before", Status.RUNNING),
    (Kind.PROVISION, "helm.upgrade", "after", Status.RUNNING),
    (Kind.PROVISION, "db.finish", "before", Status.RUNNING),
    (Kind.ADOPT, "db.claim", "after", Status.RUNNING),
    (Kind.ADOPT, "cluster.patch", "before", Status.RUNNING),
    (Kind.ADOPT, "cluster.patch", "after", Status.RUNNING),
    (Kind.ADOPT, "cluster.create", "after", Status.RUNNING),
    (Kind.ADOPT, "db.finish", "before", Status.RUNNING),
    (Kind.STOP, "cluster.create", "after", Status.STOPPED),
    (Kind.STOP, "cluster.patch", "after", Status.STOPPED),
    (Kind.STOP, "db.finish", "before", Status.STOPPED),
    (Kind.START, "cluster.delete", "after", Status.RUNNING),
    (Kind.START, "cluster.patch", "after", Status.RUNNING),
    (Kind.START, "db.finish", "before", Status.RUNNING),
    (Kind.RESTART, "cluster.patch", "after", Status.RUNNING),
    (Kind.UPGRADE, "cluster.apply", "after", Status.RUNNING),
    (Kind.UPGRADE, "helm.upgrade", "before", Status.RUNNING),
    (Kind.UPGRADE, "helm.upgrade", "after", Status.RUNNING),
    (Kind.UNINSTALL, "helm.uninstall", "before", Status.UNINSTALLED),
    (Kind.UNINSTALL, "helm.uninstall", "after", Status.UNINSTALLED),
    (Kind.PURGE, "cluster.delete", "before", Status.PURGED),
    (Kind.PURGE, "cluster.delete", "after", Status.PURGED),
    (Kind.REPAIR, "cluster.apply", "before", Status.RUNNING),
]


@pytest.mark.parametrize(("kind", "call", "when", "end"), LOST)
async def test_a_lost_operation_is_finished_by_a_repair(
    world: World, kind: Kind, call: str, when: str, end: Status
) -> None:
    name = f"lost-{kind.value}-{call.rpartition('.')[2]}-{when}".replace("_", "-")
    await prepared(world, kind, name)
    data, pods = await data_of(world, name), await world.pod_uids(name)
    hang = world.faults.hang(call, when="before" if when == "before" else "after")
    handle = await begin(world, kind, name)
    await lose(world, handle, hang)
    generation = (await world.row(name)).generation
    swept = await sweep(world)
    assert (swept.asked, swept.repairs, swept.failed) == (1, [name], 0)
    result = await repaired(world, name)
    assert (result.outcome, result.status, result.generation) == (Outcome.DONE, end, generation + 1)
    await agree(world, name, end)
    if kind is Kind.ADOPT:
        assert (await world.storage(name), await world.pod_uids(name)) == (["deployed"], pods)
    assert end is Status.PURGED or kind in (Kind.PROVISION, Kind.ADOPT) or await data_of(world, name) == data != []
    latest, lost = (await world.innkeeper.operations(name)).items[:2]
    assert (latest.kind, latest.asked_by, latest.tenant) == (Kind.REPAIR, "sweep", "t1")
    assert (lost.kind, lost.outcome) == (kind, Outcome.SUPERSEDED)
    if kind is Kind.UPGRADE:
        row = await world.row(name)
        assert (row.plan, row.upgrade_pending) == ("crowded", False)
        assert (await world.replicas(name))[f"{name}-web"] == 3


@pytest.mark.parametrize(
    ("lost", "steps"),
    [
        (Kind.PROVISION, ["claim", "prepare", "release", "restore", "ready", "record"]),
        (Kind.START, ["claim", "prepare", "restore", "ready", "record"]),
        (Kind.STOP, ["claim", "scale-down", "gone", "record"]),
        (Kind.UNINSTALL, ["claim", "uninstall", "gone", "record"]),
        (Kind.PURGE, ["claim", "uninstall", "delete-namespace", "record"]),
        (Kind.ADOPT, ["claim", "mark", "ready", "record"]),
    ],
)
async def test_a_repair_tells_the_steps_of_what_it_finishes(world: World, lost: Kind, steps: list[str]) -> None:
    await prepared(world, lost, "told")
    hang = world.faults.hang("told claim db.claim", when="after")
    await lose(world, await begin(world, lost, "told"), hang)
    await sweep(world)
    told = await repaired(world, "told")
    assert [event.step for event in told.steps if event.state is StepState.DONE] == steps


async def test_a_lost_upgrade_of_a_stopped_instance_is_remembered_for_the_start(world: World) -> None:
    await prepared(world, Kind.START, "asleep")
    hang = world.faults.hang("db.finish")
    await lose(world, await ask(world.client, Kind.UPGRADE, "asleep", plan="crowded"), hang)
    assert (await sweep(world)).repairs == ["asleep"]
    await repaired(world, "asleep")
    await agree(world, "asleep", Status.STOPPED)
    row = await world.row("asleep")
    assert (row.plan, row.upgrade_pending) == ("crowded", True)
    await (await ask(world.client, Kind.START, "asleep")).result()
    await agree(world, "asleep", Status.RUNNING)
    assert (await world.replicas("asleep"))["asleep-web"] == 3


@pytest.mark.parametrize("kind", [Kind.START, Kind.STOP, Kind.RESTART])
async def test_what_comes_after_a_lost_upgrade_does_not_forget_it(world: World, kind: Kind) -> None:
    name = f"after-upgrade-{kind.value}"
    await prepared(world, Kind.UPGRADE, name)
    hang = world.faults.hang("helm.upgrade")
    await lose(world, await ask(world.client, Kind.UPGRADE, name, plan="crowded"), hang)
    await (await ask(world.client, kind, name)).result()
    if kind is Kind.STOP:
        assert (await world.row(name)).upgrade_pending
        await (await ask(world.client, Kind.START, name)).result()
    await agree(world, name, Status.RUNNING)
    assert (await world.replicas(name))[f"{name}-web"] == 3
    assert not (await world.row(name)).upgrade_pending


async def test_a_lost_upgrade_that_never_gets_ready_goes_back_to_what_ran(world: World) -> None:
    await prepared(world, Kind.UPGRADE, "went-back")
    hang = world.faults.hang("helm.upgrade", when="after")
    await lose(world, await ask(world.client, Kind.UPGRADE, "went-back", plan="narrow"), hang)
    assert await proof.deployed(world.cluster, "went-back") == [2]
    await sweep(world)
    with pytest.raises(OperationFailed, match="exceeded quota"):
        await repaired(world, "went-back")
    assert (await world.row("went-back")).status is Status.ERROR
    assert (await world.innkeeper.operations("went-back")).items[0].outcome is Outcome.UNDONE
    assert await proof.deployed(world.cluster, "went-back") == [3]
    assert (await world.replicas("went-back"))["went-back-web"] == 1
    assert len(await world.pods("went-back")) == 2


async def test_a_lost_provision_over_a_purged_name_is_finished_for_its_new_owner(world: World) -> None:
    await prepared(world, Kind.PURGE, "heir")
    await (await ask(world.client, Kind.PURGE, "heir")).result()
    hang = world.faults.hang("helm.upgrade")
    await lose(world, await world.innkeeper.provision("heir", tenant="t2", plan="starter"), hang)
    await sweep(world)
    assert (await repaired(world, "heir")).outcome is Outcome.DONE
    await agree(world, "heir", Status.RUNNING)
    assert (await world.row("heir")).tenant == "t2"


async def test_a_lost_purge_of_what_was_purged_is_finished(world: World) -> None:
    await prepared(world, Kind.PURGE, "twice-gone")
    await (await ask(world.client, Kind.PURGE, "twice-gone")).result()
    hang = world.faults.hang("db.finish")
    await lose(world, await ask(world.client, Kind.PURGE, "twice-gone"), hang)
    await sweep(world)
    await repaired(world, "twice-gone")
    await agree(world, "twice-gone", Status.PURGED)


async def test_a_lost_start_whose_namespace_is_gone_ends_with_a_cause(world: World) -> None:
    await prepared(world, Kind.START, "evicted")
    hang = world.faults.hang("cluster.patch")
    await lose(world, await ask(world.client, Kind.START, "evicted"), hang)
    namespace = await world.namespace("evicted")
    assert namespace is not None
    await world.cluster.delete(Ref("v1", "Namespace", "inn-evicted"), uid=namespace["metadata"]["uid"])
    await sweep(world)
    with pytest.raises(OperationFailed, match="Namespace inn-evicted is not there"):
        await repaired(world, "evicted")
    assert (await world.row("evicted")).status is Status.ERROR
    assert await world.namespace("evicted") is None


async def test_a_repair_that_fails_ends_in_an_error_and_is_not_asked_for_again(world: World) -> None:
    await prepared(world, Kind.PROVISION, "hopeless")
    hang = world.faults.hang("helm.upgrade")
    await lose(world, await begin(world, Kind.PROVISION, "hopeless"), hang)
    world.faults.fail("helm.upgrade", ReleaseFailed("chart says no"))
    assert (await sweep(world)).asked == 1
    with pytest.raises(OperationFailed, match="chart says no"):
        await repaired(world, "hopeless")
    row = await world.row("hopeless")
    assert row.status is Status.ERROR
    assert row.cause is not None
    written(world, "hopeless", ago=timedelta(hours=1))
    assert await sweep(world) == Swept()
    assert (await world.row("hopeless")).generation == row.generation


async def test_a_lost_repair_is_asked_for_anew_and_still_knows_what_was_lost(world: World) -> None:
    await prepared(world, Kind.UNINSTALL, "again-lost")
    hang = world.faults.hang("helm.uninstall")
    await lose(world, await ask(world.client, Kind.UNINSTALL, "again-lost"), hang)
    hang = world.faults.hang("helm.uninstall")
    await sweep(world)
    repair = await world.innkeeper.latest("again-lost")
    assert repair is not None
    await lose(world, repair, hang)
    assert (await world.row("again-lost")).status is Status.REPAIRING
    assert (await sweep(world)).asked == 1
    await repaired(world, "again-lost")
    await agree(world, "again-lost", Status.UNINSTALLED)
    asked = [record.id for record in (await world.innkeeper.operations("again-lost")).items[:2]]
    assert asked == ["sweep-again-lost-3", "sweep-again-lost-2"]


async def test_two_sweeps_at_once_ask_once(world: World) -> None:
    await prepared(world, Kind.STOP, "one-of-two")
    hang = world.faults.hang("cluster.patch")
    await lose(world, await ask(world.client, Kind.STOP, "one-of-two"), hang)
    hang = world.faults.hang("cluster.create")
    both = await asyncio.gather(sweep(world), sweep(world))
    assert sum(each.asked for each in both) >= 1
    assert {each.failed for each in both} == {0}
    hang.release()
    await repaired(world, "one-of-two")
    await agree(world, "one-of-two", Status.STOPPED)
    assert (await world.row("one-of-two")).generation == 3


async def test_settled_rows_are_not_touched_however_old_they_are(world: World) -> None:
    await world.provisioned("settled")
    written(world, "settled", ago=timedelta(days=99))
    before = await world.row("settled")
    assert await sweep(world) == Swept()
    assert await world.row("settled") == before


async def test_a_row_that_was_just_written_is_not_looked_at(world: World) -> None:
    hang = world.faults.hang("helm.upgrade")
    handle = await world.innkeeper.provision("fresh", tenant="t1", plan="starter")
    await lose(world, handle, hang)
    written(world, "fresh", ago=timedelta(days=-9))
    assert await sweep(world) == Swept()
    assert (await world.row("fresh")).status is Status.PROVISIONING


async def test_an_operation_that_runs_is_left_to_itself_however_long_it_takes(world: World) -> None:
    hang = world.faults.hang("helm.upgrade")
    handle = await world.innkeeper.provision("slow", tenant="t1", plan="starter")
    await hang.reached.wait()
    written(world, "slow", ago=timedelta(hours=1))
    assert await sweep(world) == Swept(looked_at=1, busy=1)
    hang.release()
    result = await handle.result()
    assert (result.outcome, result.generation) == (Outcome.DONE, 1)


async def test_a_row_that_cannot_be_told_does_not_hold_up_the_others(world: World) -> None:
    for name in ("held-one", "held-two"):
        await prepared(world, Kind.STOP, name)
        hang = world.faults.hang("cluster.patch")
        await lose(world, await ask(world.client, Kind.STOP, name), hang)
    world.faults.fail("db.instance", Forbidden("reading is forbidden"))
    swept = await sweep(world)
    assert (swept.looked_at, swept.asked, swept.failed) == (2, 1, 1)
    assert "reading is forbidden" in swept.failures[0]
    await repaired(world, swept.repairs[0])
    assert (await sweep(world)).asked == 1
    for name in ("held-one", "held-two"):
        await repaired(world, name)
        await agree(world, name, Status.STOPPED)
