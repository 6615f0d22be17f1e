"""Each operation end to end on real parts: cluster, rows and Helm's storage agree after it, twice and in a crowd."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from innkeeper.client import Innkeeper, OperationHandle
from innkeeper.embedded import demo_proof as proof
from innkeeper.gateways.database import SupabaseDatabase
from innkeeper.gateways.kubernetes import KubernetesCluster
from innkeeper.model.errors import Busy, OperationFailed, Refused
from innkeeper.model.instance import Status
from innkeeper.model.messages import OperationResult, Outcome
from innkeeper.model.ports import Manifest, Ref


async def provision(innkeeper: Innkeeper, name: str, plan: str = "starter", **more: Any) -> OperationResult:
    handle = await innkeeper.provision(name, tenant="t1", plan=plan, **more)
    return await handle.result()


async def replicas(cluster: KubernetesCluster, name: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for kind in ("Deployment", "StatefulSet"):
        for item in await cluster.list_objects("apps/v1", kind, namespace=f"inn-{name}"):
            found[item["metadata"]["name"]] = item["spec"]["replicas"]
    return found


async def failed(handle: OperationHandle) -> OperationResult:
    with pytest.raises(OperationFailed) as told:
        await handle.result()
    assert told.value.result is not None
    return told.value.result


async def test_the_whole_life_of_an_instance_each_operation_twice(
    innkeeper: Innkeeper, cluster: KubernetesCluster, database: SupabaseDatabase
) -> None:
    name = "whole-life"
    first = await provision(innkeeper, name, request_id="whole-life-1")
    assert await provision(innkeeper, name, request_id="whole-life-1") == first
    await proof.demand_running(cluster, database, name)
    ran = await replicas(cluster, name)
    volumes = await proof.volumes(cluster, name)
    assert volumes

    for _ in range(2):
        assert (await (await innkeeper.stop(name)).result()).status is Status.STOPPED
        await proof.demand_stopped(cluster, database, name)
    for _ in range(2):
        assert (await (await innkeeper.start(name)).result()).status is Status.RUNNING
        await proof.demand_running(cluster, database, name)
        assert await replicas(cluster, name) == ran
    for _ in range(2):
        before = {pod["metadata"]["uid"] for pod in await proof.pods(cluster, name)}
        assert (await (await innkeeper.restart(name)).result()).status is Status.RUNNING
        await proof.demand_running(cluster, database, name)
        # Those of before are replaced, and may still be on their way out.
        async with asyncio.timeout(90):
            while before & {pod["metadata"]["uid"] for pod in await proof.pods(cluster, name)}:
                await asyncio.sleep(0.1)
    for _ in range(2):
        assert (await (await innkeeper.uninstall(name)).result()).status is Status.UNINSTALLED
        assert await proof.pods(cluster, name) == []
        assert await proof.deployed(cluster, name) == []
        assert await proof.volumes(cluster, name) == volumes

    await provision(innkeeper, name)
    await proof.demand_running(cluster, database, name)
    assert await proof.volumes(cluster, name) == volumes
    await (await innkeeper.uninstall(name)).result()
    for _ in range(2):
        assert (await (await innkeeper.purge(name)).result()).status is Status.PURGED
        assert await cluster.get(Ref("v1", "Namespace", f"inn-{name}")) is None


async def test_an_instance_is_not_called_uninstalled_while_a_finalizer_holds_a_part_of_it(
    innkeeper: Innkeeper, cluster: KubernetesCluster, database: SupabaseDatabase
) -> None:
    name = "held-part"
    await provision(innkeeper, name)
    services = await cluster.list_objects("v1", "Service", namespace=f"inn-{name}")
    ref = Ref("v1", "Service", services[0]["metadata"]["name"], f"inn-{name}")
    await cluster.patch(ref, {"metadata": {"finalizers": ["example.com/held"]}})
    handle = await innkeeper.uninstall(name)
    async with asyncio.timeout(120):
        while await proof.deployed(cluster, name):
            await asyncio.sleep(0.1)
    # Helm is done with it by now, and had it been believed the row would be written within a second.
    await asyncio.sleep(3)
    row = await database.instance(name)
    held = await cluster.get(ref)
    assert row is not None
    assert held is not None
    assert (row.status, bool(held["metadata"]["deletionTimestamp"])) == (Status.UNINSTALLING, True)
    await cluster.patch(ref, {"metadata": {"finalizers": None}})
    assert (await handle.result()).status is Status.UNINSTALLED
    assert await cluster.get(ref) is None


async def test_twenty_instances_live_side_by_side(
    innkeeper: Innkeeper, cluster: KubernetesCluster, database: SupabaseDatabase
) -> None:
    names = [f"crowd-{number}" for number in range(20)]

    async def every(kind: str, **arguments: Any) -> list[OperationResult]:
        ask = getattr(innkeeper, kind)
        handles = await asyncio.gather(*(ask(name, **arguments) for name in names))
        return list(await asyncio.gather(*(handle.result() for handle in handles)))

    assert {result.outcome for result in await every("provision", tenant="t1", plan="starter")} == {Outcome.DONE}
    for name in names:
        await proof.demand_running(cluster, database, name)
    assert {result.status for result in await every("stop")} == {Status.STOPPED}
    for name in names:
        await proof.demand_stopped(cluster, database, name)
    assert {result.status for result in await every("start")} == {Status.RUNNING}
    assert {result.status for result in await every("restart")} == {Status.RUNNING}
    for name in names:
        await proof.demand_running(cluster, database, name)
    assert {result.status for result in await every("uninstall")} == {Status.UNINSTALLED}
    assert {result.status for result in await every("purge")} == {Status.PURGED}
    for name in names:
        assert await cluster.get(Ref("v1", "Namespace", f"inn-{name}")) is None


async def test_twenty_requests_with_one_id_make_one_operation(innkeeper: Innkeeper, cluster: KubernetesCluster) -> None:
    results = await asyncio.gather(*(provision(innkeeper, "one-id", request_id="one-id-1") for _ in range(20)))
    assert {(result.request_id, result.outcome, result.generation) for result in results} == {
        ("one-id-1", Outcome.DONE, 1)
    }
    assert await proof.deployed(cluster, "one-id") == [1]
    assert len((await innkeeper.operations("one-id")).items) == 1


async def test_twenty_requests_with_ids_of_their_own_make_one_operation_and_nineteen_answers(
    innkeeper: Innkeeper, cluster: KubernetesCluster
) -> None:
    ended = await asyncio.gather(
        *(provision(innkeeper, "own-ids", request_id=f"own-ids-{number}") for number in range(20)),
        return_exceptions=True,
    )
    assert sum(isinstance(end, OperationResult) for end in ended) == 1
    told = [end for end in ended if isinstance(end, Busy | Refused)]
    assert len(told) == 19
    assert all("own-ids" in str(answer) for answer in told)
    assert await proof.deployed(cluster, "own-ids") == [1]
    assert len((await innkeeper.operations("own-ids")).items) == 1


@pytest.mark.parametrize("plan", ["created", "suite"])
async def test_a_chart_that_nobody_here_wrote_works_by_the_catalog_alone(
    innkeeper: Innkeeper, cluster: KubernetesCluster, database: SupabaseDatabase, plan: str
) -> None:
    name = f"foreign-{plan}"
    await provision(innkeeper, name, plan)
    await proof.demand_running(cluster, database, name)
    ran, volumes = await replicas(cluster, name), await proof.volumes(cluster, name)
    await (await innkeeper.stop(name)).result()
    await proof.demand_stopped(cluster, database, name)
    await (await innkeeper.start(name)).result()
    assert await replicas(cluster, name) == ran
    await (await innkeeper.restart(name)).result()
    await proof.demand_running(cluster, database, name)
    await (await innkeeper.uninstall(name)).result()
    assert await proof.pods(cluster, name) == []
    assert await proof.volumes(cluster, name) == volumes
    await provision(innkeeper, name, plan)
    await proof.demand_running(cluster, database, name)
    assert await proof.volumes(cluster, name) == volumes
    await (await innkeeper.uninstall(name)).result()
    await (await innkeeper.purge(name)).result()
    assert await cluster.get(Ref("v1", "Namespace", f"inn-{name}")) is None


@pytest.mark.parametrize(
    ("plan", "kind", "words"),
    [
        ("image", "Pod", "image"),
        ("crash", "Pod", "crash"),
        ("job", "Job", "fail"),
        ("quota", "", "exceeded quota"),
    ],
)
async def test_what_never_gets_ready_fails_at_once_with_the_object_and_the_reason(
    innkeeper: Innkeeper, cluster: KubernetesCluster, plan: str, kind: str, words: str
) -> None:
    name = f"never-{plan}"
    result = await failed(await innkeeper.provision(name, tenant="t1", plan=plan))
    row = await innkeeper.get(name)
    assert row is not None
    assert (result.outcome, row.status) == (Outcome.UNDONE, Status.ERROR)
    assert row.cause is not None
    assert row.cause.object.startswith(kind)
    assert f"inn-{name}" in row.cause.object
    assert words in f"{row.cause.code} {row.cause.message}".lower()
    assert row.cause.fix
    assert await proof.deployed(cluster, name) == []
    took = result.steps[-1].at - result.steps[0].at
    assert took.total_seconds() < 110, "no step has waited for its deadline"


async def test_a_slow_start_is_waited_for(innkeeper: Innkeeper) -> None:
    assert (await provision(innkeeper, "slow-start", "slow")).outcome is Outcome.DONE


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ("render", "chart"),
        ("schema", "replicas"),
        ("cluster-scoped", "belongs to no namespace"),
        ("foreign-namespace", "outside the instance's namespace"),
        ("unknown", "is not in the catalog"),
    ],
)
async def test_a_plan_that_cannot_be_is_refused_before_anything_is_touched(
    innkeeper: Innkeeper, cluster: KubernetesCluster, plan: str, words: str
) -> None:
    with pytest.raises(Refused, match=words) as refused:
        await provision(innkeeper, f"cannot-{plan}", plan)
    assert refused.value.cause.fix
    assert await innkeeper.get(f"cannot-{plan}") is None
    assert await cluster.get(Ref("v1", "Namespace", f"inn-cannot-{plan}")) is None


async def test_a_namespace_of_somebody_else_is_refused_and_left_as_it_is(
    innkeeper: Innkeeper, cluster: KubernetesCluster
) -> None:
    foreign: Manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "inn-foreign"}}
    made = await cluster.create(foreign)
    with pytest.raises(Refused, match="not this instance's"):
        await provision(innkeeper, "foreign")
    found = await cluster.get(Ref("v1", "Namespace", "inn-foreign"))
    assert found is not None
    assert found["metadata"]["labels"] == made["metadata"]["labels"]
    assert await innkeeper.get("foreign") is None


async def test_a_stopped_instance_stays_stopped_when_somebody_scales_it_up(
    innkeeper: Innkeeper, cluster: KubernetesCluster
) -> None:
    await provision(innkeeper, "held")
    ran = await replicas(cluster, "held")
    await (await innkeeper.stop("held")).result()
    for deployment in await cluster.list_objects("apps/v1", "Deployment", namespace="inn-held"):
        ref = Ref("apps/v1", "Deployment", deployment["metadata"]["name"], "inn-held")
        await cluster.patch(ref, {"spec": {"replicas": 3}})
    await asyncio.sleep(1)
    assert await proof.pods(cluster, "held") == []
    await (await innkeeper.start("held")).result()
    assert await replicas(cluster, "held") == ran
