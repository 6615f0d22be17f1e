"""Requests that meet another operation: they wait in order, replace it, lose their place, or outlive what was lost."""

from __future__ import annotations

import asyncio

import pytest
from following import Followed, failed

from innkeeper.client import OperationHandle
from innkeeper.model.errors import BadInput, Busy, Forbidden, OperationFailed, Refused, ReleaseFailed
from innkeeper.model.instance import Status
from innkeeper.model.messages import Outcome, StepState

from .conftest import World


async def generation(world: World, request_id: str) -> int:
    record = await world.database.operation(request_id)
    assert record is not None
    return record.generation


async def test_requests_that_wait_run_one_after_the_other_in_order(world: World) -> None:
    hang = world.faults.hang("helm.upgrade")
    first = await world.innkeeper.provision("in-order", tenant="t1", plan="starter", request_id="order-1")
    await hang.reached.wait()
    second = await world.innkeeper.stop("in-order", request_id="order-2", on_conflict="wait")
    stopping = world.faults.hang("in-order scale-down cluster.patch")
    hang.release()
    await stopping.reached.wait()
    third = await world.innkeeper.start("in-order", request_id="order-3", on_conflict="wait")
    stopping.release()
    results = [await handle.result() for handle in (first, second, third)]
    assert [result.outcome for result in results] == [Outcome.DONE] * 3
    assert [await generation(world, f"order-{number}") for number in (1, 2, 3)] == [1, 2, 3]
    assert results[0].steps[-1].at <= results[1].steps[0].at
    assert results[1].steps[-1].at <= results[2].steps[0].at
    assert (await world.row("in-order")).status is Status.RUNNING
    assert len({first.run_id, second.run_id, third.run_id}) == 3


async def test_a_request_that_waits_runs_after_a_failure_too(world: World) -> None:
    await world.provisioned("after-failure")
    hang = world.faults.hang("after-failure release helm.upgrade")
    world.faults.fail("after-failure release helm.upgrade", ReleaseFailed("chart says no"))
    first = await world.innkeeper.upgrade("after-failure", plan="crowded")
    await hang.reached.wait()
    second = await world.innkeeper.stop("after-failure", on_conflict="wait")
    hang.release()
    assert (await failed(first)).outcome is Outcome.UNDONE
    assert (await second.result()).status is Status.STOPPED
    row = await world.row("after-failure")
    assert (row.status, row.plan, row.upgrade_pending) == (Status.STOPPED, "starter", False)


async def test_a_replacing_request_makes_the_running_one_take_back_what_it_made(world: World) -> None:
    hang = world.faults.hang("helm.upgrade", when="after")
    first = await world.innkeeper.provision("replaced", tenant="t1", plan="starter")
    await hang.reached.wait()
    second = await world.innkeeper.uninstall("replaced", request_id="replaced-2")
    hang.release()
    ended = await failed(first)
    assert (ended.outcome, ended.cause and ended.cause.code) == (Outcome.CANCELLED, "Cancelled")
    assert StepState.UNDONE in {event.state for event in ended.steps}
    result = await second.result()
    assert (result.outcome, result.status) == (Outcome.DONE, Status.UNINSTALLED)
    assert ended.steps[-1].at <= result.steps[0].at
    assert "Deployment" not in await world.kinds("replaced")


async def test_a_replacing_request_answers_a_parked_undo(world: World) -> None:
    world.faults.fail("helm.upgrade", ReleaseFailed("chart says no"), when="after")
    world.faults.fail("undo-parked undo-release helm.uninstall", Forbidden("uninstall is forbidden"), times=1)
    with world.environment.with_time_skipping_disabled():
        first = await world.innkeeper.provision("undo-parked", tenant="t1", plan="starter")
        await Followed(world, first).question()
        second = await world.innkeeper.uninstall("undo-parked", request_id="undo-parked-2")
        ended = await failed(first)
        assert ended.outcome is Outcome.LEFT_BEHIND
        assert [(each.choice, each.operator) for each in ended.decisions] == [("abort", "replace")]
        # What was left behind is what the next one begins from.
        assert (await second.result()).status is Status.UNINSTALLED
    assert await world.storage("undo-parked") == []


async def test_after_a_replacing_request_no_undo_waits_for_an_operator(world: World) -> None:
    hang = world.faults.hang("helm.upgrade", when="after")
    world.faults.fail("undo-later undo-release helm.uninstall", Forbidden("uninstall is forbidden"), times=1)
    first = await world.innkeeper.provision("undo-later", tenant="t1", plan="starter")
    await hang.reached.wait()
    second = await world.innkeeper.uninstall("undo-later", request_id="undo-later-2")
    hang.release()
    ended = await failed(first)
    assert ended.outcome is Outcome.LEFT_BEHIND
    assert [(each.choice, each.operator, each.note) for each in ended.decisions] == [
        ("abort", "replace", "uninstall (request undo-later-2) comes next")
    ]
    assert (await second.result()).status is Status.UNINSTALLED


async def test_a_replacing_request_ends_the_question_of_a_parked_step(world: World) -> None:
    await world.provisioned("step-parked")
    with world.environment.with_time_skipping_disabled():
        first = await world.innkeeper.upgrade("step-parked", plan="careful")
        await Followed(world, first).question()
        second = await world.innkeeper.stop("step-parked", on_conflict="replace")
        ended = await failed(first)
        assert (await second.result()).status is Status.STOPPED
    assert ended.decisions == []
    assert (await world.row("step-parked")).plan == "starter"


