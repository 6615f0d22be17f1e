"""One operation a request id, one operation an instance, and a plain answer to everybody else."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from itertools import repeat
from typing import Any

import pytest
from listing import listed
from temporalio.client import Client, Interceptor, OutboundInterceptor, StartWorkflowInput, WorkflowHandle
from temporalio.common import SearchAttributeKey
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.worker import Worker

from innkeeper.client import BadInput, Busy, Innkeeper, OperationHandle, Outcome, Refused, Unreachable
from innkeeper.client.delivery import STARTS_AT_ONCE, deliver, summary
from innkeeper.model.instance import Kind
from innkeeper.model.messages import TASK_QUEUE, Request


async def go(client: Client, handle: OperationHandle) -> None:
    await client.get_workflow_handle(f"instance/{handle.instance}", run_id=handle.run_id).signal("go")


def run_of(handle: OperationHandle) -> str:
    """The run of a handle that waits for nothing."""
    assert handle.run_id is not None
    return handle.run_id


async def seen(client: Client, request_id: str) -> None:
    """Wait until Temporal's visibility shows the request, and that its run has ended."""
    await listed(client, f"InnkeeperRequest = '{request_id}' AND ExecutionStatus != 'Running'")


async def known(innkeeper: Innkeeper, request_id: str) -> OperationHandle | None:
    try:
        return await innkeeper.handle(request_id)
    except BadInput:
        return None


async def test_twenty_requests_with_one_id_are_one_run(innkeeper: Innkeeper, client: Client) -> None:
    asked = [
        innkeeper.provision("one-id", tenant="t1", plan="starter", request_id="one-id", asked_by="held")
        for _ in range(20)
    ]
    handles = await asyncio.gather(*asked)
    assert len({handle.run_id for handle in handles}) == 1
    await go(client, handles[0])
    results = await asyncio.gather(*(handle.result() for handle in handles))
    assert all(result == results[0] for result in results)


async def test_twenty_requests_with_ids_of_their_own_are_one_run_and_nineteen_answers(
    innkeeper: Innkeeper, client: Client
) -> None:
    asked = [innkeeper.provision("twenty", tenant="t1", plan="starter", asked_by="held") for _ in range(20)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert Counter(type(answer) for answer in answers) == {OperationHandle: 1, Busy: 19}
    [handle] = [answer for answer in answers if isinstance(answer, OperationHandle)]
    request_id = (await handle.describe()).request_id
    for busy in (answer for answer in answers if isinstance(answer, Busy)):
        assert re.match(
            rf"twenty: provision runs since \d\d:\d\d:\d\d UTC \(request {request_id}\)", busy.cause.message
        )
    await go(client, handle)
    assert (await handle.result()).outcome is Outcome.DONE


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind not in (Kind.PROVISION, Kind.ADOPT)])
async def test_each_method_asks_for_its_own_operation(innkeeper: Innkeeper, kind: Kind) -> None:
    handle = await getattr(innkeeper, kind.value)(f"kind-{kind.value}", tenant="t1", request_id=f"kind-{kind.value}")
    result = await handle.result()
    assert (result.kind, result.request_id) == (kind, f"kind-{kind.value}")


class Overtaken(Interceptor):
    """Plays the race in which a start meets a run that has ended by the time it is looked at."""

    def __init__(self, met: Iterator[str]) -> None:
        self.met = met

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        race = self

        class Racing(OutboundInterceptor):
            async def start_workflow(self, input: StartWorkflowInput) -> WorkflowHandle[Any, Any]:
                for run_id in race.met:
                    raise WorkflowAlreadyStartedError(input.id, input.workflow, run_id=run_id)
                return await super().start_workflow(input)

        return Racing(next)


async def overtaken(address: str, run_ids: Iterator[str]) -> Innkeeper:
    client = await Client.connect(address, data_converter=pydantic_data_converter, interceptors=[Overtaken(run_ids)])
    return Innkeeper(client)


