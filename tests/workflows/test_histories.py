"""Stored histories of every workflow in every outcome replay for ever; `make histories` adds what is not stored yet.

A history that is stored is never recorded anew: whoever changes a workflow so that one no longer replays breaks
operations that run, and keeps the old way beside the new one by `workflow.patched`.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Sequence
from pathlib import Path

import pytest
from careless import Hasty
from in_memory import World
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from innkeeper import workflows
from innkeeper.model.findings import RECONCILE_WORKFLOW
from innkeeper.model.instance import Kind
from innkeeper.model.messages import HANDOVER_WORKFLOW, METERING_WORKFLOW, PREVIEW_WORKFLOW, SWEEP_WORKFLOW
from innkeeper.worker import PROVEN, STRICT
from innkeeper.workflows.registry import SERVICES, WORKFLOWS

from .scenarios_drift import SCENARIOS

STORED = Path(__file__).parent.parent / "histories"


def replayer(known: Sequence[type] = (*WORKFLOWS.values(), *SERVICES)) -> Replayer:
    return Replayer(workflows=known, workflow_runner=STRICT, data_converter=pydantic_data_converter)


def stored(name: str) -> WorkflowHistory:
    return WorkflowHistory.from_json(name, (STORED / f"{name}.json").read_text())


def unwatched(history: WorkflowHistory) -> list[str]:
    """The steps whose worker could die without a word, for want of a heartbeat."""
    scheduled = [each.activity_task_scheduled_event_attributes for each in history.events]
    return [
        each.activity_type.name for each in scheduled if each.activity_id and not each.heartbeat_timeout.ToSeconds()
    ]


@pytest.mark.parametrize("name", sorted(path.stem for path in STORED.glob("*.json")))
async def test_a_stored_history_replays(name: str) -> None:
    result = await replayer().replay_workflow(stored(name), raise_on_replay_failure=False)
    assert result.replay_failure is None


async def test_all_stored_histories_replay_side_by_side_as_a_worker_shares_its_modules() -> None:
    shared = Replayer(
        workflows=[*WORKFLOWS.values(), *SERVICES], workflow_runner=PROVEN, data_converter=pydantic_data_converter
    )
    names = sorted(path.stem for path in STORED.glob("*.json"))
    for name in names:
        assert (await shared.replay_workflow(stored(name), raise_on_replay_failure=False)).replay_failure is None


def test_no_workflow_module_keeps_anything_from_one_run_to_the_next() -> None:
    package = Path(workflows.__file__).parent
    modules = [
        importlib.import_module(f"{workflows.__name__}.{path.stem}")
        for path in package.glob("*.py")
        if path.stem[0] != "_"
    ]
    kept = {
        f"{module.__name__}.{name}"
        for module in modules
        for name, value in vars(module).items()
        if not name.startswith("__") and (isinstance(value, list | dict | set) or hasattr(value, "cache_info"))
    }
    assert kept == {f"{workflows.__name__}.registry.WORKFLOWS"}


def test_every_scenario_has_a_stored_history() -> None:
    assert set(SCENARIOS) <= {path.stem for path in STORED.glob("*.json")}, "add the missing ones by `make histories`"


def test_every_workflow_has_a_stored_history() -> None:
    starts = [stored(path.stem).events[0].workflow_execution_started_event_attributes for path in STORED.glob("*.json")]
    services = {HANDOVER_WORKFLOW, METERING_WORKFLOW, PREVIEW_WORKFLOW, RECONCILE_WORKFLOW, SWEEP_WORKFLOW}
    known = {kind.workflow_type for kind in Kind} | services
    assert {start.workflow_type.name for start in starts} >= known


async def test_a_change_that_breaks_running_operations_fails_the_replay() -> None:
    result = await replayer([Hasty]).replay_workflow(stored("stop-done"), raise_on_replay_failure=False)
    assert isinstance(result.replay_failure, workflow.NondeterminismError)


@pytest.mark.parametrize("name", sorted(SCENARIOS))
async def test_what_happens_today_replays(world: World, name: str, pytestconfig: pytest.Config) -> None:
    workflow_id, _, run_id = (await SCENARIOS[name](world, name)).partition("@")
    # A run's last event may be written a moment after its answer is there.
    await asyncio.sleep(0.05)
    history = await world.client.get_workflow_handle(workflow_id, run_id=run_id or None).fetch_history()
    assert (await replayer().replay_workflow(history, raise_on_replay_failure=False)).replay_failure is None
    assert unwatched(history) == []
    path = STORED / f"{name}.json"
    if pytestconfig.getoption("--record-histories") and not path.exists():
        # Stack traces name the folder that they were recorded in.
        path.write_text(history.to_json().replace(f"{STORED.parents[1]}/", "") + "\n")
