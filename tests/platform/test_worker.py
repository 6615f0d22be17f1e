"""A worker that cannot work says which part and how to mend it, and one that is killed is replaced by any other."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

import pytest

from innkeeper.client import Innkeeper, OperationHandle
from innkeeper.embedded import demo_proof as proof
from innkeeper.embedded.options import Addresses
from innkeeper.gateways.database import SupabaseDatabase
from innkeeper.gateways.kubernetes import KubernetesCluster
from innkeeper.model import fence
from innkeeper.model.instance import Status
from innkeeper.model.messages import Outcome
from innkeeper.model.ports import Ref

from .processes import LOG, kill, spawn_worker


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


async def refuses(environment: dict[str, str], folder: Path) -> tuple[int, str]:
    """How a worker with this environment ends, and its last words."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "innkeeper.worker",
        cwd=folder,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    _, words = await asyncio.wait_for(child.communicate(), 120)
    assert child.returncode is not None
    return child.returncode, words.decode()


@pytest.mark.parametrize(
    ("setting", "value", "code", "words"),
    [
        ("INNKEEPER_CATALOG", "nowhere.yaml", 2, "set INNKEEPER_CATALOG"),
        ("INNKEEPER_SUPABASE_KEY", "", 2, "INNKEEPER_SUPABASE_KEY"),
        ("INNKEEPER_SUPABASE_KEY", "wrong", 2, "INNKEEPER_SUPABASE_KEY"),
        ("INNKEEPER_SUPABASE_URL", "http://127.0.0.1:{port}", 4, "INNKEEPER_SUPABASE_URL"),
        ("INNKEEPER_HELM", "/nowhere/helm", 2, "INNKEEPER_HELM"),
        ("INNKEEPER_KUBECONFIG", "/nowhere/config", 2, "INNKEEPER_KUBECONFIG"),
        ("INNKEEPER_KUBE_CONTEXT", "nobody", 2, "name one of: innkeeper"),
        ("INNKEEPER_CONCURRENT_ACTIVITIES", "none", 2, "INNKEEPER_CONCURRENT_ACTIVITIES"),
        ("TEMPORAL_NAMESPACE", "nope", 2, "TEMPORAL_NAMESPACE"),
        ("TEMPORAL_ADDRESS", "127.0.0.1:{port}", 4, "TEMPORAL_ADDRESS"),
    ],
)
async def test_a_worker_that_cannot_work_refuses_to_start_with_one_message(
    platform_env: dict[str, str], tmp_path: Path, setting: str, value: str, code: int, words: str
) -> None:
    environment = {**platform_env, setting: value.format(port=closed_port())}
    ended, said = await refuses(environment, tmp_path)
    assert (ended, said.count("innkeeper worker:")) == (code, 1)
    assert words in said
    assert "Traceback" not in said


@pytest.mark.parametrize(("version", "words"), [("v3.9.4", "too old"), ("v4.0.1", "until the tests run on it")])
async def test_a_helm_that_the_tests_do_not_run_on_is_refused(
    platform_env: dict[str, str], tmp_path: Path, version: str, words: str
) -> None:
    helm = tmp_path / "helm"
    helm.write_text(f"#!/bin/sh\necho {version}\n")
    helm.chmod(0o755)
    code, said = await refuses({**platform_env, "INNKEEPER_HELM": str(helm)}, tmp_path)
    assert code == 2
    assert words in said


QUEUE = "of-the-killed"
"""A task queue of its own: the session's worker must not carry on what this one leaves."""


async def test_a_killed_workers_operation_is_carried_on_by_the_next_and_a_stopped_one_ends_cleanly(
    addresses: Addresses, platform_env: dict[str, str], tmp_path: Path
) -> None:
    innkeeper = await Innkeeper.connect(addresses.temporal_address, task_queue=QUEUE)
    first = await spawn_worker(platform_env, tmp_path, QUEUE)
    handle = await innkeeper.provision("survivor", tenant="t1", plan="slow")
    async for event in handle.progress():
        if event.step == "ready":
            break
    await kill(first)
    second = await spawn_worker(platform_env, tmp_path, QUEUE)
    result = await asyncio.wait_for(handle.result(), 120)
    assert (result.outcome, result.status) == (Outcome.DONE, Status.RUNNING)
    second.terminate()
    assert await asyncio.wait_for(second.wait(), 90) == 0
    assert "Traceback" not in (tmp_path / LOG).read_text()


async def test_a_worker_killed_while_its_helm_runs_is_replaced_by_one_that_recovers_the_release_at_once(
    addresses: Addresses, platform_env: dict[str, str], tmp_path: Path, cluster: KubernetesCluster
) -> None:
    innkeeper = await Innkeeper.connect(addresses.temporal_address, task_queue=QUEUE)
    first = await spawn_worker(platform_env, tmp_path, QUEUE)
    handle = await innkeeper.provision("cut-off", tenant="t1", plan="held")
    async with asyncio.timeout(120):
        while await cluster.get(Ref("batch/v1", "Job", "cut-off-before", "inn-cut-off")) is None:
            await asyncio.sleep(0.05)
    await kill(first)
    binding = await cluster.get(fence.binding_ref("inn-cut-off"))
    await cluster.patch(Ref("v1", "Node", "node-1"), {"metadata": {"labels": {"worker-killed": "open"}}})
    second = await spawn_worker(platform_env, tmp_path, QUEUE)
    result = await asyncio.wait_for(handle.result(), 180)
    assert (result.outcome, result.status) == (Outcome.DONE, Status.RUNNING)
    assert await proof.deployed(cluster, "cut-off") == [1]
    after = await cluster.get(fence.binding_ref("inn-cut-off"))
    assert binding is not None
    assert after is not None
    assert None is not fence.holder_of(binding) != fence.holder_of(after)
    second.terminate()
    assert await asyncio.wait_for(second.wait(), 90) == 0


async def test_a_worker_that_finds_no_kubectl_and_no_other_program_does_everything(
    addresses: Addresses,
    platform_env: dict[str, str],
    tmp_path: Path,
    cluster: KubernetesCluster,
    database: SupabaseDatabase,
) -> None:
    """Helm comes with the environment, and is called by its path."""
    worker = await spawn_worker({**platform_env, "PATH": str(tmp_path)}, tmp_path, QUEUE)
    try:
        innkeeper = await Innkeeper.connect(addresses.temporal_address, task_queue=QUEUE)
        name = "alone"

        async def done(handle: OperationHandle) -> Status:
            result = await asyncio.wait_for(handle.result(), 120)
            assert result.outcome is Outcome.DONE
            return result.status

        await done(await innkeeper.provision(name, tenant="t1", plan="starter"))
        await done(await innkeeper.upgrade(name, plan="wide"))
        await done(await innkeeper.stop(name))
        await done(await innkeeper.start(name))
        await done(await innkeeper.restart(name))
        await done(await innkeeper.repair(name))
        await proof.demand_running(cluster, database, name)
        await done(await innkeeper.uninstall(name))
        assert await done(await innkeeper.purge(name)) is Status.PURGED
        assert await cluster.get(Ref("v1", "Namespace", f"inn-{name}")) is None
    finally:
        await kill(worker)
