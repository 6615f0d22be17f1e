"""What somebody's finalizer holds is not called uninstalled: an operator is asked, who sees what it is."""

from __future__ import annotations

from following import Followed, failed
from in_memory import World

from innkeeper.model.instance import Status
from innkeeper.model.messages import Choice, Outcome
from innkeeper.model.ports import Ref

from ..workflows.agreement import agree

HELD = {"metadata": {"finalizers": ["example.com/held"]}}
LET_GO = {"metadata": {"finalizers": None}}


async def held_uninstall(world: World, name: str) -> tuple[Followed, Ref]:
    """An uninstall that asks what to do, and the Service that is held."""
    await (await world.innkeeper.provision(name, tenant="t1", plan="prompt")).result()
    (service,) = await world.cluster.list_objects("v1", "Service", namespace=f"inn-{name}")
    ref = Ref.to({**service, "apiVersion": "v1", "kind": "Service"})
    await world.cluster.patch(ref, HELD)
    with world.environment.with_time_skipping_disabled():
        operation = Followed(world, await world.innkeeper.uninstall(name))
    question = await operation.question()
    assert (question.step, question.cause.code, question.cause.object) == ("uninstall", "ObjectsHeld", str(ref))
    assert "still being deleted" in question.cause.message
    assert await world.storage(name) == []
    return operation, ref


async def test_an_uninstall_goes_on_once_the_finalizer_is_gone(world: World) -> None:
    operation, ref = await held_uninstall(world, "held-let-go")
    await world.cluster.patch(ref, LET_GO)
    await operation.decide(Choice.RETRY, "the load balancer is gone")
    handle = await world.innkeeper.latest("held-let-go")
    assert handle is not None
    assert (await handle.result()).outcome is Outcome.DONE
    await agree(world, "held-let-go", Status.UNINSTALLED)


async def test_an_uninstall_that_is_given_up_names_what_is_held_and_its_finalizer_is_left_alone(world: World) -> None:
    operation, ref = await held_uninstall(world, "held-given-up")
    await operation.decide(Choice.ABORT, "not today")
    handle = await world.innkeeper.latest("held-given-up")
    assert handle is not None
    result = await failed(handle)
    assert (result.outcome, result.status) == (Outcome.LEFT_BEHIND, Status.ERROR)
    assert str(ref) in str(result.cause)
    held = await world.cluster.get(ref)
    assert held is not None
    assert held["metadata"]["finalizers"] == HELD["metadata"]["finalizers"]
