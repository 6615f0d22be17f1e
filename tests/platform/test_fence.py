"""A real Helm that was stopped and wakes up after another attempt took its release changes nothing any more."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from attempts import OPERATORS, Steps, attempt, work_on
from helm_stage import ZOMBIE_LIMIT, processes_of

from innkeeper.embedded.options import Addresses
from innkeeper.gateways.helm import HelmCommand
from innkeeper.gateways.kubernetes import KubernetesCluster
from innkeeper.model import catalog, fence, marks, release
from innkeeper.model.errors import Conflict, NotOurs, Unreachable
from innkeeper.model.messages import Work
from innkeeper.model.ports import Manifest, Ref
from innkeeper.worker import settle_in

CHARTS = Path(__file__).parents[1] / "data" / "charts"
PATIENCE = 120.0
LIMIT = 250.0
HOOKS = ["pre-install,pre-upgrade", "post-install,post-upgrade"]
KINDS = [("v1", "ConfigMap"), ("v1", "Service"), ("apps/v1", "Deployment"), ("apps/v1", "StatefulSet")]


class Gate:
    """What the hook of the chart `held` waits for, and the one instance of a test."""

    def __init__(self, cluster: KubernetesCluster, addresses: Addresses) -> None:
        self.cluster = cluster
        self.name = f"gate-{secrets.token_hex(4)}"
        # A deadline so long that nobody who waited for it would end within the test.
        plans: dict[str, Any] = {"plain": {"chart": {"path": "memory/room"}, "values": {"note": "plain"}}}
        for hook in HOOKS:
            values = {"gate": self.name, "hook": hook, "note": "held"}
            chart = {"path": "held"}
            plans[hook.split(",")[0]] = {"chart": chart, "values": values, "deadlines": {"release": 900}}
        helm = HelmCommand(kubeconfig=addresses.kubeconfig, context=addresses.context)
        steps = Steps(cluster, helm, catalog.parse({"plans": plans}, folder=str(CHARTS)))
        self.namespaces, self.releases = steps.namespaces, steps.releases

    def work(self, plan: str, **more: Any) -> Work:
        return work_on(self.name, plan, **more)

    @property
    def namespace(self) -> str:
        return f"inn-{self.name}"

    async def open(self, state: str | None = "open") -> None:
        """Let the hook's Job run; None: shut it."""
        await self.cluster.patch(Ref("v1", "Node", "node-1"), {"metadata": {"labels": {self.name: state}}})

    async def begun(self, work: Work) -> asyncio.Task[None]:
        """An attempt that waits in its hook."""
        running = asyncio.create_task(attempt(self.releases.release, work, limit=LIMIT))
        hook = Ref("batch/v1", "Job", f"{self.name}-before", self.namespace)
        async with asyncio.timeout(PATIENCE):
            while await self.cluster.get(hook) is None:
                assert not running.done(), running
                await asyncio.sleep(0.05)
        return running

    async def states(self) -> list[str]:
        return [each.state.value for each in release.revisions_of(await self.storage())]

    async def storage(self) -> list[Manifest]:
        labels = release.storage_labels(self.name)
        return await self.cluster.list_objects("v1", "Secret", namespace=self.namespace, labels=labels)

    async def world(self) -> dict[str, object]:
        """What Helm could change: its storage to the byte, and what its objects are told to be."""
        seen: dict[str, object] = {each["metadata"]["name"]: each["metadata"] for each in await self.storage()}
        for version, kind in KINDS:
            for each in await self.cluster.list_objects(version, kind, namespace=self.namespace):
                meta = each["metadata"]
                told = each.get("spec"), each.get("data"), meta["uid"], meta.get("labels"), meta.get("generation")
                seen[f"{kind} {meta['name']}"] = told
        return seen


async def woken(zombie: asyncio.Task[None], helms: list[int]) -> None:
    """Let stopped Helms go on, and their attempt come to its end."""
    for pid in helms:
        os.kill(pid, signal.SIGCONT)
    await asyncio.wait([zombie], timeout=ZOMBIE_LIMIT)
    # Refused while it looks for its hook, Helm looks again for as long as it may.
    zombie.cancel()
    (ended,) = await asyncio.gather(zombie, return_exceptions=True)
    if isinstance(ended, Conflict):
        assert ended.cause.code == "Fenced"
    else:
        # An install says that it is done although its last write was refused; the storage shows what was wanted.
        assert ended is None or isinstance(ended, asyncio.CancelledError), ended


