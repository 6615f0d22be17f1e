"""Trials that are over, and idle instances, are stopped by a metering, once each."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from innkeeper.client import Kind, Status
from innkeeper.model.errors import Unreachable
from innkeeper.model.messages import METERING_WORKFLOW, TASK_QUEUE
from innkeeper.model.usage import InstanceEvent
from innkeeper.model.usage_ports import Hours, Metered

from .conftest import World


async def metering(world: World, again: Hours | None = None) -> Metered:
    told: Metered = await world.client.execute_workflow(
        METERING_WORKFLOW,
        args=[] if again is None else [again],
        id=f"metering-{uuid.uuid4().hex}",
        task_queue=TASK_QUEUE,
        result_type=Metered,
    )
    return told


def aged(world: World, name: str, by: timedelta) -> None:
    """Let all that happened to the instance have happened earlier."""

    def earlier(event: InstanceEvent) -> InstanceEvent:
        return event.model_copy(update={"at": event.at - by}) if event.instance == name else event

    world.database.events[:] = [earlier(event) for event in world.database.events]
    row = world.database.rows[name]
    world.database.rows[name] = row.model_copy(update={"created_at": row.created_at - by})


async def provisioned(world: World, name: str, plan: str) -> None:
    await (await world.innkeeper.provision(name, tenant="t1", plan=plan)).result()


async def stopped(world: World, name: str) -> str:
    """Wait for the stop, and tell who asked for it."""
    await world.ends_as(name, Status.STOPPED)
    [stop, *_] = (await world.innkeeper.operations(name, kind=Kind.STOP)).items
    assert stop.id == f"expiry-{name}-{stop.generation - 1}"
    return stop.asked_by


async def test_a_trial_that_is_over_is_stopped_and_again_after_a_start(world: World) -> None:
    await provisioned(world, "trying", "trial")
    assert (await metering(world)).stops == 0
    aged(world, "trying", timedelta(minutes=61))
    assert (await metering(world)).stops == 1
    assert (await stopped(world, "trying")).startswith("trial: first ran at ")
    assert (await metering(world)).stops == 0
    await (await world.innkeeper.start("trying")).result()
    assert (await metering(world)).stops == 1
    await stopped(world, "trying")
    await (await world.innkeeper.upgrade("trying", plan="starter")).result()
    await (await world.innkeeper.start("trying")).result()
    assert (await metering(world)).stops == 0


async def test_an_idle_instance_is_stopped_and_one_that_is_used_is_not(world: World) -> None:
    for name in ("used", "idle"):
        await provisioned(world, name, "sleepy")
        aged(world, name, timedelta(minutes=11))
    assert await world.innkeeper.record_activity("used")
    assert (await metering(world)).stops == 1
    assert (await stopped(world, "idle")).startswith("idle: nothing since ")
    assert (await world.row("used")).status is Status.RUNNING


async def test_two_meterings_at_once_and_an_answer_that_is_lost_ask_once(world: World) -> None:
    await provisioned(world, "once", "trial")
    aged(world, "once", timedelta(hours=2))
    world.faults.fail("db.running", Unreachable("gone"), when="after")
    hang = world.faults.hang("once claim db.claim")
    for _ in range(3):
        assert (await metering(world)).stops == 1
    hang.release()
    await stopped(world, "once")
    assert [each.kind for each in (await world.innkeeper.operations("once")).items] == [Kind.STOP, Kind.PROVISION]


async def test_another_operation_is_not_disturbed(world: World) -> None:
    await provisioned(world, "busy", "trial")
    aged(world, "busy", timedelta(hours=2))
    hang = world.faults.hang("busy claim db.claim")
    handle = await world.innkeeper.restart("busy")
    await hang.reached.wait()
    assert (await metering(world)).stops == 0
    hang.release()
    assert (await handle.result()).status is Status.RUNNING
    assert (await metering(world)).stops == 1
    await stopped(world, "busy")


async def test_what_is_frozen_runs_on(world: World) -> None:
    await provisioned(world, "frozen", "trial")
    aged(world, "frozen", timedelta(hours=2))
    await world.innkeeper.freeze("frozen", operator="ann")
    assert (await metering(world)).stops == 0
    await world.innkeeper.unfreeze("frozen")
    assert (await metering(world)).stops == 1
    await stopped(world, "frozen")


async def test_past_hours_that_are_metered_again_stop_nothing(world: World) -> None:
    await provisioned(world, "past", "trial")
    aged(world, "past", timedelta(hours=2))
    now = datetime.now().astimezone()
    assert (await metering(world, Hours(since=now - timedelta(hours=5), until=now))).stops == 0
    assert (await world.row("past")).status is Status.RUNNING


async def test_more_instances_than_a_page_holds_are_all_stopped(world: World) -> None:
    world.usage._page = 2
    names = [f"page-{number}" for number in range(5)]
    for name in names:
        await provisioned(world, name, "trial")
        aged(world, name, timedelta(hours=2))
    assert (await metering(world)).stops == 5
    for name in names:
        await stopped(world, name)
