"""An operator sees everything that waits for a person, and is told clearly what an answer did or why it did nothing."""

from __future__ import annotations

import asyncio

import pytest
from listing import listed as listed_by_temporal
from temporalio.client import Client

from innkeeper.client import (
    BadInput,
    Choice,
    Innkeeper,
    OperationFailed,
    OperationHandle,
    Outcome,
    Parked,
    Question,
)
from innkeeper.model.instance import Kind
from innkeeper.model.messages import HANDOVER_WORKFLOW, TASK_QUEUE, Request

from .conftest import worker_on
from .test_delivery import go


async def asked(handle: OperationHandle) -> Question:
    """What the operation is parked with, once it is."""
    async with asyncio.timeout(60):
        while (question := (await handle.describe()).question) is None:
            await asyncio.sleep(0.02)
    return question


async def listed(innkeeper: Innkeeper, *names: str, asking: bool = False) -> list[Parked]:
    """The entries of these instances, once all are listed, and with what they ask where a worker can tell it."""
    async with asyncio.timeout(60):
        while True:
            found = [each for each in await innkeeper.attention() if each.instance in names]
            told = not asking or all(each.question is not None for each in found)
            if told and {each.instance for each in found} == set(names):
                return found
            await asyncio.sleep(0.05)


async def test_attention_lists_what_is_parked_over_all_instances(innkeeper: Innkeeper) -> None:
    step = await innkeeper.upgrade("listed-one", tenant="t1", request_id="listed-1", asked_by="parked")
    await asked(step)
    undo = await innkeeper.provision("listed-two", tenant="t2", plan="starter", request_id="listed-2", asked_by="stuck")
    await asked(undo)
    first, second = await listed(innkeeper, "listed-one", "listed-two", asking=True)
    assert (first.kind, first.tenant, first.request_id, first.run_id) == ("upgrade", "t1", "listed-1", step.run_id)
    assert first.question == await asked(step)
    assert first.question is not None
    assert (first.since, first.question.id, first.problem) == (first.question.asked_at, "release-1", "")
    assert second.question is not None
    assert (second.question.id, second.question.headline) == ("undo-release-1", "the undo of release keeps failing")
    await innkeeper.decide("listed-one", Choice.RETRY, operator="ann")
    assert (await step.result()).outcome is Outcome.DONE
    await innkeeper.decide("listed-two", "skip", operator="ann")
    with pytest.raises(OperationFailed):
        await undo.result()
    async with asyncio.timeout(60):
        while [each for each in await innkeeper.attention() if each.instance.startswith("listed-")]:
            await asyncio.sleep(0.05)


async def test_attention_lists_what_is_parked_although_no_worker_answers(client: Client) -> None:
    innkeeper = Innkeeper(client, task_queue="gone-soon")
    async with worker_on(client, "gone-soon"):
        handle = await innkeeper.upgrade("unattended-question", asked_by="parked")
        await asked(handle)
    [entry] = await listed(innkeeper, "unattended-question")
    assert (entry.question, entry.problem, entry.run_id) == (None, "", handle.run_id)
    described = await handle.describe()
    assert (described.question, described.now) == (None, "a worker")
    await client.get_workflow_handle("instance/unattended-question").terminate()


async def test_attention_lists_what_a_defect_holds_up(innkeeper: Innkeeper, client: Client) -> None:
    handle = await innkeeper.upgrade("defective", tenant="t1", asked_by="broken")
    [entry] = await listed(innkeeper, "defective")
    assert entry.question is None
    assert entry.problem == "WorkflowTaskFailed, WorkflowTaskFailedCauseWorkflowWorkerUnhandledFailure"
    assert (entry.kind, entry.tenant, entry.run_id) == ("upgrade", "t1", handle.run_id)
    await go(client, handle)
    assert (await handle.result()).outcome is Outcome.DONE


