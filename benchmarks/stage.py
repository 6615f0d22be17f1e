"""A platform to measure on: a worker whose calls of the database are counted, both arms, and others that run meanwhile.

Each stage is a platform of its own, so that two of them can be measured in turns.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from temporalio.api.workflowservice.v1 import GetSystemInfoRequest
from temporalio.client import Client

from ..client import Innkeeper, connection
from ..embedded import builds, cache
from ..embedded.options import Addresses, Options
from ..embedded.platform import Platform
from ..embedded.worker import WorkerProcess
from ..gateways.helm import HelmCommand
from ..gateways.kubernetes import KubernetesCluster
from ..model.errors import AlreadyExists
from ..settings import load_catalog
from .arms import Arm, ByHand, Ours
from .bare import Bare
from .costs import Meter, Relay, memory_by_process, memory_of

CATALOG = Path(__file__).resolve().parent / "catalog.yaml"
AT_ONCE = 100
"""Instances that are asked for at once where nothing is measured."""

PODS_A_NODE = 1000
NODES = 2
"""Which a platform has by itself."""


@dataclass
class Stage:
    """A platform with both arms on it."""

    platform: Platform
    worker: WorkerProcess
    innkeeper: Innkeeper
    temporal: Client
    cluster: KubernetesCluster
    meter: Meter
    arms: dict[str, Arm]
    present: int = 0
    """Instances that run meanwhile."""

    @property
    def worker_pid(self) -> int:
        """The worker that runs now."""
        return self.worker.pids["worker"]

    def memory(self) -> dict[str, float]:
        """MiB by process."""
        return memory_by_process(self.meter.pids())

    def worker_memory(self) -> float:
        """MiB that the worker holds now."""
        return memory_of(self.worker_pid)

    async def fill(self, present: int) -> None:
        """Have so many instances that run and are left alone."""
        names = [f"present-{index}" for index in range(self.present, present)]
        for begin in range(0, len(names), AT_ONCE):
            some = names[begin : begin + AT_ONCE]
            begun = time.perf_counter()
            await self.arms["ours"].phase("provision", some)
            told = f"{begin + len(some)} of {len(names)} others are there"
            say(f"{told}, the last {len(some)} after {time.perf_counter() - begun:.1f} s")
        self.present = max(self.present, present)

    async def make_room(self, pods: int) -> None:
        """Have simulated nodes for so many pods."""
        for number in range(NODES + 1, math.ceil(pods / PODS_A_NODE) + 1):
            name = f"node-{number}"
            labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
            with contextlib.suppress(AlreadyExists):
                await self.cluster.create(
                    {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}
                )

    async def clear(self, names: Sequence[str]) -> None:
        """Leave nothing of what ran under these names."""
        for begin in range(0, len(names), AT_ONCE):
            some = names[begin : begin + AT_ONCE]
            for phase in ("uninstall", "purge"):
                await self.arms["ours"].phase(phase, some)

    async def versions(self) -> dict[str, str]:
        """The parts', as they tell them themselves."""
        temporal = await self.temporal.workflow_service.get_system_info(GetSystemInfoRequest())
        helms = [HelmCommand(binary=binary, kubeconfig=None) for binary in (None, cache.resident_helm())]
        bare, ours = [await helm.version() for helm in helms]
        return {
            "temporal": temporal.server_version,
            "kubernetes": str(await self.cluster.version()),
            "helm": bare,
            "the worker's helm": ours,
        }


@contextlib.asynccontextmanager
async def opened(*, on_disk: bool = False) -> AsyncIterator[Stage]:
    """A fresh stage, gone with everything on it afterwards."""
    async with contextlib.AsyncExitStack() as stack:
        # What the platform writes last may be written while its folder is removed.
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="innkeeper-bench-", ignore_cleanup_errors=True))
        options = Options(state_dir=Path(folder), temporal_in_memory=not on_disk)
        platform = await stack.enter_async_context(Platform(options))
        where = platform.addresses
        target = urlsplit(where.supabase_url)
        relay = Relay(target.hostname or "", target.port or 80)
        port = await relay.start()
        stack.push_async_callback(relay.close)
        helm = await builds.ensure_resident_helm(None, say)
        worker = _worker(platform, where, f"http://127.0.0.1:{port}", helm)
        stack.push_async_callback(worker.stop)
        await worker.start()
        temporal = await connection.connect(where.temporal_address)
        innkeeper = Innkeeper(temporal, supabase_url=where.supabase_url, supabase_key=where.supabase_service_key)
        stack.push_async_callback(innkeeper.close)
        cluster = await stack.enter_async_context(await KubernetesCluster.connect(where.kubeconfig, where.context))
        assert where.kubeconfig is not None
        assert where.context is not None
        bare = Bare(cluster, load_catalog(CATALOG), where.kubeconfig, where.context)
        meter = Meter(where.kubeconfig, relay, lambda: {**platform.pids, **worker.pids})
        arms: dict[str, Arm] = {"ours": Ours(innkeeper), "bare": ByHand(bare)}
        stage = Stage(platform, worker, innkeeper, temporal, cluster, meter, arms)
        await _warm(stage)
        yield stage


async def _warm(stage: Stage) -> None:
    """What is done for the first time loads code and reads the chart: both arms have done everything once."""
    for arm in stage.arms:
        names = [f"warm-{arm}"]
        for phase in ("provision", "stop", "start", "upgrade", "restart", "uninstall", "purge"):
            await stage.arms[arm].phase(phase, names)


def _worker(platform: Platform, where: Addresses, supabase: str, helm: Path) -> WorkerProcess:
    environment = {
        **where.environment(),
        "INNKEEPER_SUPABASE_URL": supabase,
        "INNKEEPER_CATALOG": str(CATALOG),
        "INNKEEPER_HELM": str(helm),
    }
    return WorkerProcess(platform.logs, where.temporal_address, where.temporal_namespace, environment, say)


def say(line: str) -> None:
    """A line of progress, with the time of day."""
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


async def settled(stages: Sequence[Stage]) -> None:
    """Wait until none of them has work left from what came before."""
    await asyncio.gather(*(stage.meter.quiet() for stage in stages))
