"""The main way of every operation, and what it leaves in the row, the cluster and Helm's storage."""

from __future__ import annotations

import pytest
from in_memory import World
from listing import listed
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from innkeeper.model import marks
from innkeeper.model.errors import OperationFailed, Refused, ReleaseFailed
from innkeeper.model.instance import Kind, Status
from innkeeper.model.messages import Outcome, StepState
from innkeeper.worker import STRICT
from innkeeper.workflows.registry import WORKFLOWS


async def test_provision_ends_with_a_running_row_and_a_deployed_release(world: World) -> None:
    result = await world.provisioned("life-one")
    row = await world.row("life-one")
    assert (result.outcome, row.status, row.generation) == (Outcome.DONE, Status.RUNNING, 1)
    assert (row.revision, row.url) == (1, "https://life-one.rooms.example")
    namespace = await world.namespace("life-one")
    assert namespace is not None
    assert marks.is_ours(namespace, "life-one", "t1")
    assert {"Secret", "ResourceQuota", "NetworkPolicy", "Deployment", "Pod"} <= await world.kinds("life-one")


async def test_progress_tells_each_step_once_and_in_order(world: World) -> None:
    handle = await world.innkeeper.provision("life-two", tenant="t1", plan="starter")
    events = [event async for event in handle.progress()]
    done = [event.step for event in events if event.state is StepState.DONE]
    assert done == ["check", "claim", "prepare", "release", "ready", "record"]
    assert len(events) == len(set(events))


async def test_stop_leaves_no_pod_and_start_brings_back_exactly_what_ran(world: World) -> None:
    await world.provisioned("life-three")
    before = await world.replicas("life-three")
    pods = await world.pods("life-three")
    assert sum(before.values()) == len(pods) > 0
    await (await world.innkeeper.stop("life-three")).result()
    assert (await world.row("life-three")).status is Status.STOPPED
    assert await world.pods("life-three") == []
    await (await world.innkeeper.start("life-three")).result()
    assert (await world.row("life-three")).status is Status.RUNNING
    assert await world.replicas("life-three") == before


async def test_restart_replaces_every_pod(world: World) -> None:
    await world.provisioned("life-four")
    before = {
        pod["metadata"]["uid"] for pod in await world.cluster.list_objects("v1", "Pod", namespace="inn-life-four")
    }
    await (await world.innkeeper.restart("life-four")).result()
    after = await world.pod_uids("life-four")
    assert after
    assert not before & after


async def test_restart_of_a_stopped_instance_starts_it(world: World) -> None:
    await world.provisioned("life-five")
    before = await world.replicas("life-five")
    await (await world.innkeeper.stop("life-five")).result()
    await (await world.innkeeper.restart("life-five")).result()
    assert (await world.row("life-five")).status is Status.RUNNING
    assert await world.replicas("life-five") == before


async def test_uninstall_keeps_volumes_and_generated_secrets_for_the_next_provision(world: World) -> None:
    await world.provisioned("life-six")
    volumes = await world.cluster.list_objects("v1", "PersistentVolumeClaim", namespace="inn-life-six")
    secrets = await world.cluster.list_objects("v1", "Secret", namespace="inn-life-six", labels={marks.DATA: "true"})
    await (await world.innkeeper.uninstall("life-six")).result()
    assert (await world.row("life-six")).status is Status.UNINSTALLED
    assert "Deployment" not in await world.kinds("life-six")
    await world.provisioned("life-six")
    after = await world.cluster.list_objects("v1", "PersistentVolumeClaim", namespace="inn-life-six")
    kept = await world.cluster.list_objects("v1", "Secret", namespace="inn-life-six", labels={marks.DATA: "true"})
    assert [item["metadata"]["uid"] for item in after] == [item["metadata"]["uid"] for item in volumes] != []
    assert [item["data"] for item in kept] == [item["data"] for item in secrets] != []


async def test_purge_deletes_the_namespace_and_the_name_is_free_again(world: World) -> None:
    await world.provisioned("life-seven")
    await (await world.innkeeper.uninstall("life-seven")).result()
    await (await world.innkeeper.purge("life-seven")).result()
    assert (await world.row("life-seven")).status is Status.PURGED
    assert await world.namespace("life-seven") is None
    handle = await world.innkeeper.provision("life-seven", tenant="t2", plan="starter")
    await handle.result()
    assert (await world.row("life-seven")).tenant == "t2"


