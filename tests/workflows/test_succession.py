"""Who may wait for an operation's end, and what becomes of a hand-over that is there already or cannot be."""

from __future__ import annotations

import asyncio

import pytest
from following import Followed
from lingering import Lingering
from temporalio.client import WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from innkeeper.client import OperationHandle
from innkeeper.model.errors import Cause
from innkeeper.model.instance import Kind, Status
from innkeeper.model.messages import HANDOVER_WORKFLOW, TASK_QUEUE, Delivered, HandOver, Outcome, Request
from innkeeper.model.names import handover_id_of
from innkeeper.worker import STRICT

from .conftest import World


async def refusal(
    world: World, handle: OperationHandle, request: Request, *, replace: bool = False
) -> ApplicationError:
    """How the operation refuses a request that wants the place behind it."""
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await Followed(world, handle).take_next(request, replace=replace)
    assert isinstance(refused.value.cause, ApplicationError)
    return refused.value.cause


async def hand_over(world: World, request: Request) -> str:
    """Start a request's hand-over by hand; its workflow's id."""
    handle = await world.client.start_workflow(
        HANDOVER_WORKFLOW,
        HandOver(request=request),
        id=handover_id_of(request.request_id),
        task_queue=TASK_QUEUE,
        memo={"request": request},
    )
    return handle.id


async def test_nobody_waits_behind_another_instance_or_under_an_id_that_waits_with_other_arguments(
    world: World,
) -> None:
    await world.provisioned("next-refused")
    hang = world.faults.hang("next-refused scale-down cluster.patch")
    stop = await world.innkeeper.stop("next-refused")
    await hang.reached.wait()
    other = await refusal(world, stop, Request.of(Kind.START, "next-other", request_id="refused-1"))
    assert (other.type, other.message) == ("BadInput", "name: 'next-other' is another instance.")
    waits = await world.innkeeper.start("next-refused", request_id="refused-2", on_conflict="wait")
    for replace in (False, True):
        changed = Request.of(Kind.UNINSTALL, "next-refused", request_id="refused-2")
        mismatch = await refusal(world, stop, changed, replace=replace)
        assert Cause.model_validate(mismatch.details[0]).code == "RequestMismatch"
        assert "(start next-refused)" in mismatch.message
    await Followed(world, stop).take_next(Request.of(Kind.START, "next-refused", request_id="refused-2"))
    hang.release()
    assert (await waits.result()).status is Status.RUNNING
    assert (await world.row("next-refused")).generation == 3


async def test_who_comes_when_an_operation_has_handed_over_is_told_that_it_has_ended(idle_world: World) -> None:
    world = idle_world
    worker = Worker(world.client, task_queue=TASK_QUEUE, workflows=[Lingering], workflow_runner=STRICT)
    async with worker:
        handle = await world.innkeeper.provision("next-late", tenant="t1", plan="starter")
        async with asyncio.timeout(60):
            while await Followed(world, handle).details() != "handed over":
                await asyncio.sleep(0.02)
        late = await refusal(world, handle, Request.of(Kind.STOP, "next-late", request_id="late-1"))
        assert (late.type, late.message) == ("Ended", "the operation has ended")
        await world.end()


async def test_a_request_that_is_being_handed_over_already_is_one_operation(world: World) -> None:
    await world.provisioned("next-twice")
    hang = world.faults.hang("next-twice scale-down cluster.patch")
    stop = await world.innkeeper.stop("next-twice")
    await hang.reached.wait()
    waits = await world.innkeeper.start("next-twice", request_id="twice-1", on_conflict="wait")
    request = Request.of(Kind.START, "next-twice", request_id="twice-1")
    with world.environment.with_time_skipping_disabled():
        handover = await hand_over(world, request)
        hang.release()
        assert (await stop.result()).outcome is Outcome.DONE
        assert (await waits.result()).status is Status.RUNNING
    told: Delivered = await world.client.get_workflow_handle(handover, result_type=Delivered).result()
    assert told.run_id == waits.run_id
    assert (await world.row("next-twice")).generation == 3


async def test_a_hand_over_that_cannot_be_says_why(world: World) -> None:
    hang = world.faults.hang("helm.upgrade")
    handle = await world.innkeeper.provision("next-never", tenant="t1", plan="starter", request_id="never-1")
    await hang.reached.wait()
    handover = await hand_over(world, Request.of(Kind.STOP, "next-never", request_id="never-1"))
    with pytest.raises(WorkflowFailureError) as told:
        await world.client.get_workflow_handle(handover).result()
    refused = told.value.cause
    assert isinstance(refused, ApplicationError)
    assert refused.type == "Refused"
    assert Cause.model_validate(refused.details[0]).code == "RequestMismatch"
    hang.release()
    assert (await handle.result()).outcome is Outcome.DONE
