"""A schedule is as the last worker that started wants it, however many start at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from temporalio.client import Client, ScheduleActionStartWorkflow, ScheduleDescription, ScheduleOverlapPolicy
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import WorkflowEnvironment

from innkeeper.client.schedules import METERING, SWEEP, keep
from innkeeper.model.errors import Forbidden
from innkeeper.model.messages import METERING_WORKFLOW, SWEEP_WORKFLOW

from .conftest import temporal_binary

QUEUE = "nobody-polls"


@pytest.fixture
async def temporal(client: Client) -> AsyncIterator[Client]:
    """A server without the schedule, before and after the test."""
    await keep(client, SWEEP, every=0, task_queue=QUEUE)
    yield client
    await keep(client, SWEEP, every=0, task_queue=QUEUE)
    async for run in client.list_workflows(f"WorkflowType = '{SWEEP_WORKFLOW}' and ExecutionStatus = 'Running'"):
        try:
            await client.get_workflow_handle(run.id, run_id=run.run_id).terminate()
        except RPCError as error:
            # The list is a little behind: it still names what the test before has ended.
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise


async def described(client: Client) -> ScheduleDescription:
    return await client.get_schedule_handle(SWEEP.id).describe()


def action_of(told: ScheduleDescription) -> ScheduleActionStartWorkflow:
    action = told.schedule.action
    assert isinstance(action, ScheduleActionStartWorkflow)
    return action


async def sweeps(client: Client) -> int:
    """The sweeps that were started and nobody has worked on."""
    asked = f"WorkflowType = '{SWEEP_WORKFLOW}' and ExecutionStatus = 'Running'"
    return len([run async for run in client.list_workflows(asked)])


async def test_ten_workers_that_start_at_once_make_one_schedule_without_overlaps(temporal: Client) -> None:
    await asyncio.gather(*(keep(temporal, SWEEP, every=3600, task_queue=QUEUE) for _ in range(10)))
    told = await described(temporal)
    assert [each.every for each in told.schedule.spec.intervals] == [timedelta(hours=1)]
    assert told.schedule.policy.overlap is ScheduleOverlapPolicy.SKIP
    assert (action_of(told).workflow, action_of(told).task_queue) == (SWEEP_WORKFLOW, QUEUE)


async def test_the_first_sweep_begins_at_once(temporal: Client) -> None:
    await keep(temporal, SWEEP, every=3600, task_queue=QUEUE)
    async with asyncio.timeout(60):
        while not await sweeps(temporal):
            await asyncio.sleep(0.1)


async def test_a_schedule_of_before_is_brought_up_to_date(temporal: Client) -> None:
    await keep(temporal, SWEEP, every=3600, task_queue="of-before")
    await keep(temporal, SWEEP, every=1800, task_queue=QUEUE)
    told = await described(temporal)
    assert [each.every for each in told.schedule.spec.intervals] == [timedelta(minutes=30)]
    assert action_of(told).task_queue == QUEUE


async def test_a_schedule_that_is_as_wanted_is_not_written_again(temporal: Client) -> None:
    await keep(temporal, SWEEP, every=3600, task_queue=QUEUE)
    before = await described(temporal)
    await keep(temporal, SWEEP, every=3600, task_queue=QUEUE)
    assert (await described(temporal)).info.last_updated_at == before.info.last_updated_at


async def test_what_an_operator_paused_stays_paused(temporal: Client) -> None:
    await keep(temporal, SWEEP, every=3600, task_queue=QUEUE)
    await temporal.get_schedule_handle(SWEEP.id).pause(note="not now")
    await keep(temporal, SWEEP, every=1800, task_queue=QUEUE)
    state = (await described(temporal)).schedule.state
    assert (state.paused, state.note) == (True, "not now")


async def test_nought_removes_the_schedule_and_may_be_said_again(temporal: Client) -> None:
    await keep(temporal, SWEEP, every=3600, task_queue=QUEUE)
    for _ in range(2):
        await keep(temporal, SWEEP, every=0, task_queue=QUEUE)
    with pytest.raises(RPCError) as told:
        await described(temporal)
    assert told.value.status is RPCStatusCode.NOT_FOUND


async def test_workers_that_want_it_and_one_that_does_not_may_start_at_once(temporal: Client) -> None:
    for _ in range(5):
        await asyncio.gather(*(keep(temporal, SWEEP, every=every, task_queue=QUEUE) for every in (3600, 0, 1800)))
    await keep(temporal, SWEEP, every=3600, task_queue=QUEUE)
    assert (await described(temporal)).schedule.spec.intervals[0].every == timedelta(hours=1)


async def test_each_errand_has_a_schedule_of_its_own(temporal: Client) -> None:
    await keep(temporal, SWEEP, every=3600, task_queue=QUEUE)
    await keep(temporal, METERING, every=300, task_queue=QUEUE)
    await keep(temporal, SWEEP, every=0, task_queue=QUEUE)
    told = await temporal.get_schedule_handle(METERING.id).describe()
    assert action_of(told).workflow == METERING_WORKFLOW
    assert [each.every for each in told.schedule.spec.intervals] == [timedelta(minutes=5)]
    await keep(temporal, METERING, every=0, task_queue=QUEUE)


async def test_a_temporal_that_allows_no_schedules_is_named_with_what_to_do() -> None:
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=temporal_binary(),
        dev_server_log_level="error",
        dev_server_extra_args=["--dynamic-config-value", "frontend.enableSchedules=false"],
    )
    async with environment:
        with pytest.raises(Forbidden, match=SWEEP.id) as told:
            await keep(environment.client, SWEEP, every=60, task_queue=QUEUE)
        await keep(environment.client, SWEEP, every=0, task_queue=QUEUE)
    assert told.value.cause.code == "ScheduleRefused"
    assert "INNKEEPER_SWEEP_EVERY=0" in told.value.cause.fix
    # The interpreter may crash at its exit where this does not follow the shutdown.
    await asyncio.sleep(0.3)
