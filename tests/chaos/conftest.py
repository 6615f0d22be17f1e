"""The stage in memory for the crash matrix, over the server that the tests of operations share."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import pytest
from temporalio.testing import WorkflowEnvironment

from .memory_stage import MemoryStage


@pytest.fixture
async def stage(environment: WorkflowEnvironment) -> AsyncIterator[MemoryStage]:
    """A stage in memory."""
    activities = logging.getLogger("temporalio.activity")
    level = activities.level
    # What steps fail with is what they are made to fail with here.
    activities.setLevel(logging.CRITICAL)
    stage = MemoryStage(environment)
    yield stage
    await stage.aclose()
    activities.setLevel(level)
