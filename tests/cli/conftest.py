"""Temporal's own server with scripted operations behind it, as the client's tests have it, for the command line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from innkeeper.model.messages import SEARCH_ATTRIBUTES

from ..client.conftest import KEYS, temporal_binary, worker_on


@pytest.fixture(scope="package")
async def temporal() -> AsyncIterator[Client]:
    """A Temporal server and a worker whose operations end as `--asked-by` tells."""
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=temporal_binary(),
        dev_server_log_level="error",
        data_converter=pydantic_data_converter,
        search_attributes=[KEYS[kind](name) for name, kind in SEARCH_ATTRIBUTES.items()],
    )
    async with environment, worker_on(environment.client):
        yield environment.client
    # The interpreter may crash at its exit where this does not follow the shutdown.
    await asyncio.sleep(0.3)


@pytest.fixture
def scripted(temporal: Client) -> dict[str, str]:
    """The environment of a command that reaches it."""
    return {"TEMPORAL_ADDRESS": temporal.service_client.config.target_host}
