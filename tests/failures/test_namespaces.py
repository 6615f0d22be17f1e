"""The namespace cannot be made: what passes is waited for, what does not is undone with its cause."""

from __future__ import annotations

from datetime import timedelta

import pytest
from following import Followed, failed
from in_memory import QUICK, World

from innkeeper.model.errors import Conflict, Forbidden, InnkeeperError, Unreachable
from innkeeper.model.instance import Status
from innkeeper.model.messages import Choice, Outcome, StepState
from innkeeper.model.ports import Manifest, Ref

from ..workflows.agreement import agree

FINALIZER = {"metadata": {"finalizers": ["example.com/held"]}}


async def terminating(world: World, name: str) -> Ref:
    """The instance's own namespace, being deleted, and held by somebody's finalizer."""
    await world.provisioned(name)
    await (await world.innkeeper.uninstall(name)).result()
    namespace = await world.namespace(name)
    assert namespace is not None
    ref = Ref.to(namespace)
    await world.cluster.patch(ref, FINALIZER)
    await world.cluster.delete(ref, uid=namespace["metadata"]["uid"])
    return ref


async def demand_error(world: World, name: str, outcome: Outcome, *words: str) -> None:
    """Row and record say that it failed, and the cause says what, where, and what to do."""
    row = await world.row(name)
    record = (await world.innkeeper.operations(name)).items[0]
    assert (row.status, record.outcome) == (Status.ERROR, outcome)
    assert row.cause is not None
    assert row.cause == record.cause
    assert all(word in str(row.cause) for word in words), row.cause
    assert row.cause.fix
    assert await world.storage(name) == []


@pytest.mark.parametrize(
    "error",
    [
        Forbidden(
            "The API server refuses to create Namespace: forbidden: User cannot create resource",
            object="Namespace inn-ns",
            fix="check what RBAC gives the worker",
        ),
        Forbidden(
            "The API server refuses to create Namespace: exceeded quota: namespaces",
            code="QuotaExceeded",
            object="Namespace inn-ns",
            fix="raise the quota",
        ),
    ],
    ids=lambda error: error.cause.code,
)
async def test_what_is_not_allowed_is_undone_at_once_with_its_cause(world: World, error: InnkeeperError) -> None:
    name = f"ns-{error.cause.code.lower()}"
    world.faults.fail(f"{name} prepare cluster.create", error)
    result = await failed(await world.innkeeper.provision(name, tenant="t1", plan="starter"))
    assert (result.outcome, result.cause) == (Outcome.UNDONE, error.cause)
    await demand_error(world, name, Outcome.UNDONE, "refuses to create Namespace", error.cause.fix)
    assert await world.namespace(name) is None


@pytest.mark.parametrize(
    "error",
    [
        Unreachable("The API server cannot create Namespace now (429): too many requests", retry_after=7),
        Unreachable("The API server does not answer"),
        Conflict("the object has been modified"),
    ],
    ids=["throttled", "down", "conflict"],
)
async def test_what_passes_is_waited_for(world: World, error: InnkeeperError) -> None:
    name = f"ns-passes-{len(str(error))}"
    world.faults.fail(f"{name} prepare cluster.*", error, times=5)
    assert (await world.provisioned(name)).outcome is Outcome.DONE
    await agree(world, name, Status.RUNNING)
    assert world.faults.unplayed == []


async def test_an_api_server_that_is_down_for_good_is_undone_as_soon_as_it_answers(world: World) -> None:
    down = Unreachable("The API server does not answer", object="https://cluster", fix="check that it runs")
    world.faults.fail("ns-down prepare cluster.*", down, times=None)
    world.faults.fail("ns-down undo-prepare cluster.*", down, times=None)
    with world.environment.with_time_skipping_disabled():
        handle = await world.innkeeper.provision("ns-down", tenant="t1", plan="starter")
    operation = Followed(world, handle)
    await operation.skip(timedelta(minutes=30))
    question = await operation.question()
    assert (question.step, question.undo, question.cause) == ("prepare", True, down.cause)
    world.faults.clear()
    await operation.decide(Choice.RETRY, "it is back")
    result = await failed(handle)
    assert (result.outcome, result.cause) == (Outcome.UNDONE, down.cause)
    await demand_error(world, "ns-down", Outcome.UNDONE, "does not answer", "check that it runs")


async def test_a_namespace_that_is_being_deleted_is_waited_for(world: World) -> None:
    ref = await terminating(world, "ns-ending")
    before = await world.namespace("ns-ending")
    hang = world.faults.hang("ns-ending prepare cluster.create", skip=2)
    handle = await world.innkeeper.provision("ns-ending", tenant="t1", plan="starter")
    await hang.reached.wait()
    await world.cluster.patch(ref, {"metadata": {"finalizers": None}})
    hang.release()
    assert (await handle.result()).outcome is Outcome.DONE
    await agree(world, "ns-ending", Status.RUNNING)
    after = await world.namespace("ns-ending")
    assert before is not None
    assert after is not None
    assert after["metadata"]["uid"] != before["metadata"]["uid"]


async def test_a_namespace_that_is_never_gone_is_named_and_its_finalizer_left_alone(world: World) -> None:
    await terminating(world, "ns-held")
    handle = await world.innkeeper.provision("ns-held", tenant="t1", plan="prompt")
    result = await failed(handle)
    assert result.outcome is Outcome.UNDONE
    tried = [event.at for event in result.steps if event.step == "prepare"]
    within = timedelta(seconds=QUICK["prepare"])
    assert within < tried[-1] - tried[0] < within + timedelta(seconds=25)
    await demand_error(world, "ns-held", Outcome.UNDONE, "Namespace inn-ns-held is being deleted", "finalizers")
    held = await world.namespace("ns-held")
    assert held is not None
    assert held["metadata"]["finalizers"] == ["example.com/held"]


async def test_a_namespace_that_somebody_makes_just_then_is_not_touched(world: World) -> None:
    foreign: Manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "inn-ns-foreign"}}
    hang = world.faults.hang("db.claim", when="after")
    handle = await world.innkeeper.provision("ns-foreign", tenant="t1", plan="starter")
    await hang.reached.wait()
    made = await world.cluster.create(foreign)
    hang.release()
    result = await failed(handle)
    assert result.cause is not None
    assert (result.outcome, result.cause.code) == (Outcome.UNDONE, "NotOurs")
    await demand_error(world, "ns-foreign", Outcome.UNDONE, "Namespace inn-ns-foreign", "use another name")
    assert await world.namespace("ns-foreign") == made
    assert [event.step for event in result.steps if event.state is StepState.UNDONE] == ["prepare"]
