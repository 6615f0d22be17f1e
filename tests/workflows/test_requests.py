"""A request is idempotent for ever, and an instance has one mutation at a time."""

from __future__ import annotations

import asyncio

import pytest
from in_memory import World
from listing import listed
from temporalio.api.common.v1 import Priority

from innkeeper.activities.heavy_steps import AHEAD
from innkeeper.client import OperationFailed, OperationHandle
from innkeeper.model import marks
from innkeeper.model.errors import Busy, Permanent, Refused, Unreachable
from innkeeper.model.instance import Status
from innkeeper.model.messages import Outcome
from innkeeper.model.names import workflow_id_of
from innkeeper.model.ports import Ref


async def turns_of(world: World, handle: OperationHandle) -> list[tuple[str, Priority]]:
    """Each step of an operation that went to a queue, with its place there."""
    workflow = world.client.get_workflow_handle(workflow_id_of(handle.instance), run_id=handle.run_id)
    scheduled = [
        event.activity_task_scheduled_event_attributes
        for event in (await workflow.fetch_history()).events
        if event.HasField("activity_task_scheduled_event_attributes")
    ]
    return [(each.activity_type.name, each.priority) for each in scheduled]


async def test_twenty_askers_with_one_request_id_make_one_operation(world: World) -> None:
    handles = await asyncio.gather(
        *(world.innkeeper.provision("same-id", tenant="t1", plan="starter", request_id="same-1") for _ in range(20))
    )
    results = await asyncio.gather(*(handle.result() for handle in handles))
    assert {result.request_id for result in results} == {"same-1"}
    assert {(result.outcome, result.generation) for result in results} == {(Outcome.DONE, 1)}
    assert world.faults.count("helm.upgrade") == 1


async def test_twenty_askers_with_ids_of_their_own_make_one_operation_and_nineteen_answers(world: World) -> None:
    asked = await asyncio.gather(
        *(
            world.innkeeper.provision("own-ids", tenant="t1", plan="starter", request_id=f"own-{number}")
            for number in range(20)
        ),
        return_exceptions=True,
    )
    handles = [answer for answer in asked if isinstance(answer, OperationHandle)]
    ended = await asyncio.gather(*(handle.result() for handle in handles), return_exceptions=True)
    done = [end for end in ended if not isinstance(end, BaseException)]
    told = [answer for answer in [*asked, *ended] if isinstance(answer, Busy | Refused)]
    assert len(done) == 1
    assert len(told) == 19
    assert all("provision" in str(answer) or "exists already" in str(answer) for answer in told)
    assert (await world.row("own-ids")).generation == 1


async def test_a_request_asked_after_its_end_gets_the_stored_outcome(world: World) -> None:
    first = await world.provisioned("again", request_id="again-1")
    await (await world.innkeeper.stop("again")).result()
    second = await world.provisioned("again", request_id="again-1")
    assert second == first
    assert (await world.row("again")).status is Status.STOPPED


async def test_the_same_id_with_other_arguments_is_refused(world: World) -> None:
    await world.provisioned("other", request_id="other-1")
    with pytest.raises(Refused, match="used before, with other arguments"):
        await (await world.innkeeper.stop("other", request_id="other-1")).result()


async def test_a_refused_request_does_not_hide_the_operation_before_it(world: World) -> None:
    first = await world.innkeeper.provision("hidden", tenant="t1", plan="starter")
    await first.result()
    with pytest.raises(Refused):
        await (await world.innkeeper.stop("hidden", tenant="t9")).result()
    await listed(world.client, "WorkflowId = 'instance/hidden'", runs=2)
    latest = await world.innkeeper.latest("hidden")
    assert latest is not None
    assert latest.run_id == first.run_id


async def test_a_busy_instance_says_what_runs_since_when(world: World) -> None:
    hang = world.faults.hang("helm.upgrade")
    handle = await world.innkeeper.provision("busy", tenant="t1", plan="starter", request_id="busy-1")
    await hang.reached.wait()
    with pytest.raises(Busy, match=r"provision runs since .* \(request busy-1\)"):
        await world.innkeeper.stop("busy")
    hang.release()
    assert (await handle.result()).outcome is Outcome.DONE


async def test_operations_on_twenty_instances_run_side_by_side(world: World) -> None:
    names = [f"crowd-{number}" for number in range(20)]
    results = await asyncio.gather(*(world.provisioned(name) for name in names))
    assert {result.outcome for result in results} == {Outcome.DONE}
    stops = await asyncio.gather(*(world.innkeeper.stop(name) for name in names))
    await asyncio.gather(*(handle.result() for handle in stops))
    assert {(await world.row(name)).status for name in names} == {Status.STOPPED}


async def test_a_request_that_ended_is_answered_although_its_plan_is_gone_since(world: World) -> None:
    first = await world.provisioned("known", request_id="known-1")
    foreign = await world.namespace("known")
    assert foreign is not None
    await world.cluster.patch(Ref("v1", "Namespace", "inn-known"), {"metadata": {"labels": {marks.INSTANCE: "other"}}})
    assert await world.provisioned("known", request_id="known-1") == first


async def test_each_step_is_the_turn_of_the_tenant_whose_instance_it_is_though_the_request_names_none(
    world: World,
) -> None:
    await world.provisioned("turn")
    world.faults.fail("turn finish db.finish", Unreachable("the database is down"), times=5)
    handle = await world.innkeeper.stop("turn")
    await handle.result()
    turns = await turns_of(world, handle)
    assert [name for name, _ in turns] == ["scale-down", "gone", "finish"]
    assert {turn.fairness_key for _, turn in turns} == {"t1"}


async def test_what_waits_for_readiness_keeps_no_place_from_what_has_just_been_asked_for(world: World) -> None:
    handle = await world.innkeeper.provision("behind", tenant="t1", plan="starter")
    await handle.result()
    ahead = {name: turn.priority_key == AHEAD for name, turn in await turns_of(world, handle)}
    assert ahead == {"prepare": False, "release": True, "ready": False}


async def test_only_a_heavy_step_goes_ahead_of_others_once_its_operation_has_had_one(world: World) -> None:
    world.faults.fail("ahead release helm.upgrade", Permanent("the chart is broken"), times=None)
    handle = await world.innkeeper.provision("ahead", tenant="t1", plan="starter")
    with pytest.raises(OperationFailed):
        await handle.result()
    turns = await turns_of(world, handle)
    ahead = [(name, turn.priority_key == AHEAD) for name, turn in turns]
    assert ahead == [("prepare", False), ("release", True), ("undo-release", True), ("undo-prepare", False)]
