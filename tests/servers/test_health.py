"""Runs the container's health check against a real Temporal: its exit code and what it says."""

from __future__ import annotations

import asyncio
import os
import sys
import uuid

import pytest
from temporalio import workflow
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker


@workflow.defn(name="Idle")
class Idle:
    """What the worker of these tests could run; nobody asks it to."""

    @workflow.run
    async def run(self) -> None:
        """Nothing."""


async def health(env: dict[str, str]) -> tuple[int, str]:
    """Exit code and standard error of one check."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "innkeeper.health", env=env, stderr=asyncio.subprocess.PIPE
    )
    _, told = await child.communicate()
    return child.returncode or 0, told.decode()


@pytest.fixture
def task_queue() -> str:
    return f"health-{uuid.uuid4()}"


@pytest.fixture
def variables(temporal_variables: dict[str, str], task_queue: str) -> dict[str, str]:
    return {**temporal_variables, "INNKEEPER_TASK_QUEUE": task_queue}


@pytest.fixture
async def elsewhere(temporal: WorkflowEnvironment) -> Client:
    """A client as it would be on another host."""
    address = temporal.client.service_client.config.target_host
    return await Client.connect(address, identity="7@another-host")


def worker(client: Client, task_queue: str) -> Worker:
    return Worker(client, task_queue=task_queue, workflows=[Idle], workflow_runner=UnsandboxedWorkflowRunner())


async def test_a_worker_of_this_host_that_polls_is_healthy(
    temporal: WorkflowEnvironment, task_queue: str, variables: dict[str, str]
) -> None:
    async with worker(temporal.client, task_queue), asyncio.timeout(120):
        while (await health(variables))[0] != 0:
            await asyncio.sleep(0.1)
        assert await health(variables) == (0, "")


async def test_without_a_worker_it_is_unhealthy_and_says_where_it_looked(
    task_queue: str, variables: dict[str, str]
) -> None:
    code, told = await health(variables)
    assert code == 1
    assert told.startswith("unhealthy: Temporal has heard of no worker of ")
    assert f"task queue {task_queue} of namespace default" in told


async def test_another_hosts_worker_does_not_make_this_one_healthy(
    elsewhere: Client, task_queue: str, variables: dict[str, str]
) -> None:
    async with worker(elsewhere, task_queue):
        await asyncio.sleep(1)
        code, told = await health(variables)
    assert code == 1
    assert "no worker of" in told


async def test_a_temporal_that_does_not_answer_is_named() -> None:
    code, told = await health({**os.environ, "TEMPORAL_ADDRESS": "127.0.0.1:1"})
    assert code == 1
    assert told.startswith("unhealthy: Temporal at 127.0.0.1:1 does not answer")
    assert "Traceback" not in told


async def test_a_namespace_that_does_not_exist_is_named(variables: dict[str, str]) -> None:
    code, told = await health({**variables, "TEMPORAL_NAMESPACE": "nowhere"})
    assert code == 1
    assert "nowhere" in told


async def test_a_wrong_setting_is_named(variables: dict[str, str]) -> None:
    code, told = await health({**variables, "INNKEEPER_HELM_SLOTS": "many"})
    assert code == 1
    assert "helm_slots" in told