@pytest.mark.parametrize("kind", [Kind.STOP, Kind.START, Kind.RESTART, Kind.UNINSTALL])
async def test_an_operation_asked_again_finds_its_work_done(world: World, kind: Kind) -> None:
    name = f"twice-{kind.value}"
    await world.provisioned(name)
    ask = getattr(world.innkeeper, kind.value)
    first = await (await ask(name)).result()
    second = await (await ask(name)).result()
    assert (first.outcome, second.outcome) == (Outcome.DONE, Outcome.DONE)
    assert first.status is second.status
    assert second.generation == first.generation + 1


async def test_purge_asked_again_finds_its_work_done(world: World) -> None:
    await world.provisioned("twice-purge")
    await (await world.innkeeper.uninstall("twice-purge")).result()
    for _ in range(2):
        assert (await (await world.innkeeper.purge("twice-purge")).result()).status is Status.PURGED


async def test_purging_a_running_instance_is_refused_and_nothing_is_touched(world: World) -> None:
    await world.provisioned("life-eight")
    with pytest.raises(Refused, match="uninstall it first"):
        await (await world.innkeeper.purge("life-eight")).result()
    assert (await world.row("life-eight")).generation == 1
    assert await world.pods("life-eight")


@pytest.mark.parametrize(("plan", "words"), [("gold", "is not in the catalog"), ("broken", "chart")])
async def test_a_plan_that_cannot_be_is_refused_before_anything_is_touched(world: World, plan: str, words: str) -> None:
    handle = await world.innkeeper.provision("life-nine", tenant="t1", plan=plan)
    with pytest.raises(Refused, match=words):
        await handle.result()
    assert await world.database.instance("life-nine") is None
    assert await world.namespace("life-nine") is None


async def test_a_namespace_of_somebody_else_is_refused_and_left_alone(world: World) -> None:
    foreign = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "inn-life-ten"}}
    made = await world.cluster.create(foreign)
    with pytest.raises(Refused, match="not this instance's"):
        await world.provisioned("life-ten")
    found = await world.namespace("life-ten")
    assert found == made
    assert await world.database.instance("life-ten") is None


async def test_a_name_that_runs_already_is_a_duplicate(world: World) -> None:
    await world.provisioned("life-eleven")
    with pytest.raises(Refused, match="exists already and is running"):
        await world.provisioned("life-eleven")


async def test_another_tenants_instance_is_neither_shown_nor_touched(world: World) -> None:
    await world.provisioned("life-twelve")
    with pytest.raises(Refused, match="no instance of this tenant"):
        await (await world.innkeeper.stop("life-twelve", tenant="t2")).result()
    assert (await world.row("life-twelve")).status is Status.RUNNING


async def test_every_operation_replays_from_its_own_history(world: World) -> None:
    await world.provisioned("life-replay")
    for kind in (Kind.STOP, Kind.START, Kind.RESTART, Kind.UNINSTALL, Kind.PURGE):
        await (await getattr(world.innkeeper, kind.value)("life-replay")).result()
    world.faults.fail("helm.upgrade", ReleaseFailed("chart says no"))
    with pytest.raises(OperationFailed):
        await world.provisioned("life-replay")
    replayer = Replayer(
        workflows=list(WORKFLOWS.values()), workflow_runner=STRICT, data_converter=pydantic_data_converter
    )
    runs = await listed(world.client, "WorkflowId = 'instance/life-replay'", runs=7)
    for run in runs:
        handle = world.client.get_workflow_handle(run.id, run_id=run.run_id)
        await replayer.replay_workflow(await handle.fetch_history())
    assert len(runs) == 7


async def test_histories_stay_short(world: World) -> None:
    handle = await world.innkeeper.provision("life-short", tenant="t1", plan="starter")
    await handle.result()
    stop = await world.innkeeper.stop("life-short")
    await stop.result()
    assert await world.events(handle) <= 30
    assert await world.events(stop) <= 20
