"""Watches on a real API server whose connections are counted, cut and stalled."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from proxy import Fault, Proxy

from innkeeper.embedded.options import Addresses
from innkeeper.gateways.kubernetes import KubernetesCluster
from innkeeper.gateways.kubernetes_api import CONNECTIONS
from innkeeper.gateways.kubernetes_watch import Pace
from innkeeper.model.errors import AlreadyExists, Unreachable
from innkeeper.model.health import WATCHED
from innkeeper.model.ports import Cluster, Manifest, Ref, Watch

QUICK = Pace(stream=2, silence=3.0, patience=10.0, linger=0.5)
PATIENCE = 60.0
"""Seconds in which a change is seen, however busy the machine."""


@pytest.fixture(scope="module")
async def straight(addresses: Addresses) -> AsyncIterator[Cluster]:
    """The cluster by a way that is never cut."""
    assert addresses.kubeconfig is not None
    async with await KubernetesCluster.connect(addresses.kubeconfig, addresses.context) as connected:
        yield connected


@pytest.fixture
async def proxy(addresses: Addresses) -> AsyncIterator[Proxy]:
    assert addresses.kubeconfig is not None
    server = urlsplit(yaml.safe_load(addresses.kubeconfig.read_text())["clusters"][0]["cluster"]["server"])
    assert server.hostname is not None
    assert server.port is not None
    async with Proxy(server.hostname, server.port) as proxy:
        yield proxy


@pytest.fixture
async def cluster(addresses: Addresses, proxy: Proxy, tmp_path: Path) -> AsyncIterator[KubernetesCluster]:
    """The cluster through the proxy."""
    assert addresses.kubeconfig is not None
    content = yaml.safe_load(addresses.kubeconfig.read_text())
    content["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{proxy.port}"
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(content))
    async with await KubernetesCluster.connect(kubeconfig, timeout=15.0, pace=QUICK) as connected:
        yield connected


@pytest.fixture
async def namespace(straight: Cluster) -> AsyncIterator[str]:
    name = f"inn-{secrets.token_hex(4)}"
    made = await straight.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    await straight.delete(Ref.to(made), uid=made["metadata"]["uid"])


async def test_a_rush_waits_for_connections_and_opens_no_more_than_there_may_be(
    cluster: KubernetesCluster, proxy: Proxy, namespace: str
) -> None:
    most = 0

    async def look() -> None:
        nonlocal most
        await cluster.list_objects("v1", "Pod", namespace=namespace)
        most = max(most, proxy.open)

    await asyncio.gather(*(look() for _ in range(300)))
    assert CONNECTIONS / 2 < most <= CONNECTIONS


def idle(namespace: str) -> Manifest:
    labels = {"app": "web"}
    containers = [{"name": "main", "image": "nginx:1"}]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
        },
    }


async def mark(cluster: Cluster, namespace: str, text: str) -> None:
    ref = Ref("apps/v1", "Deployment", "web", namespace)
    assert await cluster.patch(ref, {"metadata": {"annotations": {"mark": text}}}) is not None


def marks(watch: Watch) -> set[str]:
    return {
        one["metadata"].get("annotations", {}).get("mark", "") for one in watch.objects() if one["kind"] == "Deployment"
    }


async def shown(watch: Watch, text: str) -> float:
    """The seconds until the mark is seen."""
    begun = time.monotonic()
    async with asyncio.timeout(PATIENCE):
        while text not in marks(watch):
            await watch.changed()
    return time.monotonic() - begun


async def until_lost(watch: Watch, *, within: float) -> None:
    """Wait for changes until there is an error."""
    async with asyncio.timeout(within):
        while True:
            watch.objects()
            await watch.changed()


async def test_fifty_watches_share_their_connections(
    cluster: KubernetesCluster, straight: Cluster, proxy: Proxy, namespace: str
) -> None:
    await straight.create(idle(namespace))
    async with AsyncExitStack() as stack:
        watches = await asyncio.gather(
            *(stack.enter_async_context(cluster.watch(namespace)) for _ in range(25)),
            *(stack.enter_async_context(cluster.watch(f"inn-empty-{number}")) for number in range(25)),
        )
        waiting = [asyncio.ensure_future(shown(watch, "all")) for watch in watches[:25]]
        await mark(straight, namespace, "all")
        took = await asyncio.gather(*waiting)
        # All hear of it by one stream: whatever held it up, none waits for the others.
        assert max(took) - min(took) < 5
        assert not any(watch.objects() for watch in watches[25:])
        # A stream a kind, and what the lists at the entries were made through.
        assert proxy.open <= len(WATCHED) + 16


async def test_a_change_reaches_a_watch_in_a_moment(
    cluster: KubernetesCluster, straight: Cluster, namespace: str
) -> None:
    await straight.create(idle(namespace))
    async with cluster.watch(namespace) as watch:
        took = []
        for number in range(5):
            await mark(straight, namespace, str(number))
            took.append(await shown(watch, str(number)))
    # What else the machine does may hold one of them up, and not what is by itself quick.
    assert min(took) < 2


async def test_a_watch_outlives_many_ends_of_its_streams(
    cluster: KubernetesCluster, straight: Cluster, namespace: str
) -> None:
    await straight.create(idle(namespace))
    async with cluster.watch(namespace) as watch:
        for number in range(5):
            await asyncio.sleep(1)
            await mark(straight, namespace, str(number))
            await shown(watch, str(number))


async def test_a_watch_goes_on_after_the_server_was_cut_off_and_misses_nothing(
    cluster: KubernetesCluster, straight: Cluster, proxy: Proxy, namespace: str
) -> None:
    await straight.create(idle(namespace))
    async with cluster.watch(namespace) as watch:
        assert marks(watch) == {""}
        await proxy.refuse()
        await mark(straight, namespace, "meanwhile")
        await asyncio.sleep(1)
        assert marks(watch) == {""}
        await proxy.accept()
        await shown(watch, "meanwhile")


async def test_an_answer_that_is_lost_is_unreachable_although_the_effect_happened(
    cluster: KubernetesCluster, proxy: Proxy, namespace: str
) -> None:
    ref = Ref("apps/v1", "Deployment", "web", namespace)
    # Over a connection that stands: a cut during the TLS handshake would let no request through.
    assert await cluster.get(ref) is None
    proxy.fault = Fault.CUT_ANSWER
    with pytest.raises(Unreachable):
        await cluster.create(idle(namespace))
    proxy.fault = Fault.NONE
    assert await cluster.get(ref) is not None
    with pytest.raises(AlreadyExists):
        await cluster.create(idle(namespace))


async def test_a_half_open_connection_is_noticed(
    cluster: KubernetesCluster, straight: Cluster, proxy: Proxy, namespace: str
) -> None:
    await straight.create(idle(namespace))
    async with cluster.watch(namespace) as watch:
        await proxy.refuse()
        await proxy.accept()
        await mark(straight, namespace, "again")
        await shown(watch, "again")
        proxy.fault = Fault.STALL
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1") as lost:
            await until_lost(watch, within=QUICK.silence + QUICK.patience + PATIENCE)
        assert lost.value.cause.fix
        await mark(straight, namespace, "flows")
        proxy.fault = Fault.NONE
        async with asyncio.timeout(PATIENCE):
            while "flows" not in marks(watch):
                try:
                    await watch.changed()
                except Unreachable:
                    await asyncio.sleep(0.1)


async def test_entering_a_watch_while_the_server_is_away_says_so_and_names_the_setting(
    cluster: KubernetesCluster, proxy: Proxy, namespace: str
) -> None:
    await proxy.refuse()
    with pytest.raises(Unreachable, match="INNKEEPER_KUBECONFIG"):
        async with cluster.watch(namespace):
            pass
    await proxy.accept()
    async with cluster.watch(namespace) as watch:
        assert watch.objects() == []


async def test_streams_end_when_nobody_has_watched_for_a_while_and_begin_again(
    cluster: KubernetesCluster, straight: Cluster, proxy: Proxy, namespace: str
) -> None:
    await straight.create(idle(namespace))
    async with cluster.watch(namespace):
        pass
    names = {task.get_name() for task in asyncio.all_tasks()}
    assert "watch Pod" in names
    async with asyncio.timeout(PATIENCE):
        while "watch Pod" in {task.get_name() for task in asyncio.all_tasks()}:
            await asyncio.sleep(0.1)
    async with cluster.watch(namespace) as watch:
        await mark(straight, namespace, "back")
        await shown(watch, "back")
