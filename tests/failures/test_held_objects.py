"""What somebody's finalizer holds is not called uninstalled: an operator is asked, who sees what it is."""

from __future__ import annotations

from following import Followed, failed
from in_memory import World

from innkeeper.model.instance import Status
from innkeeper.model.messages import TASK_QUEUE, Choice, Outcome
from innkeeper.model.ports import Ref
from innkeeper.worker import STRICT, compose

from ..workflows.agreement import agree

HELD = {"metadata": {"finalizers": ["example.com/held"]}}
LET_GO = {"metadata": {"finalizers": None}}


async def held(world: World, name: str, plan: str = "starter") -> Ref:
    """The Service of an instance, which somebody's finalizer holds."""
    await (await world.innkeeper.provision(name, tenant="t1", plan=plan)).result()
    (service,) = await world.cluster.list_objects("v1", "Service", namespace=f"inn-{name}")
    ref = Ref.to({**service, "apiVersion": "v1", "kind": "Service"})
    await world.cluster.patch(ref, HELD)
    return ref


async def held_uninstall(world: World, name: str) -> tuple[Followed, Ref]:
    """An uninstall that asks what to do, and the Service that is held."""
    ref = await held(world, name, "prompt")
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


async def test_what_holds_objects_of_some_keeps_no_other_from_the_few_places_of_helm(idle_world: World) -> None:
    world = idle_world
    steps = world.steps()
    async with compose(world.client, steps, task_queue=TASK_QUEUE, workflow_runner=STRICT, helms=1):
        names = ("held-one", "held-two", "held-three")
        refs = [await held(world, name) for name in names]
        with world.environment.with_time_skipping_disabled():
            going = [await world.innkeeper.uninstall(name) for name in names]
            other = await world.innkeeper.provision("not-held", tenant="t2", plan="starter")
            assert (await other.result()).outcome is Outcome.DONE
        assert [(await handle.describe()).outcome for handle in going] == [Outcome.RUNNING] * 3
        for ref in refs:
            await world.cluster.patch(ref, LET_GO)
        assert [(await handle.result()).outcome for handle in going] == [Outcome.DONE] * 3
