"""A request that meets another operation waits for its turn, replaces what runs, or is told that it cannot."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from proxy import Proxy
from temporalio.client import (
    Client,
    Interceptor,
    OutboundInterceptor,
    StartWorkflowUpdateInput,
    WorkflowUpdateFailedError,
    WorkflowUpdateHandle,
)
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ApplicationError
from temporalio.service import RetryConfig, RPCError, RPCStatusCode

from innkeeper.client import (
    Answer,
    BadInput,
    Busy,
    Innkeeper,
    OperationFailed,
    OperationHandle,
    Outcome,
    Refused,
    Unreachable,
    updates,
)
from innkeeper.client.desk import TemporalDesk
from innkeeper.client.waiting import Turn
from innkeeper.model.errors import Pending
from innkeeper.model.instance import Kind
from innkeeper.model.messages import HANDOVER_WORKFLOW, TASK_QUEUE, HandOver, Request

from .test_delivery import go, seen
from .test_handle import ALL_STEPS, collected, told


async def held(innkeeper: Innkeeper, name: str) -> OperationHandle:
    """An upgrade that runs until it is told to go on."""
    return await innkeeper.upgrade(name, request_id=f"{name}-runs", asked_by="held")


async def test_a_request_that_waits_runs_when_the_other_has_ended(innkeeper: Innkeeper, client: Client) -> None:
    first = await held(innkeeper, "waits")
    second = await innkeeper.stop("waits", request_id="waits-2", on_conflict="wait", asked_by="ann")
    assert repr(second) == "OperationHandle(instance='waits', run_id=None, waiting='waits-2')"
    waiting = asyncio.create_task(second.result())
    following = asyncio.create_task(collected(second))
    await asyncio.sleep(0.5)
    assert not waiting.done()
    assert await second.events() == []
    await go(client, first)
    result = await waiting
    assert (result.request_id, result.outcome) == ("waits-2", Outcome.DONE)
    assert told(await following) == ALL_STEPS
    assert (await first.result()).steps[-1].at <= result.steps[0].at
    assert second.run_id is not None
    assert (await second.describe()).asked_by == "ann"


async def test_a_description_says_what_a_request_waits_for(innkeeper: Innkeeper, client: Client) -> None:
    first = await held(innkeeper, "described-turn")
    second = await innkeeper.stop("described-turn", tenant="t1", request_id="turn-2", on_conflict="wait")
    described = await second.describe()
    assert (described.request_id, described.kind, described.tenant) == ("turn-2", "stop", "t1")
    assert (described.outcome, described.run_id, described.started_at) == (Outcome.RUNNING, None, None)
    assert described.now == "upgrade described-turn (request described-turn-runs) to end"
    with pytest.raises(BadInput, match="'turn-2' waits for its turn: there is nothing to cancel yet") as caught:
        await second.cancel()
    assert caught.value.cause.code == "Waiting"
    await go(client, first)
    await second.result()
    assert (await second.describe()).outcome is Outcome.DONE


async def test_a_request_that_waits_behind_a_parked_operation_is_told_so(innkeeper: Innkeeper, client: Client) -> None:
    await innkeeper.upgrade("behind-parked", request_id="parked-1", asked_by="parked")
    second = await innkeeper.stop("behind-parked", on_conflict="wait")
    async with asyncio.timeout(60):
        while "which is parked" not in (await second.describe()).now:
            await asyncio.sleep(0.02)
    await innkeeper.decide("behind-parked", "retry", operator="ann")
    assert (await second.result()).outcome is Outcome.DONE


async def test_a_second_request_that_would_wait_is_told_who_waits(innkeeper: Innkeeper, client: Client) -> None:
    first = await held(innkeeper, "one-place")
    second = await innkeeper.stop("one-place", request_id="place-2", on_conflict="wait")
    with pytest.raises(Busy, match=r"one-place: stop waits already \(request place-2\)"):
        await innkeeper.start("one-place", on_conflict="wait")
    await go(client, first)
    await second.result()


async def test_a_replacing_request_cancels_what_runs_and_then_runs(innkeeper: Innkeeper) -> None:
    first = await held(innkeeper, "replaced")
    second = await innkeeper.uninstall("replaced", request_id="replaced-2")
    assert (await second.result()).outcome is Outcome.DONE
    with pytest.raises(OperationFailed) as caught:
        await first.result()
    assert caught.value.result is not None
    assert caught.value.result.outcome is Outcome.CANCELLED


async def test_who_loses_the_place_is_told_at_once(innkeeper: Innkeeper, client: Client) -> None:
    first = await innkeeper.upgrade("displaced", asked_by="parked")
    loser = await innkeeper.stop("displaced", request_id="loser", on_conflict="wait")
    waiting = asyncio.create_task(loser.result())
    # Of the same kind as what runs, it waits: the loser hears although nothing has ended.
    winner = await innkeeper.upgrade("displaced", request_id="winner", on_conflict="replace")
    async with asyncio.timeout(60):
        with pytest.raises(Refused, match=r"stop displaced lost its place to upgrade \(request winner\)") as caught:
            await waiting
    assert caught.value.cause.code == "Displaced"
    assert await loser.events() == []
    await loser.cancel()
    described = await loser.describe()
    assert (described.outcome, described.cause) == (Outcome.UNDONE, caught.value.cause)
    with pytest.raises(Refused, match="lost its place"):
        await (await innkeeper.handle("loser")).result()
    with pytest.raises(Refused, match="lost its place"):
        await (await innkeeper.stop("displaced", request_id="loser", on_conflict="wait")).result()
    await innkeeper.decide("displaced", "retry", operator="ann")
    assert (await first.result()).outcome is Outcome.DONE
    assert (await winner.result()).outcome is Outcome.DONE
    # It touched nothing, so that its id names nothing yet.
    assert (await (await innkeeper.stop("displaced", request_id="loser")).result()).outcome is Outcome.DONE


async def test_a_request_asked_again_while_it_waits_is_the_same(innkeeper: Innkeeper, client: Client) -> None:
    first = await held(innkeeper, "asked-again")
    asked = [
        await innkeeper.stop("asked-again", request_id="again-2", on_conflict=way)
        for way in ("wait", "wait", "reject", "replace")
    ]
    asked.append(await innkeeper.handle("again-2", name="Asked Again"))
    assert {repr(handle) for handle in asked} == {
        "OperationHandle(instance='asked-again', run_id=None, waiting='again-2')"
    }
    assert (await first.describe()).outcome is Outcome.RUNNING
    for way in ("wait", "reject"):
        with pytest.raises(BadInput, match=r"'again-2' was used with other arguments \(stop asked-again\)"):
            await innkeeper.start("asked-again", request_id="again-2", on_conflict=way)
    await go(client, first)
    results = await asyncio.gather(*(handle.result() for handle in asked))
    assert all(result == results[0] for result in results)
    assert len({handle.run_id for handle in asked}) == 1


async def test_ten_at_once_who_repeat_one_waiting_request_are_one(innkeeper: Innkeeper, client: Client) -> None:
    first = await held(innkeeper, "ten-repeat")
    handles = await asyncio.gather(
        *(innkeeper.stop("ten-repeat", request_id="ten-2", on_conflict="wait") for _ in range(10))
    )
    await go(client, first)
    results = await asyncio.gather(*(handle.result() for handle in handles))
    assert {result.request_id for result in results} == {"ten-2"}
    assert len({handle.run_id for handle in handles}) == 1


async def test_a_waiting_request_is_found_by_id_and_name(innkeeper: Innkeeper, client: Client) -> None:
    first = await held(innkeeper, "found-turn")
    await innkeeper.stop("found-turn", request_id="found-2", on_conflict="wait")
    with pytest.raises(BadInput, match="is found with the instance's name"):
        await innkeeper.handle("found-2")
    with pytest.raises(BadInput, match="names no operation of another that Temporal knows"):
        await innkeeper.handle("found-2", name="another")
    found = await innkeeper.handle("found-2", name="found-turn")
    running = await innkeeper.handle("found-turn-runs", name="found-turn")
    assert running.run_id == first.run_id
    await go(client, first)
    assert (await found.result()).request_id == "found-2"
    await seen(client, "found-2")
    with pytest.raises(BadInput, match="names no operation of another that Temporal knows"):
        await innkeeper.handle("found-2", name="another")


async def test_a_request_whose_predecessor_was_terminated_is_told_to_ask_again(
    innkeeper: Innkeeper, client: Client
) -> None:
    first = await held(innkeeper, "lost-turn")
    second = await innkeeper.stop("lost-turn", request_id="lost-2", on_conflict="wait")
    await client.get_workflow_handle("instance/lost-turn", run_id=first.run_id).terminate()
    with pytest.raises(Refused, match="what it waited for was ended by force") as caught:
        await second.result()
    assert caught.value.cause.code == "HandoverLost"
    assert "ask again with the same request id (lost-2)" in caught.value.cause.fix
    assert (await second.describe()).cause == caught.value.cause
    again = await innkeeper.stop("lost-turn", request_id="lost-2", on_conflict="wait")
    assert (await again.result()).outcome is Outcome.DONE


async def handing_over(client: Client, request: Request) -> None:
    """Begin a hand-over that no worker works on."""
    await client.start_workflow(
        HANDOVER_WORKFLOW,
        HandOver(request=request),
        id=f"handover/{request.request_id}",
        task_queue="nobody",
        memo={"request": request},
    )


async def test_a_request_that_is_being_handed_over_is_found_however_it_is_asked_for(
    innkeeper: Innkeeper, client: Client
) -> None:
    first = await held(innkeeper, "handing")
    request = Request.of(Kind.STOP, "handing", request_id="handing-2")
    await handing_over(client, request)
    for handle in (
        await innkeeper.handle("handing-2"),
        await innkeeper.stop("handing", request_id="handing-2"),
        await innkeeper.stop("handing", request_id="handing-2", on_conflict="wait"),
    ):
        assert (await handle.describe()).now == "its turn"
    with pytest.raises(BadInput, match="was used with other arguments"):
        await innkeeper.start("handing", request_id="handing-2")
    with pytest.raises(Pending, match="waits until another operation has ended"):
        await TemporalDesk(client, TASK_QUEUE).deliver(request)
    waiting = asyncio.create_task(handle.result())
    await asyncio.sleep(0.2)
    await client.get_workflow_handle("handover/handing-2").terminate()
    with pytest.raises(Refused, match="what it waited for was ended by force"):
        await waiting
    with pytest.raises(Refused, match="what it waited for was ended by force"):
        await (await innkeeper.handle("handing-2")).result()
    await go(client, first)
    await first.result()


async def test_a_predecessor_that_temporal_has_forgotten_has_ended(innkeeper: Innkeeper, client: Client) -> None:
    forgotten = "0197c9a5-0000-7000-8000-000000000000"
    request = Request.of(Kind.STOP, "forgotten", request_id="forgotten-2")
    for ask in (Turn(client, request, forgotten).look, Turn(client, request, forgotten).come):
        with pytest.raises(Refused, match="what it waited for was ended by force"):
            await ask()
    assert await Turn(client, request, forgotten).waits_for() == "its turn"


async def test_a_worker_hands_in_behind_what_runs_later(innkeeper: Innkeeper, client: Client) -> None:
    first = await held(innkeeper, "desk")
    desk = TemporalDesk(client, TASK_QUEUE)
    with pytest.raises(Pending, match="desk: upgrade runs since"):
        await desk.deliver(Request.of(Kind.STOP, "desk", request_id="desk-2"))
    await go(client, first)
    await first.result()
    run_id = await desk.deliver(Request.of(Kind.STOP, "desk", request_id="desk-2"))
    assert (await innkeeper.handle_for("desk", run_id).result()).outcome is Outcome.DONE


async def test_without_a_worker_nobody_waits_for_ever(client: Client) -> None:
    innkeeper = Innkeeper(client, task_queue="never-a-worker")
    await innkeeper.upgrade("unheard")
    answers = await asyncio.gather(
        innkeeper.stop("unheard", on_conflict="wait"),
        innkeeper.uninstall("unheard"),
        innkeeper.decide("unheard", "retry", operator="ann"),
        return_exceptions=True,
    )
    for answer in answers:
        assert isinstance(answer, Unreachable)
        assert answer.cause.code == "NoWorker"
        assert "no worker answers for unheard" in answer.cause.message
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(innkeeper.stop("unheard", on_conflict="wait"), 1)
    await client.get_workflow_handle("instance/unheard").terminate()


async def test_an_operation_that_knows_no_such_update_is_a_plain_answer(innkeeper: Innkeeper, client: Client) -> None:
    run = await held(innkeeper, "older")
    assert run.run_id is not None
    with pytest.raises(Answer, match="the operation on older did not take what was asked") as caught:
        await updates.ask(
            client, "older", run.run_id, "unheard-of", Request.of(Kind.STOP, "older", request_id="x"), Request
        )
    assert caught.value.cause.code == "Unexpected"
    await go(client, run)
    await run.result()


class Late(Interceptor):
    """Plays the race in which an operation comes to its end just as it is asked for something."""

    def __init__(self, met: Exception) -> None:
        self.met = met

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        race = self

        class Racing(OutboundInterceptor):
            async def start_workflow_update(self, input: StartWorkflowUpdateInput) -> WorkflowUpdateHandle[Any]:
                raise race.met

        return Racing(next)


@pytest.mark.parametrize(
    "met",
    [
        RPCError("workflow execution already completed", RPCStatusCode.NOT_FOUND, b""),
        WorkflowUpdateFailedError(ApplicationError("the operation has ended", type="Ended")),
        WorkflowUpdateFailedError(ApplicationError("it closed", type="AcceptedUpdateCompletedWorkflow")),
    ],
    ids=["closed", "at its end", "closed meanwhile"],
)
async def test_an_operation_that_ends_while_it_is_asked_is_not_waited_for(
    innkeeper: Innkeeper, client: Client, address: str, met: Exception
) -> None:
    name = f"ends-{uuid.uuid4().hex[:6]}"
    first = await held(innkeeper, name)
    connection = await Client.connect(address, data_converter=pydantic_data_converter, interceptors=[Late(met)])
    with pytest.raises(Busy, match="other operations follow each other without a gap"):
        await Innkeeper(connection).stop(name, on_conflict="wait")
    with pytest.raises(BadInput, match="has no running operation: there is nothing to decide"):
        await Innkeeper(connection).decide(name, "retry", operator="ann")
    await go(client, first)
    await first.result()


async def test_a_silent_temporal_is_named_by_whoever_waits(proxy: Proxy, client: Client, innkeeper: Innkeeper) -> None:
    first = await held(innkeeper, "turn-silent")
    impatient = RetryConfig(max_elapsed_time_millis=500)
    through = Innkeeper(
        await Client.connect(proxy.address, data_converter=pydantic_data_converter, retry_config=impatient)
    )
    second = await through.stop("turn-silent", on_conflict="wait")
    await proxy.refuse()
    for ask in (
        second.describe,
        second.events,
        second.cancel,
        through.attention,
        lambda: through.handle("turn-silent-runs", name="turn-silent"),
        lambda: through.decide("turn-silent", "retry", operator="ann"),
    ):
        with pytest.raises(Unreachable, match=f"Temporal at {proxy.address} does not answer"):
            await ask()
    await proxy.accept()
    await go(client, first)
    assert (await second.result()).outcome is Outcome.DONE


async def test_a_waiting_result_outlasts_an_outage_of_temporal(
    proxy: Proxy, client: Client, innkeeper: Innkeeper
) -> None:
    first = await held(innkeeper, "turn-outage")
    through = await Innkeeper.connect(proxy.address)
    second = await through.stop("turn-outage", on_conflict="wait")
    waiting = asyncio.create_task(second.result())
    following = asyncio.create_task(collected(second))
    await asyncio.sleep(0.5)
    await proxy.refuse()
    await go(client, first)
    await asyncio.sleep(3)
    assert not waiting.done()
    await proxy.accept()
    async with asyncio.timeout(60):
        assert (await waiting).outcome is Outcome.DONE
        assert told(await following) == ALL_STEPS


async def test_leaving_a_waiting_handle_leaves_nothing_behind(innkeeper: Innkeeper, client: Client) -> None:
    first = await held(innkeeper, "left-waiting")
    second = await innkeeper.stop("left-waiting", on_conflict="wait")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(second.result(), 0.3)
    assert [task for task in asyncio.all_tasks() if "Turn" in repr(task.get_coro())] == []
    await go(client, first)
    assert (await second.result()).outcome is Outcome.DONE