async def test_attention_lists_a_hand_over_that_a_defect_holds_up(innkeeper: Innkeeper, client: Client) -> None:
    request = Request.of(Kind.STOP, "defective-turn", tenant="t1", request_id="defective-2")
    run = await client.start_workflow(
        HANDOVER_WORKFLOW,
        "from another version",
        id="handover/defective-2",
        task_queue=TASK_QUEUE,
        memo={"request": request},
    )
    [entry] = await listed(innkeeper, "defective-turn")
    assert (entry.kind, entry.tenant, entry.request_id, entry.question) == ("handover", "t1", "defective-2", None)
    assert entry.problem.startswith("WorkflowTaskFailed")
    await run.terminate()


async def test_attention_leaves_out_what_was_answered_since_it_was_listed(innkeeper: Innkeeper, client: Client) -> None:
    handle = await innkeeper.upgrade("answered-since", asked_by="answered")
    await listed_by_temporal(client, f"InnkeeperParked = true AND RunId = '{handle.run_id}'")
    async with asyncio.timeout(60):
        # It stays so marked; where the worker was busy for two seconds, nobody could tell that it asks nothing.
        while [each for each in await innkeeper.attention() if each.instance == "answered-since"]:
            await asyncio.sleep(0.05)
    await go(client, handle)
    await handle.result()


@pytest.mark.parametrize("choice", ["retry", "abort"])
async def test_a_decision_on_a_step_is_taken_and_kept(innkeeper: Innkeeper, choice: str) -> None:
    name = f"step-{choice}"
    handle = await innkeeper.upgrade(name, asked_by="parked")
    question = await asked(handle)
    decided = await innkeeper.decide(name, choice, operator="ann", note="a new image", question=question.id)
    assert (decided.question, decided.choice, decided.operator, decided.note) == (
        "release-1",
        Choice(choice),
        "ann",
        "a new image",
    )
    if choice == "retry":
        assert (await handle.result()).decisions == [decided]
    else:
        with pytest.raises(OperationFailed):
            await handle.result()


async def test_a_decision_that_answers_nothing_is_refused_with_what_is_asked(innkeeper: Innkeeper) -> None:
    handle = await innkeeper.upgrade("refused-decision", asked_by="parked")
    await asked(handle)
    with pytest.raises(BadInput, match="choice: 'skip' is no answer to release-1") as caught:
        await innkeeper.decide("refused-decision", "skip", operator="ann")
    assert caught.value.cause.fix == "use one of: retry, abort"
    assert caught.value.field == "choice"
    with pytest.raises(BadInput, match="question: 'ready-9' is not what is asked now, which is release-1"):
        await innkeeper.decide("refused-decision", "retry", operator="ann", question="ready-9")
    with pytest.raises(BadInput, match="choice: 'maybe' is no decision"):
        await innkeeper.decide("refused-decision", "maybe", operator="ann")
    with pytest.raises(BadInput, match="operator: '' is not usable"):
        await innkeeper.decide("refused-decision", "retry", operator="")
    with pytest.raises(BadInput, match=r"note: 'x+\.\.\. is not usable"):
        await innkeeper.decide("refused-decision", "retry", operator="ann", note="x" * 1001)
    await innkeeper.decide("refused-decision", "retry", operator="ann")
    await handle.result()


async def test_a_decision_is_refused_where_nothing_is_asked(innkeeper: Innkeeper, client: Client) -> None:
    with pytest.raises(BadInput, match="'never-there' has no running operation: there is nothing to decide"):
        await innkeeper.decide("never-there", "retry", operator="ann")
    handle = await innkeeper.upgrade("not-parked", asked_by="held")
    with pytest.raises(BadInput, match="the operation is not parked"):
        await innkeeper.decide("not-parked", "retry", operator="ann")
    await go(client, handle)
    await handle.result()
    with pytest.raises(BadInput, match="has no running operation") as caught:
        await innkeeper.decide("not-parked", "retry", operator="ann")
    assert caught.value.cause.code == "NothingRuns"
