"""Where Helm's contract is played, in memory and by a child on a real API server, and how it is looked at."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import pytest

from innkeeper.embedded.options import Addresses
from innkeeper.gateways.faults import Faults
from innkeeper.gateways.helm import HelmCommand
from innkeeper.gateways.kubernetes import KubernetesCluster
from innkeeper.gateways.memory_cluster import MemoryCluster
from innkeeper.gateways.memory_helm import MemoryHelm
from innkeeper.model import release as releases
from innkeeper.model.ports import Cluster, Helm, Manifest, Ref, Release
from innkeeper.model.release import Revision

LIMIT = 60.0
PATIENCE = 30.0


class Killed(Exception):
    """The in-memory Helm's SIGKILL."""


class Stage(Protocol):
    """Where a contract is played."""

    @property
    def cluster(self) -> Cluster: ...

    @property
    def helm(self) -> Helm: ...

    async def kill_in_hooks(self, release: Release) -> None:
        """Upgrade to a release of the chart `slow` and kill Helm while its hook runs."""
        ...


class InMemory:
    def __init__(self) -> None:
        self._faults = Faults()
        self.cluster = MemoryCluster()
        self.helm = MemoryHelm(self.cluster, faults=self._faults)

    async def kill_in_hooks(self, release: Release) -> None:
        self._faults.fail("helm.upgrade.hooks", Killed())
        with pytest.raises(Killed):
            await self.helm.upgrade(release, limit=LIMIT)


class OnKubernetes:
    def __init__(self, cluster: KubernetesCluster, addresses: Addresses) -> None:
        self.cluster = cluster
        self.helm = HelmCommand(kubeconfig=addresses.kubeconfig, context=addresses.context)

    async def kill_in_hooks(self, release: Release) -> None:
        running = asyncio.create_task(self.helm.upgrade(release, limit=LIMIT))
        async with asyncio.timeout(PATIENCE):
            while not await self.cluster.get(Ref("batch/v1", "Job", f"{release.name}-before", release.namespace)):
                await asyncio.sleep(0.05)
        for pid in processes_of(release.namespace):
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(Exception, match="killed by signal 9"):
            await running


def processes_of(namespace: str) -> list[int]:
    """The Helm processes that work on a namespace."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if namespace.encode() in entry.read_bytes().split(b"\0"):
                found.append(int(entry.parent.name))
    return found


async def history(cluster: Cluster, namespace: str) -> list[Revision]:
    labels = releases.storage_labels("acme")
    return releases.revisions_of(await cluster.list_objects("v1", "Secret", namespace=namespace, labels=labels))


async def states(cluster: Cluster, namespace: str) -> list[str]:
    return [each.state.value for each in await history(cluster, namespace)]


async def live(cluster: Cluster, namespace: str, kind: str, name: str) -> Manifest | None:
    versions = {"Deployment": "apps/v1", "StatefulSet": "apps/v1"}
    return await cluster.get(Ref(versions.get(kind, "v1"), kind, name, namespace))


async def gone(cluster: Cluster, namespace: str, kind: str, name: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while await live(cluster, namespace, kind, name) is not None:
            await asyncio.sleep(0.05)


async def settle(helm: Helm, cluster: Cluster, wanted: Release) -> list[str]:
    """Do what follows from the storage until nothing does, long after any Helm has died; the actions' names."""
    done = []
    for _ in range(6):
        revisions = await history(cluster, wanted.namespace)
        later = await cluster.now() + timedelta(seconds=2 * LIMIT)
        action = releases.decide(revisions, wanted.mark, later, LIMIT)
        done.append(type(action).__name__)
        match action:
            case releases.Nothing():
                return done
            case releases.RollbackThenUpgrade(to):
                await helm.rollback(wanted.name, wanted.namespace, to, limit=LIMIT)
            case releases.UninstallThenInstall():
                await helm.uninstall(wanted.name, wanted.namespace, limit=LIMIT)
            case releases.Install() | releases.Upgrade():
                await helm.upgrade(wanted, limit=LIMIT)
    raise AssertionError(done)
