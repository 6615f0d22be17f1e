"""After an undo the cluster may still tell of pods that it refused for what stood before: that is waited out."""

from __future__ import annotations

import pytest
from attempts import work_on

from innkeeper.model.errors import NeverReady, Pending
from innkeeper.model.ports import Ref

from .conftest import WORK, Bench

WEB = Ref("apps/v1", "Deployment", "acme-web", "inn-acme")


async def running(bench: Bench) -> None:
    """A release that was asked for."""
    await bench.attempt(bench.namespaces.prepare)
    await bench.attempt(bench.releases.release)


async def test_pods_that_were_refused_are_waited_for_until_they_are_let_in(bench: Bench) -> None:
    await running(bench)
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small", "namespace": "inn-acme"}}
    small = await bench.cluster.create({**quota, "spec": {"hard": {"pods": "1"}}})
    await bench.attempt(bench.releases.release, work_on("acme", "bigger"))
    with pytest.raises(NeverReady) as never:
        await bench.attempt(bench.workloads.ready)
    with pytest.raises(Pending) as pending:
        await bench.attempt(bench.workloads.settle)
    assert pending.value.cause == never.value.cause
    assert pending.value.cause.code == "QuotaExceeded"
    await bench.cluster.delete(Ref.to(small), uid=small["metadata"]["uid"])
    assert (await bench.attempt(bench.workloads.settle)).revision == 2


async def test_what_crashes_is_not_waited_for(bench: Bench) -> None:
    await running(bench)
    fault = {"annotations": {"kwok.innkeeper.dev/fault": "crash"}}
    await bench.cluster.patch(WEB, {"spec": {"template": {"metadata": fault}}})
    with pytest.raises(NeverReady) as never:
        await bench.attempt(bench.workloads.settle, WORK)
    assert never.value.cause.code == "CrashLoop"
