"""The cluster under contract: in memory, and a real API server with its controllers."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import pytest

from innkeeper.embedded.options import Addresses
from innkeeper.gateways.kubernetes import KubernetesCluster
from innkeeper.gateways.memory_cluster import MemoryCluster
from innkeeper.model.ports import Cluster, Ref


@pytest.fixture(params=["memory", "kubernetes"], scope="module")
def standing_on(request: pytest.FixtureRequest) -> Addresses | None:
    """What the cluster stands on; None for memory."""
    found: Addresses | None = request.getfixturevalue("addresses") if request.param == "kubernetes" else None
    return found


@pytest.fixture(scope="module")
async def cluster(standing_on: Addresses | None) -> AsyncIterator[Cluster]:
    if standing_on is None:
        yield MemoryCluster()
        return
    async with await KubernetesCluster.connect(standing_on.kubeconfig, standing_on.context) as connected:
        yield connected


@pytest.fixture
async def namespace(cluster: Cluster) -> AsyncIterator[str]:
    name = f"inn-{secrets.token_hex(4)}"
    made = await cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    await cluster.delete(Ref.to(made), uid=made["metadata"]["uid"])