@pytest.fixture
async def gate(cluster: KubernetesCluster, addresses: Addresses) -> AsyncIterator[Gate]:
    """A prepared instance of its own."""
    gate = Gate(cluster, addresses)
    await settle_in(cluster, OPERATORS)
    await attempt(gate.namespaces.prepare, gate.work("plain"))
    yield gate
    await gate.open(None)
    found = await cluster.get(Ref("v1", "Namespace", gate.namespace))
    assert found is not None
    await cluster.delete(Ref("v1", "Namespace", gate.namespace), uid=found["metadata"]["uid"])


@pytest.mark.parametrize("hook", ["pre-install", "post-install"])
@pytest.mark.parametrize("before", [False, True], ids=["install", "upgrade"])
async def test_a_stopped_helm_that_wakes_up_after_its_release_was_recovered_changes_nothing(
    gate: Gate, hook: str, before: bool
) -> None:
    if before:
        await attempt(gate.releases.release, gate.work("plain"))
    zombie = await gate.begun(gate.work(hook))
    helms = processes_of(gate.namespace)
    assert helms
    for pid in helms:
        os.kill(pid, signal.SIGSTOP)

    await gate.open()
    await attempt(gate.releases.release, gate.work(hook), limit=LIMIT)
    assert (await gate.states()).count("deployed") == 1
    recovered = await gate.world()

    await woken(zombie, helms)
    assert processes_of(gate.namespace) == []
    assert await gate.world() == recovered


async def test_a_stopped_helm_that_wakes_up_after_an_uninstall_installs_nothing(gate: Gate) -> None:
    zombie = await gate.begun(gate.work("pre-install"))
    helms = processes_of(gate.namespace)
    for pid in helms:
        os.kill(pid, signal.SIGSTOP)
    await attempt(gate.releases.uninstall, gate.work("pre-install", request_id="r2"), limit=LIMIT)
    assert await gate.states() == []
    await gate.open()
    found = await gate.cluster.get(Ref("batch/v1", "Job", f"{gate.name}-before", gate.namespace))
    if found is not None:
        await gate.cluster.delete(Ref.to(found), uid=found["metadata"]["uid"])
    gone = await gate.world()
    await woken(zombie, helms)
    assert await gate.world() == gone
    assert await gate.states() == []


@pytest.mark.parametrize("before", [False, True], ids=["install", "upgrade"])
async def test_what_a_killed_helm_left_is_recovered_at_once(gate: Gate, before: bool) -> None:
    if before:
        await attempt(gate.releases.release, gate.work("plain"))
    running = await gate.begun(gate.work("pre-install"))
    for pid in processes_of(gate.namespace):
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(Unreachable, match="killed by signal 9"):
        await running
    assert (await gate.states())[-1] == ("pending-upgrade" if before else "pending-install")
    await gate.open()
    await attempt(gate.releases.release, gate.work("pre-install"), limit=LIMIT)
    states = await gate.states()
    assert (states[-1], states.count("deployed")) == ("deployed", 1)


async def test_a_binding_of_somebody_else_is_refused_and_left_as_it_is(gate: Gate) -> None:
    await attempt(gate.releases.release, gate.work("plain"))
    ref = fence.binding_ref(gate.namespace)
    await gate.cluster.patch(ref, {"metadata": {"labels": {marks.INSTANCE: "other"}}})
    before = await gate.cluster.get(ref)
    for act in (gate.releases.release, gate.releases.uninstall, gate.namespaces.prepare):
        with pytest.raises(NotOurs, match="RoleBinding"):
            await attempt(act, gate.work("plain"))
    assert await gate.cluster.get(ref) == before
    assert await gate.states() == ["deployed"]


async def test_a_binding_that_was_deleted_by_hand_is_made_again(gate: Gate) -> None:
    await attempt(gate.releases.release, gate.work("plain"))
    ref = fence.binding_ref(gate.namespace)
    found = await gate.cluster.get(ref)
    assert found is not None
    await gate.cluster.delete(ref, uid=found["metadata"]["uid"])
    await attempt(gate.releases.uninstall, gate.work("plain"))
    assert await gate.states() == []
