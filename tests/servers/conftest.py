"""What the server files say, parsed once, and a Temporal without a worker."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from temporalio.testing import WorkflowEnvironment

from innkeeper.embedded import toolchain


@pytest.fixture(scope="session")
def compose(root: Path) -> dict[str, Any]:
    """The compose file, its anchors resolved and its variables as they are written."""
    parsed: dict[str, Any] = yaml.safe_load((root / "docker-compose.temporal.yml").read_text())
    return parsed


@pytest.fixture(scope="module")
async def temporal() -> AsyncIterator[WorkflowEnvironment]:
    """A server of this module's own: no namespace but `default`, no search attributes, no worker."""
    program = await toolchain.temporal()
    assert program is not None
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(program.path), dev_server_log_level="error"
    ) as environment:
        yield environment
    # The interpreter may crash at its exit where this does not follow a shutdown.
    await asyncio.sleep(0.3)


@pytest.fixture
async def temporal_variables(temporal: WorkflowEnvironment) -> dict[str, str]:
    """The environment of a child process that asks this module's Temporal."""
    program = await toolchain.temporal()
    assert program is not None
    address = temporal.client.service_client.config.target_host
    return {**os.environ, "PATH": f"{program.path.parent}:{os.environ['PATH']}", "TEMPORAL_ADDRESS": address}
