"""A worker in a pod with the rights of deploy/worker-rights.yaml does all that a release takes, and no more."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from attempts import OPERATORS, Steps, attempt, work_on

from innkeeper.embedded.options import Addresses
from innkeeper.gateways.helm import HelmCommand
from innkeeper.gateways.kubernetes import KubernetesCluster
from innkeeper.model import catalog, fence, release
from innkeeper.model.errors import AlreadyExists, Forbidden, Permanent
from innkeeper.model.ports import Manifest, Ref
from innkeeper.worker import settle_in

CHARTS = Path(__file__).parents[1] / "data" / "charts"
PATIENCE = 90.0
CATALOG = {
    "plans": {
        "plain": {"chart": {"path": "created"}, "quota": {"pods": 5}},
        "hooked": {"chart": {"path": "memory/hooked"}},
        "outside": {"chart": {"path": "memory/outside"}},
        "wide": {"chart": {"path": "memory/wide"}},
    }
}
ROLE = Ref(fence.RBAC, "ClusterRole", fence.ROLE)


def server_of(addresses: Addresses) -> str:
    assert addresses.kubeconfig is not None
    found = yaml.safe_load(addresses.kubeconfig.read_text())
    return str(found["clusters"][0]["cluster"]["server"])


@pytest.fixture(scope="module")
def manifests(root: Path) -> list[Manifest]:
    return list(yaml.safe_load_all((root / "deploy/worker-rights.yaml").read_text()))


@pytest.fixture
async def account(
    manifests: list[Manifest], cluster: KubernetesCluster, addresses: Addresses, tmp_path: Path
) -> AsyncIterator[Path]:
    """What a pod of the worker's account has mounted. What the cluster had for Helm before is put back."""
    former = await cluster.get(ROLE)
    for manifest in manifests:
        await cluster.apply(manifest)
    token = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/service-account-token",
        "metadata": {
            "name": "token",
            "namespace": OPERATORS,
            "annotations": {"kubernetes.io/service-account.name": "innkeeper-worker"},
        },
    }
    with contextlib.suppress(AlreadyExists):
        await cluster.create(token)
    data: dict[str, Any] = {}
    async with asyncio.timeout(PATIENCE):
        while "token" not in data:
            await asyncio.sleep(0.05)
            data = ((await cluster.get(Ref.to(token))) or {}).get("data") or {}
        # The API server learns by a watch what was applied.
        user = f"system:serviceaccount:{OPERATORS}:innkeeper-worker"
        while not await cluster.may(user, "create", "v1", "Namespace", namespace=""):
            await asyncio.sleep(0.05)
    (tmp_path / "token").write_bytes(base64.b64decode(data["token"]))
    (tmp_path / "ca.crt").write_bytes(base64.b64decode(data["ca.crt"]))
    yield tmp_path
    rules = former["rules"] if former else fence.widest_role()["rules"]
    await cluster.patch(ROLE, {"rules": rules})


@pytest.fixture
async def limited(account: Path, addresses: Addresses) -> AsyncIterator[KubernetesCluster]:
    """The cluster as the worker's account sees it."""
    server = server_of(addresses)
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "here", "cluster": {"server": server, "certificate-authority": str(account / "ca.crt")}}],
        "users": [{"name": "me", "user": {"token": (account / "token").read_text()}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
    }
    (account / "kubeconfig").write_text(yaml.safe_dump(content))
    async with await KubernetesCluster.connect(account / "kubeconfig") as connected:
        yield connected


@pytest.fixture
def steps(limited: KubernetesCluster, account: Path, addresses: Addresses) -> Steps:
    """The steps of a worker in a pod."""
    server = urlsplit(server_of(addresses))
    environment = {
        "KUBERNETES_SERVICE_HOST": str(server.hostname),
        "KUBERNETES_SERVICE_PORT": str(server.port),
        # Helm keeps a cache at home, and without one where it stands.
        "HOME": str(account),
    }
    helm = HelmCommand(kubeconfig=None, environment=environment, account=account)
    return Steps(limited, helm, catalog.parse(CATALOG, folder=str(CHARTS)))


@pytest.fixture
def name() -> str:
    return f"limited-{secrets.token_hex(4)}"


async def test_a_worker_with_these_rights_and_no_others_prepares_installs_upgrades_and_uninstalls(
    steps: Steps, limited: KubernetesCluster, cluster: KubernetesCluster, name: str
) -> None:
    await settle_in(limited, OPERATORS)
    work = work_on(name, "plain")
    for plan in ("plain", "hooked"):
        await attempt(steps.namespaces.prepare, work_on(name, plan))
        await attempt(steps.releases.release, work_on(name, plan))
    labels = release.storage_labels(name)
    stored = await cluster.list_objects("v1", "Secret", namespace=work.namespace, labels=labels)
    assert [each.state.value for each in release.revisions_of(stored)] == ["superseded", "deployed"]
    await attempt(steps.releases.uninstall, work)
    await attempt(steps.namespaces.undo_prepare, work)
    await attempt(steps.namespaces.delete, work)
    assert await cluster.get(Ref("v1", "Namespace", work.namespace)) is None


@pytest.mark.parametrize(
    ("plan", "words"), [("outside", 'in the namespace "default"'), ("wide", "at the cluster scope")]
)
async def test_a_chart_that_reaches_outside_its_namespace_is_refused_in_a_pod_too(
    steps: Steps, cluster: KubernetesCluster, name: str, plan: str, words: str
) -> None:
    work = work_on(name, plan)
    await attempt(steps.namespaces.prepare, work)
    with pytest.raises(Forbidden, match=words):
        await attempt(steps.releases.release, work)
    assert await cluster.get(Ref("v1", "ConfigMap", f"{name}-outside", "default")) is None
    await attempt(steps.namespaces.delete, work)


async def test_a_worker_that_may_not_make_the_missing_role_says_what_to_apply(
    limited: KubernetesCluster, cluster: KubernetesCluster, manifests: list[Manifest]
) -> None:
    role = await cluster.get(ROLE)
    assert role is not None
    await cluster.delete(ROLE, uid=role["metadata"]["uid"])
    with pytest.raises(Permanent, match=f"ClusterRole {fence.ROLE}") as missing:
        await settle_in(limited, OPERATORS)
    assert missing.value.cause.fix == "kubectl apply -f deploy/worker-rights.yaml"
    await settle_in(cluster, OPERATORS)
    made = await cluster.get(ROLE)
    assert made is not None
    assert made["rules"] == fence.widest_role()["rules"]
    await settle_in(limited, OPERATORS)
