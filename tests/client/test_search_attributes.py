"""A namespace that lacks our search attributes is told so with the command that adds them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from innkeeper.client import BadInput, Innkeeper
from innkeeper.worker import _check_temporal

from .conftest import temporal_binary


@pytest.fixture
async def bare() -> AsyncIterator[Client]:
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=temporal_binary(), dev_server_log_level="error"
    )
    async with environment:
        yield environment.client
    await asyncio.sleep(0.3)


async def test_missing_search_attributes_are_named_with_the_command_that_adds_them(bare: Client) -> None:
    innkeeper = Innkeeper(bare)
    with pytest.raises(BadInput, match="namespace: 'default' lacks search attributes") as caught:
        await innkeeper.provision("acme", tenant="t1", plan="starter")
    assert "temporal operator search-attribute create --name InnkeeperInstance --type Keyword" in caught.value.cause.fix
    with pytest.raises(BadInput, match="lacks search attributes"):
        await innkeeper.handle("some-request")
    with pytest.raises(BadInput, match=r"of Temporal lacks the search attributes InnkeeperInstance, ") as refused:
        await _check_temporal(bare)
    assert refused.value.cause.fix.startswith("temporal operator search-attribute create --namespace default --name ")
