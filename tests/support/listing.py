"""Temporal's lists, which come a moment after what they list: what a test needs in one is waited for."""

from __future__ import annotations

import asyncio

from temporalio.client import Client, WorkflowExecution

PATIENCE = 60.0
"""Seconds that a list is given on a machine that does other things."""


async def listed(client: Client, query: str, *, runs: int = 1) -> list[WorkflowExecution]:
    """What Temporal lists by a query, once that is so many runs or more."""
    async with asyncio.timeout(PATIENCE):
        while len(found := [run async for run in client.list_workflows(query)]) < runs:
            await asyncio.sleep(0.05)
    return found


async def newest_listed(client: Client, workflow_id: str) -> None:
    """Wait until the newest run of a workflow is in Temporal's lists."""
    newest = await client.get_workflow_handle(workflow_id).describe()
    await listed(client, f"RunId = '{newest.run_id}'")
