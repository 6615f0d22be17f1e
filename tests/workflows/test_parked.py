"""A parked operation is found, asks, takes each answer, and refuses what answers nothing."""

from __future__ import annotations

import asyncio

import pytest
from following import Followed, failed

from innkeeper.client import OperationHandle, Parked
from innkeeper.client.runs import PARKED
from innkeeper.model.errors import BadInput, Forbidden, ReleaseFailed
from innkeeper.model.instance import Status
from innkeeper.model.messages import Choice, OperationResult, Outcome, Question, StepState
from innkeeper.model.names import workflow_id_of

from .conftest import World


async def stuck_undo(world: World, name: str, *, times: int | None) -> tuple[OperationHandle, Question]:
    """A provision whose undo of the release is forbidden so many times."""
    world.faults.fail(f"{name} release helm.upgrade", ReleaseFailed("chart says no"), when="after")
    world.faults.fail(f"{name} undo-release helm.uninstall", Forbidden("uninstall is forbidden"), times=times)
    with world.environment.with_time_skipping_disabled():
        handle = await world.innkeeper.provision(name, tenant="t1", plan="starter")
    return handle, await Followed(world, handle).question()


async def stuck_step(world: World, name: str) -> tuple[OperationHandle, Question]:
    """An upgrade that asks before it is taken back."""
    await world.provisioned(name)
    with world.environment.with_time_skipping_disabled():
        handle = await world.innkeeper.upgrade(name, plan="careful")
    return handle, await Followed(world, handle).question()


async def entries(world: World, *names: str) -> list[Parked]:
    """The entries of these instances, once all are listed with what they ask."""
    async with asyncio.timeout(60):
        while True:
            found = [each for each in await world.innkeeper.attention() if each.instance in names]
            if len(found) == len(names) and all(each.question is not None for each in found):
                return found
            await asyncio.sleep(0.05)


async def described(handle: OperationHandle) -> Question:
    """What a description says that it asks, once it does: nothing where the worker was busy for two seconds."""
    async with asyncio.timeout(60):
        while (question := (await handle.describe()).question) is None:
            await asyncio.sleep(0.05)
    return question


async def no_entry(world: World, name: str) -> None:
    async with asyncio.timeout(60):
        while any(each.instance == name for each in await world.innkeeper.attention()):
            await asyncio.sleep(0.05)


async def marked(world: World, name: str, *, parked: bool) -> None:
    """Wait until the search attribute says so, which is what an operator's own lists filter by."""
    run = world.client.get_workflow_handle(workflow_id_of(name))
    async with asyncio.timeout(60):
        while (await run.describe()).typed_search_attributes.get(PARKED) is not parked:
            await asyncio.sleep(0.05)


def said(result: OperationResult) -> list[str]:
    """What an operation's decisions read like among its steps."""
    return [event.detail for event in result.steps if event.state is StepState.DECIDED]


async def test_attention_names_every_parked_instance_until_it_is_answered(world: World) -> None:
    undo, undo_question = await stuck_undo(world, "seen-undo", times=1)
    step, step_question = await stuck_step(world, "seen-step")
    first, second = await entries(world, "seen-undo", "seen-step")
    assert (first.instance, first.kind, first.tenant, first.run_id) == ("seen-undo", "provision", "t1", undo.run_id)
    assert (first.question, second.question) == (undo_question, step_question)
    assert (second.kind, second.since) == ("upgrade", step_question.asked_at)
    # The request named none: the operation knows whose the instance is.
    assert second.tenant == "t1"
    assert (await world.innkeeper.parked_runs()).items() >= {("seen-undo", undo.run_id), ("seen-step", step.run_id)}
    assert await described(step) == step_question
    await world.innkeeper.decide("seen-undo", "retry", operator="ann")
    await failed(undo)
    await entries(world, "seen-step")
    await world.innkeeper.decide("seen-step", "abort", operator="ann")
    await failed(step)
    await entries(world)


async def test_an_undo_is_tried_again_when_an_operator_says_so(world: World) -> None:
    handle, question = await stuck_undo(world, "undo-retry", times=1)
    assert (question.id, question.undo) == ("undo-release-1", True)
    assert question.choices == [Choice.RETRY, Choice.SKIP, Choice.ABORT]
    decided = await world.innkeeper.decide("undo-retry", "retry", operator="ann", note="mended", question=question.id)
    result = await failed(handle)
    assert (result.outcome, result.decisions) == (Outcome.UNDONE, [decided])
    assert said(result) == ["retry by ann: mended"]
    record = await world.innkeeper.operation(result.request_id)
    assert record is not None
    assert [(each.operator, each.note) for each in record.decisions] == [("ann", "mended")]
    assert await world.storage("undo-retry") == []


