"""Where Helm's contract is played, in memory and by a child on a real API server, and how it is looked at."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
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
from innkeeper.model.errors import AlreadyExists
from innkeeper.model.ports import Cluster, Helm, Manifest, Ref, Release
from innkeeper.model.release import Revision

CHARTS = Path(__file__).parents[1] / "data" / "charts" / "memory"
LIMIT = 60.0
PATIENCE = 60.0
ZOMBIE_LIMIT = 15.0
"""Of a Helm that was stopped. Refused while it looks for its hook, it looks again until then: that is Helm's way."""

Wish = Callable[..., Release]


class Killed(Exception):
    """The in-memory Helm's SIGKILL."""


@dataclass
class Stopped:
    """A Helm in the middle of its work that does nothing."""

    act: asyncio.Task[None]
    """Its act, which ends after `wake`."""
    pids: list[int] = field(default_factory=list)

    def wake(self) -> None:
        """Let it go on."""
        for pid in self.pids:
            os.kill(pid, signal.SIGCONT)


class Stage(Protocol):
    """Where a contract is played."""

    @property
    def cluster(self) -> Cluster: ...

    @property
    def helm(self) -> Helm: ...

    async def kill_in_hooks(self, release: Release) -> None:
        """Upgrade to a release of the chart `slow` and kill Helm while its hook runs."""
        ...

    async def stop_in_hooks(self, release: Release, acting_as: str) -> Stopped:
        """Upgrade to a release of the chart `slow` and stop Helm while its hook runs, which ends once it is deleted."""
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

    async def stop_in_hooks(self, release: Release, acting_as: str) -> Stopped:
        running = asyncio.create_task(self.helm.upgrade(release, limit=ZOMBIE_LIMIT, acting_as=acting_as))
        await in_hooks(self.cluster, release)
        return Stopped(running)


class OnKubernetes:
    def __init__(self, cluster: KubernetesCluster, addresses: Addresses, binary: Path | None = None) -> None:
        self.cluster = cluster
        self.helm = HelmCommand(binary=binary, kubeconfig=addresses.kubeconfig, context=addresses.context)
        self._others = residents()

    def _helms(self, release: Release) -> list[int]:
        """The processes that are at work on a release; those that stay do not show for which."""
        return processes_of(release.namespace) or sorted(residents() - self._others)

    async def kill_in_hooks(self, release: Release) -> None:
        running = asyncio.create_task(self.helm.upgrade(release, limit=LIMIT))
        await in_hooks(self.cluster, release)
        for pid in self._helms(release):
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(Exception, match="killed by signal 9"):
            await running

    async def stop_in_hooks(self, release: Release, acting_as: str) -> Stopped:
        running = asyncio.create_task(self.helm.upgrade(release, limit=ZOMBIE_LIMIT, acting_as=acting_as))
        await in_hooks(self.cluster, release)
        pids = self._helms(release)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        return Stopped(running, pids)


async def in_hooks(cluster: Cluster, release: Release) -> None:
    """Wait until the hook of the chart `slow` runs."""
    async with asyncio.timeout(PATIENCE):
        while not await cluster.get(hook_of(release)):
            await asyncio.sleep(0.05)


def hook_of(release: Release) -> Ref:
    return Ref("batch/v1", "Job", f"{release.name}-before", release.namespace)


async def end_hook(cluster: Cluster, release: Release) -> None:
    """End the hook of the chart `slow`: for Helm, a hook that is deleted is over."""
    found = await cluster.get(hook_of(release))
    assert found is not None
    await cluster.delete(hook_of(release), uid=found["metadata"]["uid"])
    async with asyncio.timeout(PATIENCE):
        while await cluster.get(hook_of(release)):
            await asyncio.sleep(0.05)


RBAC = "rbac.authorization.k8s.io"
ROLE = "innkeeper-tests-helm"


async def let_in(cluster: Cluster, namespace: str, user: str, former: str | None = None) -> None:
    """Give everything in a namespace to one user and to nobody else, and wait until that is so."""
    with contextlib.suppress(AlreadyExists):
        rules = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
        role = {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": ROLE}, "rules": rules}
        await cluster.create(role)
    binding = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "who", "namespace": namespace},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": ROLE},
        "subjects": [{"apiGroup": RBAC, "kind": "User", "name": user}],
    }
    await cluster.apply(binding)

    async def may(one: str) -> bool:
        return await cluster.may(one, "create", "v1", "Secret", namespace=namespace)

    async with asyncio.timeout(PATIENCE):
        while not await may(user) or (former is not None and await may(former)):
            await asyncio.sleep(0.05)


def processes_of(namespace: str) -> list[int]:
    """The Helm processes that work on a namespace."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if namespace.encode() in entry.read_bytes().split(b"\0"):
                found.append(int(entry.parent.name))
    return found


def residents() -> set[int]:
    """The Helm processes of this process that stay from one call to the next."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError, ValueError):
            if entry.read_bytes().split(b"\0")[1:2] == [b"resident"] and parent_of(entry.parent) == os.getpid():
                found.add(int(entry.parent.name))
    return found


def parent_of(process: Path) -> int:
    """Behind the name, which is in brackets and may have any."""
    return int((process / "stat").read_text().rpartition(") ")[2].split()[1])


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


async def settle(helm: Helm, cluster: Cluster, wanted: Release, acting_as: str | None = None) -> list[str]:
    """Do what follows from the storage until nothing does, long after any Helm has died; the actions' names.

    Whoever acts as a user is alone: all others are fenced, and it need not be late.
    """
    done = []
    for _ in range(6):
        revisions = await history(cluster, wanted.namespace)
        late = timedelta(seconds=0 if acting_as else 2 * LIMIT)
        action = releases.decide(revisions, wanted.mark, await cluster.now() + late, LIMIT, alone=acting_as is not None)
        done.append(type(action).__name__)
        match action:
            case releases.Nothing():
                return done
            case releases.RollbackThenUpgrade(to):
                await helm.rollback(wanted.name, wanted.namespace, to, limit=LIMIT, acting_as=acting_as)
            case releases.UninstallThenInstall():
                await helm.uninstall(wanted.name, wanted.namespace, limit=LIMIT, acting_as=acting_as)
            case releases.Install() | releases.Upgrade():
                await helm.upgrade(wanted, limit=LIMIT, acting_as=acting_as)
    raise AssertionError(done)
