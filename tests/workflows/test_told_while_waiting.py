"""While a step waits, its operation says for what, before any deadline: by its handle, and in an explanation."""

from __future__ import annotations

import asyncio

from in_memory import send_to

from innkeeper.activities.heavy_steps import is_heavy
from innkeeper.activities.polling import IN_QUEUE
from innkeeper.client import OperationHandle
from innkeeper.model.errors import Unreachable
from innkeeper.model.messages import TASK_QUEUE, Outcome
from innkeeper.model.names import workflow_id_of
from innkeeper.model.ports import Ref
from innkeeper.worker import STRICT, compose

from .conftest import World

PATIENCE = 60


async def told(handle: OperationHandle, words: str) -> str:
    """What the operation says that it waits for, once these words are in it."""
    said = ""
    async with asyncio.timeout(PATIENCE):
        while words not in said:
            await asyncio.sleep(0.05)
            said = await handle.waiting_for()
    return said


async def test_readiness_says_which_pod_waits_for_what(world: World) -> None:
    await world.provisioned("acme")
    await (await world.innkeeper.stop("acme")).result()
    await send_to(world, "acme", {"moon": "full"})
    starting = await world.innkeeper.start("acme")
    said = await told(starting, "no node can take it")
    assert said.startswith("Deployment acme-web: 0 of 1 pods available: Pod acme-web-")
    described = await starting.describe()
    assert (described.now, described.waiting_for) == ("ready", said)
    explained = await world.innkeeper.explain("acme")
    assert (explained.now, explained.waiting_for) == ("ready", said)
    await send_to(world, "acme", None)
    await starting.result()
    assert (await starting.waiting_for(), (await starting.describe()).waiting_for) == ("", "")
    explained = await world.innkeeper.explain("acme")
    assert (explained.now, explained.waiting_for) == ("", "")


async def test_a_stop_names_the_pods_that_do_not_end(world: World) -> None:
    await world.provisioned("held")
    with world.environment.with_time_skipping_disabled():
        hold = {"metadata": {"finalizers": ["example.com/hold"]}}
        pods = await world.cluster.list_objects("v1", "Pod", namespace="inn-held")
        pod = Ref("v1", "Pod", pods[0]["metadata"]["name"], "inn-held")
        await world.cluster.patch(pod, hold)
        stopping = await world.innkeeper.stop("held")
        assert await told(stopping, "pods to end") == f"pods to end: {pod}"
        await world.cluster.patch(pod, {"metadata": {"finalizers": None}})
        await stopping.result()


async def test_a_step_that_failed_says_why_while_it_waits_for_its_next_attempt(world: World) -> None:
    await world.provisioned("retried")
    world.faults.fail("retried scale-down *", Unreachable("the API server is away"), times=None)
    with world.environment.with_time_skipping_disabled():
        stopping = await world.innkeeper.stop("retried")
        said = await told(stopping, "the API server is away")
        assert said.startswith("another attempt, after ")
        await stopping.cancel()


async def test_a_heavy_step_waits_in_a_queue_of_its_own_says_so_and_is_not_late_for_that(idle_world: World) -> None:
    world = idle_world
    others = [step for step in world.steps() if not is_heavy(step)]
    async with compose(world.client, others, task_queue=TASK_QUEUE, workflow_runner=STRICT):
        handle = await world.innkeeper.provision("queued", tenant="t1", plan="starter")
        with world.environment.with_time_skipping_disabled():
            await told(handle, "a worker that has room for step prepare")
        assert await world.storage("queued") == []
        workflow = world.client.get_workflow_handle(workflow_id_of("queued"))
        asked = (await workflow.fetch_history()).events[-1].activity_task_scheduled_event_attributes
        assert asked.schedule_to_close_timeout.ToTimedelta() > IN_QUEUE
        assert asked.start_to_close_timeout.ToTimedelta() < IN_QUEUE
    async with world.worker():
        assert (await handle.result()).outcome is Outcome.DONE
