"""Drift made by hand on real parts: each kind is found, and nothing is found of what operations leave."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.testing import ActivityEnvironment

from innkeeper.activities.reconciling import Reconciling
from innkeeper.client import Innkeeper
from innkeeper.client.connection import connect
from innkeeper.client.desk import TemporalDesk
from innkeeper.embedded import demo_proof as proof
from innkeeper.embedded.options import Addresses
from innkeeper.gateways.database import SupabaseDatabase
from innkeeper.gateways.finding_rows import SupabaseFindings
from innkeeper.gateways.freeze_rows import SupabaseFreezes
from innkeeper.gateways.kubernetes import KubernetesCluster
from innkeeper.gateways.kubernetes_fleet import KubernetesFleet
from innkeeper.model import marks
from innkeeper.model.catalog import ChartRef
from innkeeper.model.errors import OperationFailed, ReleaseFailed
from innkeeper.model.findings import Looking
from innkeeper.model.ports import Ref, Release
from innkeeper.settings import Settings

from .drifting import Hands, database_of, drift_of, explained, web

CHARTS = Path(__file__).parents[1] / "data" / "charts"
NAME = "drifted"
NAMESPACE = f"inn-{NAME}"
QUOTA = Ref("v1", "ResourceQuota", "innkeeper", NAMESPACE)
POLICY = Ref("networking.k8s.io/v1", "NetworkPolicy", "innkeeper-isolated", NAMESPACE)
CREDENTIALS = Ref("v1", "Secret", "room-credentials", NAMESPACE)


@pytest.fixture
def hands(cluster: KubernetesCluster, addresses: Addresses) -> Hands:
    return Hands(cluster, addresses)


@pytest.fixture(scope="module")
async def drifted(innkeeper: Innkeeper) -> AsyncIterator[str]:
    """An instance that runs, and that nobody has touched yet."""
    await (await innkeeper.provision(NAME, tenant="t1", plan="starter")).result()
    yield NAME
    await (await innkeeper.uninstall(NAME)).result()
    await (await innkeeper.purge(NAME)).result()


@pytest.fixture
async def clean(innkeeper: Innkeeper, drifted: str) -> str:
    """The same, as the test before left it: without drift."""
    assert await drift_of(innkeeper, drifted) == {}
    return drifted


async def test_what_operations_leave_is_no_drift(innkeeper: Innkeeper) -> None:
    plans = {"calm-room": "starter", "calm-created": "created", "calm-suite": "suite", "calm-copy": "wide"}
    for name, plan in plans.items():
        await (await innkeeper.provision(name, tenant="t1", plan=plan)).result()
        assert await drift_of(innkeeper, name) == {}, plan
    await (await innkeeper.stop("calm-suite")).result()
    await (await innkeeper.restart("calm-created")).result()
    await (await innkeeper.upgrade("calm-room", plan="wide")).result()
    await (await innkeeper.repair("calm-copy")).result()
    for name in plans:
        assert await drift_of(innkeeper, name) == {}, name
    for name in plans:
        await (await innkeeper.uninstall(name)).result()
        assert await drift_of(innkeeper, name) == {}, name
        await (await innkeeper.purge(name)).result()
    found = await innkeeper.reconcile()
    assert [each for each in found.named if each.partition(":")[0] in plans] == []


async def test_replicas_changed_by_hand_are_found_with_the_diff_and_gone_once_put_back(
    innkeeper: Innkeeper, hands: Hands, clean: str
) -> None:
    await hands.change(web(clean), {"spec": {"replicas": 3}})
    found = (await drift_of(innkeeper, clean))["replicas-changed"]
    assert (found.wanted, found.found) == ("replicas: 1", "replicas: 3")
    assert (found.object, found.mend) == (f"Deployment {NAMESPACE}/{clean}-web", f"innkeeper repair {clean}")
    again = (await drift_of(innkeeper, clean))["replicas-changed"]
    assert (again.id, again.first_seen) == (found.id, found.first_seen)
    assert again.last_seen > found.last_seen
    await hands.change(web(clean), {"spec": {"replicas": 1}})
    assert await drift_of(innkeeper, clean) == {}
    gone = (await innkeeper.findings(clean, resolved=True)).items[-1]
    assert gone.id == found.id
    assert gone.resolved_at is not None


async def test_replicas_that_an_autoscaler_owns_are_its_own_affair(
    innkeeper: Innkeeper, hands: Hands, clean: str
) -> None:
    autoscaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": NAMESPACE},
        "spec": {
            "minReplicas": 2,
            "maxReplicas": 3,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"{clean}-web"},
        },
    }
    made = await hands.cluster.create(autoscaler)
    await hands.change(web(clean), {"spec": {"replicas": 2}})
    assert await drift_of(innkeeper, clean) == {}
    await hands.delete(Ref.to(made))
    assert set(await drift_of(innkeeper, clean)) == {"replicas-changed"}
    await hands.change(web(clean), {"spec": {"replicas": 1}})


async def test_an_image_changed_by_hand_is_found_and_an_injected_sidecar_and_annotations_are_not(
    innkeeper: Innkeeper, hands: Hands, clean: str
) -> None:
    before = await hands.cluster.get(web(clean))
    assert before is not None
    containers = before["spec"]["template"]["spec"]["containers"]
    sidecar = {**containers[0], "name": "proxy", "image": "mesh/proxy:1", "ports": None, "startupProbe": None}
    template = {"metadata": {"annotations": {"team": "web"}}, "spec": {"containers": [*containers, sidecar]}}
    await hands.change(web(clean), {"metadata": {"annotations": {"note": "by hand"}}, "spec": {"template": template}})
    assert await drift_of(innkeeper, clean) == {}
    await hands.set_image(web(clean), "example/web:hotfix")
    found = (await drift_of(innkeeper, clean))["image-changed"]
    assert (found.wanted, found.found) == (f"web: {containers[0]['image']}", "web: example/web:hotfix")
    assert await explained(innkeeper, clean) == [f"innkeeper repair {clean}"]
    await (await innkeeper.repair(clean)).result()
    assert await drift_of(innkeeper, clean) == {}
    live = await hands.cluster.get(web(clean))
    assert live is not None
    assert {each["name"] for each in live["spec"]["template"]["spec"]["containers"]} == {"web", "proxy"}
    await hands.change(web(clean), {"spec": {"template": {"spec": {"containers": containers}}}})


async def test_a_deleted_workload_and_scaled_ones_are_found_explained_and_repaired(
    innkeeper: Innkeeper, hands: Hands, clean: str
) -> None:
    await hands.delete(web(clean))
    await hands.change(database_of(clean), {"spec": {"replicas": 2}})
    assert set(await drift_of(innkeeper, clean)) == {"workload-missing", "replicas-changed"}
    # Until the pod that is too many is ready, there is more to say.
    assert f"innkeeper repair {clean}" in await explained(innkeeper, clean)
    await (await innkeeper.repair(clean)).result()
    assert await drift_of(innkeeper, clean) == {}
    assert await explained(innkeeper, clean) == []


async def test_a_running_row_over_no_pods_is_found(innkeeper: Innkeeper, hands: Hands, clean: str) -> None:
    for ref in (web(clean), database_of(clean)):
        await hands.change(ref, {"spec": {"replicas": 0}})
    async with asyncio.timeout(120):
        while await proof.pods(hands.cluster, clean):
            await asyncio.sleep(0.2)
    await innkeeper.reconcile(clean)
    found = {(each.what.value, each.found) for each in (await innkeeper.findings(clean)).items}
    assert found == {("replicas-changed", "replicas: 0"), ("status-wrong", "no pods")}
    await (await innkeeper.repair(clean)).result()


async def test_quota_and_policy_changed_or_gone_are_found_and_repaired(
    innkeeper: Innkeeper, hands: Hands, clean: str
) -> None:
    await hands.change(QUOTA, {"spec": {"hard": {"pods": "99", "requests.cpu": "2000m", "services": "3"}}})
    await hands.change(POLICY, {"spec": {"ingress": [{}]}})
    found = await drift_of(innkeeper, clean)
    assert set(found) == {"quota-changed", "policy-changed"}
    quota = found["quota-changed"]
    assert quota.wanted.splitlines() == ["hard.pods: 10", "hard.services: (absent)"]
    assert quota.found.splitlines() == ["hard.pods: 99", "hard.services: 3"]
    for ref in (QUOTA, POLICY):
        await hands.delete(ref)
    assert set(await drift_of(innkeeper, clean)) == {"quota-missing", "policy-missing"}
    await (await innkeeper.repair(clean)).result()
    assert await drift_of(innkeeper, clean) == {}
    enforced = "pod-security.kubernetes.io/enforce"
    await hands.change(Ref("v1", "Namespace", NAMESPACE), {"metadata": {"labels": {enforced: "privileged"}}})
    level = (await drift_of(innkeeper, clean))["policy-changed"]
    assert (level.object, level.found) == (f"Namespace {NAMESPACE}", f"{enforced}: privileged")
    await (await innkeeper.repair(clean)).result()


async def test_limits_changed_or_gone_are_found_and_repaired(innkeeper: Innkeeper, hands: Hands) -> None:
    name, limits = "limited-drift", Ref("v1", "LimitRange", "innkeeper", "inn-limited-drift")
    await (await innkeeper.provision(name, tenant="t1", plan="created")).result()
    found = await hands.cluster.get(limits)
    assert found is not None
    limit = {**found["spec"]["limits"][0], "default": {"cpu": "4", "memory": "128Mi"}}
    await hands.change(limits, {"spec": {"limits": [limit]}})
    changed = (await drift_of(innkeeper, name))["limits-changed"]
    assert (changed.wanted, changed.found) == ("limits.0.default.cpu: 200m", "limits.0.default.cpu: 4")
    await hands.delete(limits)
    assert set(await drift_of(innkeeper, name)) == {"limits-missing"}
    await (await innkeeper.repair(name)).result()
    assert await drift_of(innkeeper, name) == {}
    await (await innkeeper.uninstall(name)).result()
    await (await innkeeper.purge(name)).result()


async def test_a_secret_somebody_wrote_lacks_a_key_of_or_deleted_is_found_and_never_shown(
    innkeeper: Innkeeper, hands: Hands, clean: str
) -> None:
    before = await hands.cluster.get(CREDENTIALS)
    assert before is not None
    path = f"/api/v1/namespaces/{NAMESPACE}/secrets/{CREDENTIALS.name}"
    other = base64.b64encode(b"rotated-by-hand-0123456789").decode()
    await hands.write_as("kubectl-edit", path, {"data": {"password": other}})
    found = (await drift_of(innkeeper, clean))["secret-changed"]
    assert (found.wanted, found.found) == ("password: written by innkeeper", "password: written by kubectl-edit")
    assert "rotated" not in str(found)
    assert other not in str(found)
    # What the finding says takes the new value as it is.
    assert """--patch '{"metadata":{"managedFields":[{}]}}'""" in found.mend
    await hands.write_as("kubectl", path, {"metadata": {"managedFields": [{}]}})
    assert await drift_of(innkeeper, clean) == {}
    await hands.change(CREDENTIALS, {"data": {"password": None, "other": other}})
    missing = (await drift_of(innkeeper, clean))["secret-missing"]
    assert (missing.wanted, missing.found) == ("keys: password", "keys: other")
    await hands.delete(CREDENTIALS)
    assert (await drift_of(innkeeper, clean))["secret-missing"].found == "(absent)"
    await (await innkeeper.repair(clean)).result()


async def test_a_release_rolled_back_or_uninstalled_by_hand_is_found(
    innkeeper: Innkeeper, hands: Hands, clean: str
) -> None:
    row = await innkeeper.get(clean)
    assert row is not None
    assert row.revision is not None
    await hands.helm.rollback(clean, NAMESPACE, row.revision, limit=60)
    found = (await drift_of(innkeeper, clean))["release-by-hand"]
    assert found.found.startswith(f"revision {row.revision + 1}, by innkeeper, chart room-")
    await (await innkeeper.repair(clean)).result()
    assert await drift_of(innkeeper, clean) == {}
    await hands.helm.uninstall(clean, NAMESPACE, limit=60)
    assert "release-missing" in await drift_of(innkeeper, clean)
    await (await innkeeper.repair(clean)).result()


@pytest.fixture
def hooked(root: Path, tmp_path: Path) -> ChartRef:
    """The chart `room` with a hook, as somebody may have written it."""
    shutil.copytree(root / "charts" / "room", tmp_path / "room")
    shutil.copy(CHARTS / "broken-job" / "templates" / "job.yaml", tmp_path / "room" / "templates")
    (tmp_path / "room" / "values.schema.json").unlink()
    return ChartRef(path=str(tmp_path / "room"))


async def test_a_failed_hook_of_an_upgrade_by_hand_is_found_and_repaired(
    innkeeper: Innkeeper, hands: Hands, clean: str, hooked: ChartRef, settings: Settings
) -> None:
    values = {**settings.load_catalog().plan("starter").values, "url": "", "existingSecret": "room-credentials"}
    failing = {"hook": "pre-upgrade", "fault": "fail", "backoffLimit": 0}
    broken = Release(name=clean, namespace=NAMESPACE, chart=hooked, values={**values, **failing}, mark="by-hand")
    with pytest.raises(ReleaseFailed):
        await hands.helm.upgrade(broken, limit=60)
    found = await drift_of(innkeeper, clean)
    assert set(found) == {"release-unsettled", "hook-failed"}
    assert found["hook-failed"].object == f"Release {NAMESPACE}/{clean} hook Job {clean}-migration"
    await (await innkeeper.repair(clean)).result()


async def test_a_stopped_row_with_pods_and_without_its_quota_is_found_and_repaired(
    innkeeper: Innkeeper, hands: Hands, clean: str
) -> None:
    await (await innkeeper.stop(clean)).result()
    assert await drift_of(innkeeper, clean) == {}
    await hands.delete(Ref("v1", "ResourceQuota", marks.STOP_QUOTA, NAMESPACE))
    await hands.change(web(clean), {"spec": {"replicas": 1}})
    async with asyncio.timeout(120):
        while not await proof.pods(hands.cluster, clean):
            await asyncio.sleep(0.2)
    found = await drift_of(innkeeper, clean)
    assert set(found) == {"quota-missing", "replicas-changed", "status-wrong"}
    assert found["status-wrong"].found.startswith(f"1 pods: {clean}-web-")
    await (await innkeeper.repair(clean)).result()
    assert await drift_of(innkeeper, clean) == {}
    await (await innkeeper.start(clean)).result()


async def test_another_chart_version_and_an_outdated_plan_are_found_and_a_plan_that_is_gone(
    innkeeper: Innkeeper,
    hands: Hands,
    clean: str,
    settings: Settings,
    database: SupabaseDatabase,
    addresses: Addresses,
) -> None:
    catalog = settings.load_catalog()
    plan = catalog.plan("starter")
    desk = TemporalDesk(await connect(addresses.temporal_address), "nobody-polls")
    findings, freezes = database.sharing(SupabaseFindings), database.sharing(SupabaseFreezes)
    fleet = KubernetesFleet(hands.cluster)

    async def found_by(**plans: object) -> dict[str, tuple[str, str]]:
        changed = catalog.model_copy(update={"plans": plans})
        looks = Reconciling(database, findings, freezes, fleet, desk, hands.helm, changed)
        await ActivityEnvironment().run(looks.reconcile, Looking(instance=clean))
        items = (await innkeeper.findings(clean)).items
        return {each.what.value: (each.wanted, each.found) for each in items}

    pinned = plan.model_copy(update={"chart": plan.chart.model_copy(update={"version": "9.9.9"})})
    assert await found_by(starter=pinned) == {"chart-version": ("version: 9.9.9", "version: 0.1.0")}
    wider = plan.model_copy(update={"values": {**plan.values, "web": {"replicas": 2}}})
    assert set(await found_by(starter=wider)) == {"plan-outdated"}
    assert await found_by(other=plan) == {"plan-unknown": ("a plan of the catalog", "(absent)")}
    ignoring = plan.model_copy(update={"ignore_drift": ["replicas-* Deployment inn-*/*-web"]})
    await hands.change(web(clean), {"spec": {"replicas": 2}})
    assert await found_by(starter=ignoring) == {}
    assert set(await found_by(starter=plan)) == {"replicas-changed"}
    await hands.change(web(clean), {"spec": {"replicas": 1}})


async def test_a_row_in_transition_that_nothing_stands_behind_is_found_and_repaired(
    innkeeper: Innkeeper, hands: Hands
) -> None:
    name = "stuck"
    body = {
        "name": name,
        "tenant": "t1",
        "plan": "starter",
        "namespace": f"inn-{name}",
        "release": name,
        "status": "purging",
        "settled": "uninstalled",
        "generation": 4,
        "updated_at": "2026-01-01T00:00:00Z",
    }
    await hands.rows("POST", "instances", body=body)
    found = await drift_of(innkeeper, name)
    assert set(found) == {"transition-stuck"}
    assert found["transition-stuck"].found == "purging since 2026-01-01 00:00:00 UTC, and none runs"
    await (await innkeeper.repair(name)).result()
    assert await drift_of(innkeeper, name) == {}


async def test_an_instance_whose_operation_runs_is_left_alone(innkeeper: Innkeeper, hands: Hands) -> None:
    name = "at-work"
    handle = await innkeeper.provision(name, tenant="t1", plan="slow")
    async with asyncio.timeout(120):
        while await hands.cluster.get(Ref("v1", "Namespace", f"inn-{name}")) is None:
            await asyncio.sleep(0.05)
    found = await innkeeper.reconcile(name)
    assert (found.looked_at, found.busy, found.named) == (0, 1, [])
    await handle.cancel()
    # Nothing of it goes on into what comes next.
    with contextlib.suppress(OperationFailed):
        await handle.result()