class Slowed(Interceptor):
    """Starts take a moment, and are counted while they do."""

    def __init__(self) -> None:
        self.under_way = 0
        self.most = 0

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        slowed = self

        class Slow(OutboundInterceptor):
            async def start_workflow(self, input: StartWorkflowInput) -> WorkflowHandle[Any, Any]:
                slowed.under_way += 1
                slowed.most = max(slowed.most, slowed.under_way)
                try:
                    await asyncio.sleep(0.05)
                    return await super().start_workflow(input)
                finally:
                    slowed.under_way -= 1

        return Slow(next)


async def test_of_many_requests_at_once_few_are_under_way_and_all_are_accepted(
    scripted_worker: Worker, address: str
) -> None:
    slowed = Slowed()
    client = await Client.connect(address, data_converter=pydantic_data_converter, interceptors=[slowed])
    innkeeper = Innkeeper(client)
    names = [f"rush-{number}" for number in range(2 * STARTS_AT_ONCE + 1)]
    handles = await asyncio.gather(*(innkeeper.stop(name) for name in names))
    assert [handle.instance for handle in handles] == names
    assert slowed.most == STARTS_AT_ONCE
    await asyncio.gather(*(handle.result() for handle in handles))


async def test_a_request_that_cannot_be_sent_for_those_before_it_says_so(client: Client) -> None:
    none_left = asyncio.Semaphore(0)
    request = Request.of(Kind.STOP, "unsent", request_id="unsent")
    with pytest.raises(Unreachable, match=r"does not answer: 50 requests before this one have kept it for 0\.1 s"):
        await deliver(client, request, TASK_QUEUE, starts=none_left, sent_within=0.1)


async def test_a_start_that_met_runs_which_ended_since_is_tried_again(innkeeper: Innkeeper, address: str) -> None:
    ended = await innkeeper.stop("overtaken")
    await ended.result()
    forgotten = "0197c9a5-0000-7000-8000-000000000000"
    racing = await overtaken(address, iter([run_of(ended), forgotten]))
    assert (await (await racing.start("overtaken")).result()).outcome is Outcome.DONE


async def test_a_start_that_never_gets_in_between_says_so(innkeeper: Innkeeper, address: str) -> None:
    ended = await innkeeper.stop("no-gap")
    await ended.result()
    racing = await overtaken(address, repeat(run_of(ended)))
    with pytest.raises(Busy, match="no-gap: other operations follow each other without a gap"):
        await racing.start("no-gap")


async def test_a_storm_of_short_operations_never_meets_an_unexplained_error(innkeeper: Innkeeper) -> None:
    answers = await asyncio.gather(*(innkeeper.restart("storm") for _ in range(40)), return_exceptions=True)
    assert {type(answer) for answer in answers} <= {OperationHandle, Busy}
    for answer in answers:
        if isinstance(answer, OperationHandle):
            assert (await answer.result()).outcome is Outcome.DONE


async def test_the_id_of_the_running_request_with_other_arguments_is_refused(
    innkeeper: Innkeeper, client: Client
) -> None:
    held = await innkeeper.provision("mixed", tenant="t1", plan="starter", request_id="mixed-1", asked_by="held")
    with pytest.raises(BadInput, match=r"'mixed-1' was used with other arguments \(provision mixed\)"):
        await innkeeper.provision("mixed", tenant="t1", plan="large", request_id="mixed-1")
    await go(client, held)
    await held.result()


async def test_an_ended_request_asked_again_while_another_runs_is_the_ended_one(
    innkeeper: Innkeeper, client: Client
) -> None:
    first = await innkeeper.stop("earlier", request_id="earlier-1")
    await first.result()
    await seen(client, "earlier-1")
    running = await innkeeper.start("earlier", asked_by="held")
    again = await innkeeper.stop("earlier", request_id="earlier-1")
    assert again.run_id == first.run_id
    with pytest.raises(BadInput, match="was used with other arguments"):
        await innkeeper.purge("earlier", request_id="earlier-1")
    await go(client, running)
    await running.result()


