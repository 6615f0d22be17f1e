"""What a row says of an operation that was cancelled or failed: only what was found so, and all that is not known."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from following import failed
from in_memory import World

from innkeeper.client import OperationHandle
from innkeeper.gateways.faults import Hang
from innkeeper.model.errors import Forbidden, ReleaseFailed, Unreachable
from innkeeper.model.instance import Status
from innkeeper.model.messages import Outcome, StepState
from innkeeper.model.ports import Ref

CALLS = {"stop": "scale-down", "restart": "roll"}


async def begun(world: World, kind: str, name: str) -> tuple[OperationHandle, Hang]:
    """An operation on an instance that ran, held in its first step."""
    await world.provisioned(name)
    hang = world.faults.hang(f"{name} {CALLS[kind]} cluster.patch", when="after")
    ask: Callable[[str], Awaitable[OperationHandle]] = getattr(world.innkeeper, kind)
    handle = await ask(name)
    await hang.reached.wait()
    return handle, hang


@pytest.mark.parametrize("kind", CALLS)
async def test_what_was_cancelled_runs_only_when_it_was_found_ready(world: World, kind: str) -> None:
    handle, hang = await begun(world, kind, f"well-{kind}")
    await handle.cancel()
    hang.release()
    ended = await failed(handle)
    assert (ended.outcome, ended.status) == (Outcome.CANCELLED, Status.RUNNING)
    assert [event.state for event in ended.steps if event.step == "settle"] == [StepState.UNDOING, StepState.UNDONE]


@pytest.mark.parametrize("kind", CALLS)
async def test_what_was_cancelled_and_does_not_come_up_again_is_no_instance_that_runs(world: World, kind: str) -> None:
    handle, hang = await begun(world, kind, f"ill-{kind}")
    await world.spoil(f"ill-{kind}", "crash")
    await handle.cancel()
    hang.release()
    ended = await failed(handle)
    assert (ended.outcome, ended.status) == (Outcome.LEFT_BEHIND, Status.ERROR)
    assert ended.cause is not None
    assert "settle: " in ended.cause.message
    assert [each.question for each in ended.decisions] == ["undo-settle-1"]


async def test_what_was_cancelled_without_its_namespace_is_no_instance_that_runs(world: World) -> None:
    handle, hang = await begun(world, "stop", "evicted-stop")
    namespace = await world.namespace("evicted-stop")
    assert namespace is not None
    await world.cluster.delete(Ref("v1", "Namespace", "inn-evicted-stop"), uid=namespace["metadata"]["uid"])
    await handle.cancel()
    hang.release()
    ended = await failed(handle)
    assert (ended.outcome, ended.status) == (Outcome.LEFT_BEHIND, Status.ERROR)
    # Nobody is asked: no answer would bring it back.
    assert ended.decisions == []


async def test_what_failed_says_so_and_is_not_waited_for(world: World) -> None:
    await world.provisioned("failed-stop")
    world.faults.fail("failed-stop scale-down cluster.patch", Forbidden("patching is forbidden"))
    ended = await failed(await world.innkeeper.stop("failed-stop"))
    assert (ended.outcome, ended.status) == (Outcome.UNDONE, Status.ERROR)
    assert "settle" not in {event.step for event in ended.steps}


async def test_a_step_that_fails_just_as_it_is_cancelled_asks_nobody(world: World) -> None:
    await world.provisioned("both-at-once")
    hang = world.faults.hang("both-at-once release helm.upgrade")
    world.faults.fail("both-at-once release helm.upgrade", ReleaseFailed("chart says no"))
    handle = await world.innkeeper.upgrade("both-at-once", plan="patient")
    await hang.reached.wait()
    await handle.cancel()
    hang.release()
    ended = await failed(handle)
    assert StepState.PARKED not in {event.state for event in ended.steps}
    assert (await world.row("both-at-once")).status is Status.RUNNING


async def test_where_what_is_left_cannot_be_listed_the_cause_says_so(world: World) -> None:
    world.faults.fail("helm.upgrade", ReleaseFailed("chart says no"), when="after")
    world.faults.fail("unlisted undo-release *", Forbidden("uninstall is forbidden"), times=None)
    world.faults.fail("unlisted survey *", Unreachable("the API server is away"), times=None)
    ended = await failed(await world.innkeeper.provision("unlisted", tenant="t1", plan="prompt"))
    assert ended.outcome is Outcome.LEFT_BEHIND
    assert ended.cause is not None
    assert "what else is there could not be listed: " in ended.cause.message
