"""A handle says how its own operation goes and ends, whatever happens around it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from listing import listed
from proxy import Proxy
from temporalio.client import Client, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RetryConfig

from innkeeper.client import (
    BadInput,
    Innkeeper,
    OperationFailed,
    OperationHandle,
    Outcome,
    Refused,
    StepEvent,
    StepState,
    Unreachable,
)
from innkeeper.model.messages import OperationResult, Progress

from .conftest import worker_on
from .scripted import STEPS
from .test_delivery import run_of

ALL_STEPS = [(step, state) for step in STEPS for state in (StepState.STARTED, StepState.DONE)]


def workflow_of(client: Client, handle: OperationHandle) -> WorkflowHandle[object, object]:
    return client.get_workflow_handle(f"instance/{handle.instance}", run_id=handle.run_id)


async def until_step(client: Client, handle: OperationHandle, step: str) -> None:
    """Wait until the operation is in this step."""
    async with asyncio.timeout(60):
        while True:
            told = await workflow_of(client, handle).query("progress", result_type=Progress)
            if told.events and told.events[-1].step == step:
                return
            await asyncio.sleep(0.02)


async def collected(handle: OperationHandle) -> list[StepEvent]:
    return [event async for event in handle.progress()]


def told(events: list[StepEvent]) -> list[tuple[str, StepState]]:
    return [(event.step, event.state) for event in events]


async def test_a_result_is_the_operations_end(innkeeper: Innkeeper) -> None:
    result = await (await innkeeper.provision("ends", tenant="t1", plan="starter", request_id="ends-1")).result()
    assert isinstance(result, OperationResult)
    assert (result.request_id, result.instance, result.outcome) == ("ends-1", "ends", Outcome.DONE)


async def test_a_failure_carries_its_cause_and_what_is_left(innkeeper: Innkeeper) -> None:
    handle = await innkeeper.provision("fails", tenant="t1", plan="starter", asked_by="failed")
    with pytest.raises(OperationFailed, match=r"cannot be pulled \(Pod inn-acme/web-0\) Fix: mend it") as caught:
        await handle.result()
    assert caught.value.cause.code == "ImagePull"
    assert caught.value.result is not None
    assert caught.value.result.outcome is Outcome.UNDONE


async def test_a_refusal_is_told_apart_from_a_failure(innkeeper: Innkeeper) -> None:
    handle = await innkeeper.stop("refuses", asked_by="refused")
    with pytest.raises(Refused, match="is taken") as caught:
        await handle.result()
    assert caught.value.cause.code == "DuplicateName"
    assert await collected(handle) == []
    described = await handle.describe()
    assert (described.outcome, described.cause) == (Outcome.UNDONE, caught.value.cause)


@pytest.mark.parametrize(
    ("script", "code"), [("silent", "Unexpected"), ("garbled", "Unexpected"), ("terminated", "Terminated")]
)
async def test_an_abnormal_end_is_named(innkeeper: Innkeeper, client: Client, script: str, code: str) -> None:
    handle = await innkeeper.stop(f"abnormal-{script}", asked_by="held" if script == "terminated" else script)
    if script == "terminated":
        await workflow_of(client, handle).terminate("by hand")
    with pytest.raises(OperationFailed, match=f"the operation on abnormal-{script} ended abnormally") as caught:
        await handle.result()
    assert caught.value.cause.code == code
    assert caught.value.result is None
    assert caught.value.cause.fix
    assert (await handle.describe()).outcome is Outcome.LEFT_BEHIND


async def test_progress_tells_each_event_once_in_order_while_it_happens(innkeeper: Innkeeper, client: Client) -> None:
    handle = await innkeeper.provision("follows", tenant="t1", plan="starter", asked_by="held")
    seen: list[StepEvent] = []
    async with asyncio.timeout(60):
        async for event in handle.progress():
            seen.append(event)
            if (event.step, event.state) == ("release", StepState.STARTED):
                assert told(seen) == ALL_STEPS[:5]
                await workflow_of(client, handle).signal("go")
    assert told(seen) == ALL_STEPS
    assert (await handle.result()).steps == seen


async def test_progress_of_an_ended_operation_is_the_same_story(innkeeper: Innkeeper) -> None:
    done = await innkeeper.restart("story")
    await done.result()
    assert told(await collected(done)) == ALL_STEPS
    failed = await innkeeper.restart("story", asked_by="failed")
    assert told(await collected(failed))[-2:] == [("ready", StepState.FAILED), ("ready", StepState.UNDONE)]


async def test_progress_needs_no_worker_once_the_operation_has_ended(client: Client) -> None:
    innkeeper = Innkeeper(client, task_queue="for-a-while")
    async with worker_on(client, "for-a-while"):
        handle = await innkeeper.restart("workerless-end")
        await handle.result()
    assert told(await collected(handle)) == ALL_STEPS


async def test_progress_waits_for_a_worker(client: Client) -> None:
    innkeeper = Innkeeper(client, task_queue="late-worker")
    handle = await innkeeper.restart("late")
    following = asyncio.create_task(collected(handle))
    described = await handle.describe()
    assert (described.outcome, described.now) == (Outcome.RUNNING, "a worker")
    async with worker_on(client, "late-worker"):
        assert told(await following) == ALL_STEPS


async def test_progress_names_a_worker_that_never_comes(client: Client) -> None:
    asked = await Innkeeper(client, task_queue="no-worker").restart("nobody")
    handle = OperationHandle(client, asked.instance, asked.run_id, patience=timedelta(seconds=1))
    with pytest.raises(Unreachable, match="no worker has answered for nobody for 1 seconds"):
        await collected(handle)
    await workflow_of(client, handle).terminate()


async def test_events_are_told_as_they_stand(innkeeper: Innkeeper, client: Client) -> None:
    handle = await innkeeper.restart("stands", asked_by="held")
    await until_step(client, handle, "release")
    assert told(await handle.events()) == ALL_STEPS[:5]
    await workflow_of(client, handle).signal("go")
    await handle.result()
    assert told(await handle.events()) == ALL_STEPS


async def test_events_without_a_worker_say_that_one_is_missing(client: Client) -> None:
    handle = await Innkeeper(client, task_queue="still-no-worker").restart("unattended")
    with pytest.raises(Unreachable, match="no worker answers for unattended") as caught:
        await handle.events()
    assert "innkeeper worker" in caught.value.cause.fix
    await workflow_of(client, handle).terminate()


async def test_the_latest_operation_is_the_running_one_or_the_last(innkeeper: Innkeeper, client: Client) -> None:
    assert await innkeeper.latest("never-asked") is None
    await (await innkeeper.stop("latest")).result()
    handle = await innkeeper.restart("latest")
    await handle.result()
    latest = await innkeeper.latest(" Latest ")
    assert latest is not None
    assert latest.run_id == handle.run_id


async def test_leaving_progress_early_leaves_nothing_behind(innkeeper: Innkeeper, client: Client) -> None:
    handle = await innkeeper.restart("leaves", asked_by="held")
    events = handle.progress()
    await anext(events)
    await events.aclose()
    assert [task for task in asyncio.all_tasks() if "OperationHandle" in repr(task.get_coro())] == []
    await workflow_of(client, handle).signal("go")
    await handle.result()


async def test_a_cancelled_operation_says_so_in_its_result(innkeeper: Innkeeper, client: Client) -> None:
    handle = await innkeeper.provision("cancels", tenant="t1", plan="starter", asked_by="held")
    await until_step(client, handle, "release")
    await handle.cancel()
    with pytest.raises(OperationFailed) as caught:
        await handle.result()
    assert caught.value.result is not None
    assert caught.value.result.outcome is Outcome.CANCELLED
    assert (await handle.describe()).outcome is Outcome.CANCELLED


async def test_cancelling_an_ended_operation_changes_nothing(innkeeper: Innkeeper) -> None:
    handle = await innkeeper.stop("ended")
    await handle.result()
    await handle.cancel()
    assert (await handle.result()).outcome is Outcome.DONE


async def test_a_handle_keeps_to_its_run(innkeeper: Innkeeper, client: Client) -> None:
    first = await innkeeper.stop("pinned", request_id="pinned-1")
    await first.result()
    second = await innkeeper.start("pinned", request_id="pinned-2", asked_by="held")
    assert (await first.result()).request_id == "pinned-1"
    await first.cancel()
    assert (await second.describe()).outcome is Outcome.RUNNING
    await workflow_of(client, second).signal("go")
    assert (await second.result()).request_id == "pinned-2"


async def test_a_description_says_what_stands_and_what_is_waited_for(innkeeper: Innkeeper, client: Client) -> None:
    handle = await innkeeper.provision(
        "described", tenant="t1", plan="starter", request_id="described-1", asked_by="held"
    )
    await until_step(client, handle, "release")
    async with asyncio.timeout(60):
        # That is what it waits for while none has answered within two seconds.
        while (running := await handle.describe()).now == "a worker":
            await asyncio.sleep(0.02)
    assert running.model_dump(include={"request_id", "kind", "instance", "tenant", "run_id", "asked_by", "now"}) == {
        "request_id": "described-1",
        "kind": "provision",
        "instance": "described",
        "tenant": "t1",
        "run_id": handle.run_id,
        "asked_by": "held",
        "now": "the signal go",
    }
    assert (running.outcome, running.ended_at) == (Outcome.RUNNING, None)
    await workflow_of(client, handle).signal("go")
    await handle.result()
    ended = await handle.describe()
    assert (ended.outcome, ended.now) == (Outcome.DONE, "")
    assert ended.ended_at is not None
    assert ended.started_at is not None
    assert ended.ended_at > ended.started_at


@pytest.mark.parametrize("run_id", ["0197c9a5-0000-7000-8000-000000000000", "no-run"])
async def test_a_run_that_temporal_does_not_know_is_named(innkeeper: Innkeeper, run_id: str) -> None:
    handle = innkeeper.handle_for("acme", run_id)
    for ask in (handle.result, handle.cancel, handle.describe):
        with pytest.raises(BadInput, match="is no run of acme that Temporal still knows"):
            await ask()
    with pytest.raises(BadInput, match="is no run of acme"):
        await collected(handle)


async def test_a_request_that_temporal_does_not_know_is_named(innkeeper: Innkeeper) -> None:
    with pytest.raises(BadInput, match="request_id: 'nobody-asked' names no operation") as caught:
        await innkeeper.handle("nobody-asked")
    assert caught.value.cause.code == "UnknownRequest"


async def test_a_request_id_names_the_run_that_did_something(innkeeper: Innkeeper, client: Client) -> None:
    await _ends(await innkeeper.stop("named", request_id="named-1", asked_by="refused"))
    failed = await innkeeper.stop("named", request_id="named-1", asked_by="failed")
    await _ends(failed)
    await _ends(await innkeeper.start("named", request_id="named-1", asked_by="refused"))
    await listed(client, "InnkeeperRequest = 'named-1' AND ExecutionStatus = 'Failed'", runs=3)
    assert (await innkeeper.handle("named-1")).run_id == failed.run_id
    done = await innkeeper.stop("named", request_id="named-1")
    await done.result()
    async with asyncio.timeout(60):
        while (await innkeeper.handle("named-1")).run_id != done.run_id:
            await asyncio.sleep(0.02)


async def _ends(handle: OperationHandle) -> None:
    with pytest.raises((Refused, OperationFailed)):
        await handle.result()


async def test_result_and_progress_outlast_an_outage_of_temporal(
    proxy: Proxy, client: Client, innkeeper: Innkeeper
) -> None:
    through = await Innkeeper.connect(proxy.address)
    handle = await through.restart("outage", asked_by="held")
    await until_step(client, handle, "release")
    waiting = asyncio.create_task(handle.result())
    following = asyncio.create_task(collected(handle))
    await asyncio.sleep(0.5)
    await proxy.refuse()
    await workflow_of(client, handle).signal("go")
    await asyncio.sleep(3)
    assert not waiting.done()
    await proxy.accept()
    async with asyncio.timeout(60):
        assert (await waiting).outcome is Outcome.DONE
        assert told(await following) == ALL_STEPS


async def test_an_outage_longer_than_the_patience_is_named(proxy: Proxy, client: Client, innkeeper: Innkeeper) -> None:
    impatient = RetryConfig(max_elapsed_time_millis=1000)
    through = await Client.connect(proxy.address, data_converter=pydantic_data_converter, retry_config=impatient)
    asked = await Innkeeper(through).restart("long-outage", asked_by="held")
    await proxy.refuse()
    handle = OperationHandle(through, asked.instance, asked.run_id, patience=timedelta(seconds=0.5))
    async with asyncio.timeout(90):
        with pytest.raises(Unreachable, match=f"Temporal at {proxy.address} does not answer") as caught:
            await handle.result()
        with pytest.raises(Unreachable, match=f"Temporal at {proxy.address} does not answer"):
            await collected(handle)
    assert "TEMPORAL_ADDRESS" in caught.value.cause.fix
    await workflow_of(client, asked).signal("go")
    assert (await innkeeper.handle_for(asked.instance, run_of(asked)).result()).outcome is Outcome.DONE