async def test_a_refused_request_asked_again_while_another_runs_is_told_so(
    innkeeper: Innkeeper, client: Client
) -> None:
    refused = await innkeeper.stop("once-refused", request_id="refused-1", asked_by="refused")
    with pytest.raises(Refused):
        await refused.result()
    await seen(client, "refused-1")
    running = await innkeeper.start("once-refused", asked_by="held")
    with pytest.raises(Busy, match="start runs since"):
        await innkeeper.stop("once-refused", request_id="refused-1")
    await go(client, running)
    await running.result()


async def test_an_operation_is_found_by_what_it_is_about(innkeeper: Innkeeper, client: Client) -> None:
    handle = await innkeeper.provision(" Found Me ", tenant="t-9", plan="starter", request_id="found-1", asked_by="ann")
    await handle.result()
    described = await client.get_workflow_handle("instance/found-me", run_id=handle.run_id).describe()
    attributes = described.typed_search_attributes
    assert {
        name: attributes[SearchAttributeKey.for_keyword(f"Innkeeper{name}")]
        for name in ("Instance", "Tenant", "Kind", "Request")
    } == {"Instance": "found-me", "Tenant": "t-9", "Kind": "provision", "Request": "found-1"}
    assert await described.static_summary() == "provision found-me for tenant t-9 on plan starter"
    memo = await described.memo()
    assert (memo["request_id"], memo["kind"], memo["asked_by"]) == ("found-1", "provision", "ann")
    assert described.raw_info.priority.fairness_key == "t-9"


async def test_a_request_id_of_every_allowed_character_finds_its_operation(innkeeper: Innkeeper) -> None:
    request_id = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in "\"'\\")
    handle = await innkeeper.stop("quoted", request_id=request_id)
    await handle.result()
    async with asyncio.timeout(60):
        while await known(innkeeper, request_id) is None:
            await asyncio.sleep(0.02)
    found = await innkeeper.handle(request_id)
    assert (found.instance, found.run_id) == ("quoted", handle.run_id)


async def test_a_run_that_nobody_described_is_still_a_plain_answer(innkeeper: Innkeeper, client: Client) -> None:
    request = Request.of(Kind.STOP, "foreign", request_id="foreign-1", asked_by="held")
    run = await client.start_workflow("Stop", request, id="instance/foreign", task_queue="innkeeper")
    with pytest.raises(Busy, match=r"foreign: stop runs since .* \(request unknown\)"):
        await innkeeper.start("foreign")
    await run.terminate()


async def test_an_unknown_way_to_meet_a_conflict_is_refused(innkeeper: Innkeeper) -> None:
    with pytest.raises(BadInput, match="on_conflict: 'later' is no way to meet another operation"):
        await innkeeper.stop("acme", on_conflict="later")  # type: ignore[arg-type]


async def test_what_cannot_be_asked_never_reaches_temporal(innkeeper: Innkeeper, client: Client) -> None:
    with pytest.raises(BadInput, match=r"name: 'no\.dots' is not a DNS label"):
        await innkeeper.stop("no.dots", request_id="never-1")
    with pytest.raises(BadInput, match="request_id: 'no spaces'"):
        await innkeeper.stop("acme", request_id="no spaces")
    with pytest.raises(BadInput, match="tenant: '' is not a tenant id"):
        await innkeeper.stop("acme", tenant="")
    assert [run async for run in client.list_workflows("InnkeeperRequest = 'never-1'")] == []


def test_a_summary_fits_temporals_limit() -> None:
    request = Request.of(Kind.PROVISION, "a" * 40, tenant="t" * 63, plan="p" * 500, request_id="long")
    assert len(summary(request).encode()) == 200
