"""The database fails while an end is to be recorded: the end comes all the same, and none is made up."""

from __future__ import annotations

import asyncio

import pytest
from following import Followed, failed
from in_memory import World

from innkeeper.gateways.faults import When
from innkeeper.model.errors import Forbidden, ReleaseFailed, Superseded, Unreachable
from innkeeper.model.instance import Kind, Status
from innkeeper.model.messages import Outcome, Request, StepState
from innkeeper.model.record_messages import ClaimRequest

DOWN = Unreachable("the database is down")


async def test_helm_fails_and_the_database_is_down_for_long_while_that_is_recorded(world: World) -> None:
    world.faults.fail("helm.upgrade.objects", ReleaseFailed("chart says no"))
    world.faults.fail("db.finish", DOWN, times=15)
    handle = await world.innkeeper.provision("db-both", tenant="t1", plan="starter")
    result = await failed(handle)
    row = await world.row("db-both")
    assert (result.outcome, row.status) == (Outcome.UNDONE, Status.ERROR)
    assert row.cause is not None
    assert "chart says no" in row.cause.message
    assert world.written.statuses("db-both") == [Status.PROVISIONING, Status.ERROR]
    assert await world.storage("db-both") == []
    assert world.faults.unplayed == []


async def test_meanwhile_compensation_runs_on_and_the_operation_shows_the_cause(world: World) -> None:
    world.faults.fail("helm.upgrade.objects", ReleaseFailed("chart says no"))
    world.faults.fail("db.finish", DOWN, times=None)
    handle = await world.innkeeper.provision("db-shown", tenant="t1", plan="starter")
    operation = Followed(world, handle)
    told = await operation.until_step("prepare", StepState.UNDONE)
    assert next(event.detail for event in told.events if event.state is StepState.FAILED).startswith("chart says no")
    assert await operation.details() == "**release** failed: chart says no"
    assert await world.storage("db-shown") == []
    assert (await world.row("db-shown")).status is Status.PROVISIONING
    async with asyncio.timeout(60):
        while await operation.retried() != {"finish": "the database is down"}:
            await asyncio.sleep(0.05)
    world.faults.clear()
    assert (await failed(handle)).outcome is Outcome.UNDONE
    assert (await world.row("db-shown")).status is Status.ERROR


async def test_an_unforeseen_exception_and_a_database_that_is_down_end_like_any_failure(world: World) -> None:
    await world.provisioned("db-warm")
    world.faults.fail("db-odd release helm.upgrade", RuntimeError("the token is hunter2"), times=None)
    world.faults.fail("db.finish", DOWN, times=6)
    result = await failed(await world.innkeeper.provision("db-odd", tenant="t1", plan="starter"))
    row = await world.row("db-odd")
    assert (result.outcome, row.status) == (Outcome.UNDONE, Status.ERROR)
    assert row.cause is not None
    assert (row.cause.code, "report it" in row.cause.fix) == ("Unforeseen", True)
    assert "hunter2" not in result.model_dump_json()
    # What is unforeseen may pass: it is tried again until the step's deadline, not given up at once.
    assert world.faults.count("helm.upgrade") > 5
    assert await world.storage("db-odd") == []
    assert "Deployment" not in await world.kinds("db-odd")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    "error", [DOWN, Forbidden("the key was changed"), RuntimeError("odd")], ids=lambda e: type(e).__name__
)
async def test_the_status_is_written_until_it_is_there_and_never_reported_other_than_it_is(
    world: World, error: Exception, when: When
) -> None:
    name = f"db-ready-{type(error).__name__.lower()}-{when}"
    world.faults.fail("db.finish", error, times=8, when=when)
    handle = await world.innkeeper.provision(name, tenant="t1", plan="starter")
    told: list[tuple[Status, list[str]]] = []
    ending = asyncio.ensure_future(handle.result())
    while not ending.done():
        row = await world.database.instance(name)
        if row is not None:
            told.append((row.status, await world.storage(name)))
        await asyncio.sleep(0.02)
    assert (await ending).outcome is Outcome.DONE
    assert {status for status, _ in told} <= {Status.PROVISIONING, Status.RUNNING}
    assert all(storage == ["deployed"] for status, storage in told if status is Status.RUNNING)
    assert world.written.statuses(name) == [Status.PROVISIONING, Status.RUNNING]
    assert (await world.row(name)).generation == 1
    assert world.faults.count("helm.upgrade") == 1


async def test_what_keeps_failing_leaves_the_workflow_open_to_cancellation(world: World) -> None:
    world.faults.fail("db.claim", DOWN, times=None)
    handle = await world.innkeeper.provision("db-claim", tenant="t1", plan="starter")
    async with asyncio.timeout(60):
        while await Followed(world, handle).retried() != {"claim": "the database is down"}:
            await asyncio.sleep(0.05)
    await handle.cancel()
    assert await Followed(world, handle).retried() == {"claim": "the database is down"}
    world.faults.clear()
    assert (await failed(handle)).outcome is Outcome.CANCELLED
    assert await world.namespace("db-claim") is None


async def test_an_operation_that_was_overtaken_while_it_ran_says_so_and_hands_over(world: World) -> None:
    """Rows restored from a backup, or a second Temporal: another claim took the instance meanwhile."""
    hang = world.faults.hang("helm.upgrade")
    world.faults.fail("helm.upgrade.objects", ReleaseFailed("chart says no"))
    handle = await world.innkeeper.provision("db-overtaken", tenant="t1", plan="starter")
    await hang.reached.wait()
    waits = Request.of(Kind.UNINSTALL, "db-overtaken", request_id="db-overtaken-next")
    await Followed(world, handle).take_next(waits)
    other = Request.of(Kind.STOP, "db-overtaken", request_id="db-overtaken-other")
    await world.database.claim(
        ClaimRequest(request=other, workflow_id="elsewhere", run_id="elsewhere", namespace="n", release="r")
    )
    hang.release()
    result = await failed(handle)
    assert result.outcome is Outcome.SUPERSEDED
    assert result.cause is not None
    assert (result.cause.code, bool(result.cause.fix)) == (Superseded.__name__, True)
    await world.ends_as("db-overtaken", Status.UNINSTALLED)