@pytest.mark.parametrize("choice", ["skip", "abort"])
async def test_an_undo_that_is_given_up_is_left_behind_and_named(world: World, choice: str) -> None:
    name = f"undo-{choice}"
    handle, _ = await stuck_undo(world, name, times=None)
    await world.innkeeper.decide(name, choice, operator="ann")
    result = await failed(handle)
    assert result.outcome is Outcome.LEFT_BEHIND
    assert result.cause is not None
    assert "release: uninstall is forbidden" in result.cause.message
    assert ("prepare: not undone, as was decided" in result.cause.message) is (choice == "abort")
    assert (await world.row(name)).status is Status.ERROR


async def test_a_step_is_tried_again_when_an_operator_says_so(world: World) -> None:
    await world.provisioned("step-retry")
    world.faults.fail("step-retry release helm.upgrade", ReleaseFailed("chart says no"))
    with world.environment.with_time_skipping_disabled():
        handle = await world.innkeeper.upgrade("step-retry", plan="patient")
        question = await Followed(world, handle).question()
        assert (question.id, question.undo) == ("release-1", False)
        assert question.choices == [Choice.RETRY, Choice.ABORT]
        await marked(world, "step-retry", parked=True)
        hang = world.faults.hang("step-retry release helm.upgrade")
        await world.innkeeper.decide("step-retry", "retry", operator="ann")
        await hang.reached.wait()
        await marked(world, "step-retry", parked=False)
        await no_entry(world, "step-retry")
        hang.release()
        result = await handle.result()
    assert (result.outcome, len(result.decisions)) == (Outcome.DONE, 1)
    assert said(result) == ["retry by ann"]
    assert (await world.row("step-retry")).plan == "patient"


async def test_a_step_that_is_given_up_is_taken_back(world: World) -> None:
    handle, _ = await stuck_step(world, "step-abort")
    await world.innkeeper.decide("step-abort", "abort", operator="ann")
    result = await failed(handle)
    assert (result.outcome, result.status) == (Outcome.UNDONE, Status.RUNNING)
    assert (await world.row("step-abort")).plan == "starter"


async def test_a_decision_that_answers_nothing_is_refused_and_changes_nothing(world: World) -> None:
    handle, question = await stuck_step(world, "refused")
    for told, words, fix in (
        ({"choice": "skip"}, f"choice: 'skip' is no answer to {question.id}.", "use one of: retry, abort"),
        (
            {"choice": "retry", "question": "release-7"},
            f"question: 'release-7' is not what is asked now, which is {question.id}.",
            "read it first",
        ),
    ):
        with pytest.raises(BadInput) as refused:
            await world.innkeeper.decide("refused", operator="ann", **told)
        assert (refused.value.cause.message, refused.value.cause.fix) == (words, fix)
    assert await described(handle) == question
    await world.innkeeper.decide("refused", "abort", operator="ann")
    await failed(handle)
    with pytest.raises(BadInput, match="has no running operation"):
        await world.innkeeper.decide("refused", "abort", operator="ann")


async def test_an_operation_that_is_not_parked_takes_no_decision(world: World) -> None:
    hang = world.faults.hang("helm.upgrade")
    handle = await world.innkeeper.provision("not-parked", tenant="t1", plan="starter")
    await hang.reached.wait()
    with pytest.raises(BadInput) as refused:
        await world.innkeeper.decide("not-parked", "retry", operator="ann")
    assert refused.value.cause.message == "decision: 'retry' answers nothing: the operation is not parked."
    assert refused.value.cause.fix == "see what runs"
    hang.release()
    assert (await handle.result()).outcome is Outcome.DONE


async def test_two_operators_at_once_are_one_decision_and_one_answer(world: World) -> None:
    handle, question = await stuck_undo(world, "two-operators", times=None)
    told = await asyncio.gather(
        *(
            world.innkeeper.decide("two-operators", "abort", operator=who, question=question.id)
            for who in ("ann", "bob")
        ),
        return_exceptions=True,
    )
    assert sorted(type(each).__name__ for each in told) == ["BadInput", "Decided"]
    assert len((await failed(handle)).decisions) == 1