async def test_a_replacing_request_comes_too_late_for_what_is_ready(world: World) -> None:
    hang = world.faults.hang("db.finish")
    first = await world.innkeeper.provision("too-late", tenant="t1", plan="starter")
    await hang.reached.wait()
    second = await world.innkeeper.uninstall("too-late")
    hang.release()
    assert (await first.result()).outcome is Outcome.DONE
    assert (await second.result()).status is Status.UNINSTALLED


async def test_what_asks_for_the_same_is_waited_for_and_not_replaced(world: World) -> None:
    await world.provisioned("same-kind")
    hang = world.faults.hang("same-kind scale-down cluster.patch")
    first = await world.innkeeper.stop("same-kind")
    await hang.reached.wait()
    second = await world.innkeeper.stop("same-kind", on_conflict="replace")
    hang.release()
    assert (await first.result()).outcome is Outcome.DONE
    assert (await second.result()).outcome is Outcome.DONE


async def test_a_displaced_request_is_refused_and_a_second_waiter_is_told_who_waits(world: World) -> None:
    await world.provisioned("one-place")
    hang = world.faults.hang("one-place scale-down cluster.patch")
    first = await world.innkeeper.stop("one-place")
    await hang.reached.wait()
    waits = await world.innkeeper.restart("one-place", request_id="place-2", on_conflict="wait")
    again = await world.innkeeper.restart("one-place", request_id="place-2", on_conflict="wait")
    with pytest.raises(Busy, match=r"one-place: restart waits already \(request place-2\)"):
        await world.innkeeper.start("one-place", on_conflict="wait")
    winner = await world.innkeeper.uninstall("one-place", request_id="place-3")
    for handle in (waits, again):
        with pytest.raises(Refused, match=r"lost its place to uninstall \(request place-3\)") as told:
            await handle.result()
        assert told.value.cause.code == "Displaced"
    hang.release()
    assert (await winner.result()).status is Status.UNINSTALLED
    assert (await failed(first)).outcome is Outcome.CANCELLED
    assert await world.database.operation("place-2") is None


async def test_a_request_that_waits_has_no_steps_yet_and_cannot_be_cancelled(world: World) -> None:
    await world.provisioned("no-run-yet")
    hang = world.faults.hang("no-run-yet scale-down cluster.patch")
    stop = await world.innkeeper.stop("no-run-yet")
    await hang.reached.wait()
    waits = await world.innkeeper.start("no-run-yet", request_id="no-run-1", on_conflict="wait")
    assert await waits.events() == []
    with pytest.raises(BadInput, match="'no-run-1' waits for its turn: there is nothing to cancel yet") as told:
        await waits.cancel()
    assert told.value.cause.code == "Waiting"
    hang.release()
    assert (await waits.result()).status is Status.RUNNING
    assert [event.step for event in await waits.events()][:1] == ["claim"]
    # What has ended is changed by no cancellation.
    await stop.cancel()
    assert (await stop.result()).outcome is Outcome.DONE


async def test_a_waiting_request_asked_again_is_one_operation(world: World) -> None:
    await world.provisioned("asked-again")
    hang = world.faults.hang("asked-again scale-down cluster.patch")
    await world.innkeeper.stop("asked-again")
    await hang.reached.wait()
    handles = await asyncio.gather(
        *(world.innkeeper.start("asked-again", request_id="again-2", on_conflict="wait") for _ in range(5))
    )
    hang.release()
    results = await asyncio.gather(*(handle.result() for handle in handles))
    late = await world.innkeeper.start("asked-again", request_id="again-2", on_conflict="wait")
    assert [await late.result()] * 5 == results
    assert await generation(world, "again-2") == 3
    assert (await world.row("asked-again")).generation == 3


async def test_a_request_whose_predecessor_was_terminated_runs_when_it_is_asked_again(world: World) -> None:
    await world.provisioned("lost")
    hang = world.faults.hang("lost scale-down cluster.patch")
    first = await world.innkeeper.stop("lost")
    await hang.reached.wait()
    second = await world.innkeeper.start("lost", request_id="lost-2", on_conflict="wait")
    await world.client.get_workflow_handle("instance/lost", run_id=first.run_id).terminate()
    hang.release()
    with pytest.raises(Refused, match="ask again with the same request id") as told:
        await second.result()
    assert told.value.cause.code == "HandoverLost"
    again = await world.innkeeper.start("lost", request_id="lost-2", on_conflict="wait")
    assert (await again.result()).status is Status.RUNNING


async def test_a_storm_of_waiting_and_replacing_requests_ends_with_a_name_for_each(world: World) -> None:
    await world.provisioned("storm")
    ways = ("reject", "wait", "replace")
    kinds = ("stop", "start", "restart", "upgrade")
    asked = await asyncio.gather(
        *(
            getattr(world.innkeeper, kinds[number % 4])(
                "storm", request_id=f"storm-{number}", on_conflict=ways[number % 3]
            )
            for number in range(24)
        ),
        return_exceptions=True,
    )
    assert {type(answer) for answer in asked} <= {OperationHandle, Busy}
    ends = await asyncio.gather(
        *(answer.result() for answer in asked if isinstance(answer, OperationHandle)), return_exceptions=True
    )
    unnamed = [end for end in ends if isinstance(end, BaseException) and not isinstance(end, Refused | OperationFailed)]
    assert unnamed == []
    row = await world.row("storm")
    assert row.status.settled
    numbers = [each.generation for each in (await world.innkeeper.operations("storm", limit=50)).items]
    assert sorted(numbers) == list(range(1, row.generation + 1))
