"""A stop and a start of what no controller brings back, and of what the cluster is slow to let in again."""

from __future__ import annotations

import pytest

from innkeeper.model import marks, surroundings
from innkeeper.model.errors import AlreadyExists, Forbidden, NeverReady, NotOurs, Pending, Permanent
from innkeeper.model.ports import Manifest, Ref

from .conftest import WORK, Bench

POD = Ref("v1", "Pod", "alone", "inn-acme")
QUOTA = Ref("v1", "ResourceQuota", marks.STOP_QUOTA, "inn-acme")
STILL = Forbidden(f"pods is forbidden: exceeded quota: {marks.STOP_QUOTA}, requested: pods=1")


def alone(**meta: object) -> Manifest:
    """A pod that a chart makes without a controller."""
    container = {"name": "web", "image": "example/web:1"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "alone", **meta},
        "spec": {"containers": [container]},
    }


async def running_alone(bench: Bench, **meta: object) -> Manifest:
    """The instance runs one such pod, beside a ConfigMap."""
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "config"}}
    await bench.stored(1, "deployed", config, alone())
    return await bench.world.create(alone(namespace="inn-acme", **meta))


async def test_a_pod_without_a_controller_is_deleted_by_a_stop_and_made_anew_by_a_start(bench: Bench) -> None:
    before = await running_alone(bench)
    assert await bench.attempt(bench.workloads.scale_down)
    assert await bench.world.get(POD) is not None
    await bench.attempt(bench.workloads.gone)
    assert await bench.world.get(POD) is None
    assert await bench.attempt(bench.workloads.scale_up)
    after = await bench.world.get(POD)
    assert after is not None
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert await bench.attempt(bench.workloads.scale_up), "asked again it changes nothing"
    assert await bench.world.get(POD) == after


async def test_a_pod_that_is_still_being_deleted_is_waited_for(bench: Bench) -> None:
    await running_alone(bench, finalizers=["example.com/hold"])
    await bench.attempt(bench.workloads.scale_down)
    with pytest.raises(Pending, match=r"pods are still there after 0\.2 s: Pod inn-acme/alone"):
        await bench.attempt(bench.workloads.gone, limit=0.4)
    with pytest.raises(Pending, match="Pod inn-acme/alone is still being deleted"):
        await bench.attempt(bench.workloads.scale_up)
    await bench.world.patch(POD, {"metadata": {"finalizers": None}})
    await bench.attempt(bench.workloads.scale_up)
    assert await bench.world.get(POD) is not None


async def test_a_start_waits_until_pods_are_let_in_again(bench: Bench) -> None:
    await running_alone(bench)
    await bench.attempt(bench.workloads.halt)
    bench.faults.fail("cluster.create", STILL, times=3)
    await bench.attempt(bench.workloads.scale_up)
    assert await bench.world.get(POD) is not None
    assert bench.faults.unplayed == []


async def test_a_refusal_that_is_not_the_stops_ends_the_waiting(bench: Bench) -> None:
    await running_alone(bench)
    await bench.attempt(bench.workloads.halt)
    bench.faults.fail("cluster.create", Forbidden("exceeded quota: innkeeper, requested: pods=1"))
    await bench.attempt(bench.workloads.scale_up)
    assert await bench.world.get(QUOTA) is None


async def test_a_stop_that_the_api_server_goes_on_enforcing_is_named(bench: Bench) -> None:
    await running_alone(bench)
    await bench.attempt(bench.workloads.halt)
    bench.faults.fail("cluster.create", STILL, times=None)
    with pytest.raises(Pending, match="the API server still enforces ResourceQuota inn-acme/innkeeper-stop"):
        await bench.attempt(bench.workloads.scale_up, limit=0.4)


async def test_a_quota_of_the_stops_name_that_is_somebody_elses_is_not_taken_for_it(bench: Bench) -> None:
    meta = {"name": marks.STOP_QUOTA, "namespace": "inn-acme"}
    foreign = await bench.world.create({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta})
    for act in (bench.workloads.scale_down, bench.workloads.scale_up):
        with pytest.raises(NotOurs):
            await bench.attempt(act)
    assert await bench.world.get(QUOTA) == foreign


async def test_a_stop_goes_on_where_its_quota_is_seen_and_gone_again(bench: Bench) -> None:
    await running_alone(bench)
    bench.faults.fail("cluster.create", AlreadyExists("resourcequotas already exists"))
    assert await bench.attempt(bench.workloads.scale_down)


async def test_a_release_that_is_not_there_is_never_waited_for_to_get_ready(bench: Bench) -> None:
    with pytest.raises(Permanent, match="release acme is not deployed in namespace inn-acme") as refused:
        await bench.attempt(bench.workloads.ready)
    assert refused.value.cause.code == "ReleaseMissing"


async def test_a_stop_deletes_no_volume_whatever_the_workload_says(bench: Bench) -> None:
    policy = {"whenDeleted": "Delete", "whenScaled": "Delete"}
    ref = Ref("apps/v1", "StatefulSet", "db", "inn-acme")
    await bench.world.create(
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": "db", "namespace": "inn-acme"},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": {"app": "db"}},
                "template": {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "db"}]}},
                "persistentVolumeClaimRetentionPolicy": policy,
            },
        }
    )
    await bench.attempt(bench.workloads.scale_down)
    stopped = await bench.world.get(ref)
    assert stopped is not None
    assert stopped["spec"]["replicas"] == 0
    assert stopped["spec"]["persistentVolumeClaimRetentionPolicy"] == dict.fromkeys(policy, "Retain")


async def test_a_later_attempt_says_what_it_waits_for_before_the_steps_time_is_over(bench: Bench) -> None:
    await running_alone(bench, finalizers=["example.com/hold"])
    await bench.attempt(bench.workloads.scale_down)
    with pytest.raises(Pending, match=r"pods are still there after 0\.1 s: Pod inn-acme/alone"):
        await bench.attempt(bench.workloads.gone, in_all=70, gone=69.8)


async def test_what_is_ready_under_a_stops_quota_is_not_called_ready(bench: Bench) -> None:
    await bench.attempt(bench.releases.release)
    await bench.attempt(bench.workloads.ready)
    await bench.world.create(surroundings.no_pods(WORK))
    with pytest.raises(NeverReady, match="lets no pod be made any more") as refused:
        await bench.attempt(bench.workloads.ready)
    assert (refused.value.cause.code, refused.value.cause.object) == ("StillStopped", str(QUOTA))


async def test_an_upgrade_of_what_runs_ends_what_a_stops_late_patch_left_without_its_quota(bench: Bench) -> None:
    await bench.attempt(bench.releases.release)
    await bench.attempt(bench.workloads.halt)
    await bench.remove(QUOTA)
    web = Ref("apps/v1", "Deployment", "acme-web", "inn-acme")
    await bench.attempt(bench.releases.release, WORK.model_copy(update={"plan": "bigger"}))
    found = await bench.world.get(web)
    assert found is not None
    assert (await bench.replicas(), marks.STOPPED in found["metadata"].get("annotations", {})) == (3, False)


async def test_where_only_controllers_pods_end_helms_storage_is_not_read(bench: Bench) -> None:
    await bench.attempt(bench.releases.release)
    await bench.attempt(bench.workloads.scale_down)
    before = bench.faults.count("cluster.get")
    await bench.attempt(bench.workloads.gone)
    assert bench.faults.count("cluster.get") - before == 1, "whose the namespace is"
