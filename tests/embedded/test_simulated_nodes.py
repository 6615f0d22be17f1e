"""Simulated nodes do what a kubelet does, and play its failures for charts that ask for them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import yaml

from innkeeper.embedded.apiserver import ApiServer
from innkeeper.embedded.options import Addresses
from innkeeper.embedded.pki import Pki

NAMESPACE = "simulated"
FAULT = "kwok.innkeeper.dev/fault"
Object = dict[str, Any]


@pytest.fixture(scope="module")
async def api(addresses: Addresses) -> AsyncIterator[ApiServer]:
    assert addresses.kubeconfig is not None
    url = yaml.safe_load(addresses.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
    async with ApiServer(url, Pki(addresses.kubeconfig.parent / "pki")) as api:
        await api.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        account = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/default"
        await until(api, account, lambda found: "metadata" in found)
        yield api
        await api.delete(f"/api/v1/namespaces/{NAMESPACE}")


async def until(api: ApiServer, path: str, holds: Callable[[Object], bool], *, within: float = 90) -> Object:
    end = time.monotonic() + within
    found = None
    while time.monotonic() < end:
        found = await api.get(path)
        if found is not None and holds(found):
            return found
        await asyncio.sleep(0.02)
    pytest.fail(f"{path} never came to be as expected: {found}")


def pod(*, image: str = "web", annotations: dict[str, str] | None = None, **spec: Any) -> Object:
    containers = [{"name": "web", "image": image}, {"name": "log", "image": "log"}]
    return {"metadata": {"annotations": annotations or {}}, "spec": {"containers": containers, **spec}}


async def make(api: ApiServer, name: str, manifest: Object) -> str:
    manifest["metadata"]["name"] = name
    await api.create(f"/api/v1/namespaces/{NAMESPACE}/pods", manifest)
    return f"/api/v1/namespaces/{NAMESPACE}/pods/{name}"


def states(found: Object, which: str = "containerStatuses") -> list[str]:
    """Each container's reason for not running, or ``running``."""
    statuses = found["status"].get(which, [])
    return [next(iter(status["state"].values())).get("reason", "running") for status in statuses]


def is_ready(found: Object) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in found["status"].get("conditions", []))


async def test_a_pod_is_ready_after_its_init_containers_and_goes_as_soon_as_it_is_deleted(api: ApiServer) -> None:
    init = [{"name": "once", "image": "once"}, {"name": "beside", "image": "beside", "restartPolicy": "Always"}]
    path = await make(api, "plain", pod(initContainers=init))
    found = await until(api, path, is_ready)
    assert found["status"]["phase"] == "Running"
    assert states(found, "initContainerStatuses") == ["Completed", "running"]
    assert found["status"]["podIP"]
    await api.delete(path)
    begun = time.monotonic()
    while await api.get(path) is not None:
        await asyncio.sleep(0.02)
    assert time.monotonic() - begun < 20, "the grace of 30 s is not sat out"


@pytest.mark.parametrize(
    ("fault", "seen"),
    [("image", "ImagePullBackOff"), ("crash", "CrashLoopBackOff"), ("config", "CreateContainerConfigError")],
)
async def test_a_fault_is_played_for_the_whole_pod_by_annotation_and_for_one_container_by_image(
    fault: str, seen: str, api: ApiServer
) -> None:
    annotated = await make(api, f"{fault}-annotated", pod(annotations={FAULT: fault}))
    spoiled = await make(api, f"{fault}-image", pod(image=f"faults.innkeeper.dev/{fault}:1"))
    await until(api, annotated, lambda found: states(found) == [seen, seen])
    found = await until(api, spoiled, lambda found: states(found) == [seen, "running"])
    assert not is_ready(found)


async def test_an_init_container_can_crash(api: ApiServer) -> None:
    path = await make(api, "init", pod(annotations={FAULT: "init"}, initContainers=[{"name": "one", "image": "one"}]))
    await until(api, path, lambda found: states(found, "initContainerStatuses") == ["CrashLoopBackOff"])


async def test_a_slow_pod_runs_before_it_is_ready(api: ApiServer) -> None:
    path = await make(api, "slow", pod(annotations={"kwok.innkeeper.dev/ready-after": "6s"}))
    running = await until(api, path, lambda found: found["status"]["phase"] == "Running")
    assert not is_ready(running)
    await until(api, path, is_ready)


async def test_the_real_scheduler_finds_no_place_for_too_much(api: ApiServer) -> None:
    much = [{"name": "web", "image": "web", "resources": {"requests": {"cpu": "1000"}}}]
    path = await make(api, "much", pod(containers=much))
    await until(api, path, lambda found: "Unschedulable" in str(found["status"].get("conditions")))


@pytest.mark.parametrize(("fault", "ends"), [({}, "succeeded"), ({FAULT: "fail"}, "failed")])
async def test_a_job_completes_or_fails(fault: dict[str, str], ends: str, api: ApiServer) -> None:
    path = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
    template = pod(annotations=fault, restartPolicy="Never")
    await api.create(path, {"metadata": {"name": ends}, "spec": {"backoffLimit": 0, "template": template}})
    await until(api, f"{path}/{ends}", lambda found: found["status"].get(ends) == 1)


async def test_a_claim_gets_a_volume_when_its_pod_is_placed_and_loses_it_when_it_is_deleted(api: ApiServer) -> None:
    claims = f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims"
    asked = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    await api.create(claims, {"metadata": {"name": "data"}, "spec": asked})
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    path = await make(api, "keeper", pod(volumes=volumes))
    await until(api, path, is_ready)
    claim = await until(api, f"{claims}/data", lambda found: found["status"]["phase"] == "Bound")
    volume = f"/api/v1/persistentvolumes/{claim['spec']['volumeName']}"
    assert await api.get(volume) is not None
    await api.delete(path)
    await api.delete(f"{claims}/data")
    end = time.monotonic() + 90
    while await api.get(volume) is not None:
        assert time.monotonic() < end, "the volume of a deleted claim stays"
        await asyncio.sleep(0.05)
