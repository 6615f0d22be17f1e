"""The schedules by which Temporal starts what nobody asks for: made by the first worker, kept as all of them want it.

Apart from what backends import: only workers keep them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.service import RPCError, RPCStatusCode

from ..model.errors import Forbidden
from ..model.findings import RECONCILE_WORKFLOW
from ..model.messages import METERING_WORKFLOW, SWEEP_WORKFLOW
from .connection import ANSWER_WITHIN, temporal_errors


@dataclass(frozen=True)
class Errand:
    """A workflow that a schedule starts, one run at a time."""

    id: str
    """The schedule's, and its runs'."""
    workflow: str
    setting: str
    """The worker's setting that says how often."""
    what: str
    """What it does, as a run's summary in Temporal's UI."""
    why: str
    """What does not happen without it, to end the sentence "by which …"."""
    longest: timedelta = timedelta(minutes=30)
    """After this Temporal ends a run, so that one which hangs does not keep the next ones from running."""


SWEEP = Errand(
    "innkeeper-sweep",
    SWEEP_WORKFLOW,
    "INNKEEPER_SWEEP_EVERY",
    what="looks for operations that were lost, and asks for repairs",
    why="lost operations are found",
)

METERING = Errand(
    "innkeeper-metering",
    METERING_WORKFLOW,
    "INNKEEPER_METER_EVERY",
    what="meters what instances use",
    why="what instances use is metered",
)

RECONCILE = Errand(
    "innkeeper-reconcile",
    RECONCILE_WORKFLOW,
    "INNKEEPER_RECONCILE_EVERY",
    what="looks for drift between rows, plans and the cluster",
    why="drift is found",
)

ATTEMPTS = 3
"""Tries while other workers make and remove a schedule at the same time."""

_REFUSED = frozenset(
    {
        RPCStatusCode.PERMISSION_DENIED,
        RPCStatusCode.UNAUTHENTICATED,
        RPCStatusCode.UNIMPLEMENTED,
        RPCStatusCode.INVALID_ARGUMENT,
    }
)

_log = logging.getLogger(__name__)


async def keep(client: Client, errand: Errand, *, every: int, task_queue: str) -> None:
    """Have an errand's schedule as it is wanted; one that an operator paused stays paused.

    Args:
        every: seconds from one run to the next; 0: there is to be no schedule.
        task_queue: where workers poll.

    Raises:
        Forbidden: Temporal allows no schedules here, or not to this client.
        Unreachable: Temporal does not answer.
    """
    try:
        with temporal_errors(client), _refusals(client, errand):
            if every:
                await _have(client, errand.id, _wanted(errand, every, task_queue))
            else:
                await _remove(client, errand.id)
    except Forbidden as refusal:
        if every:
            raise
        _log.info("no schedule is wanted, and none can be looked for: %s", refusal)


def _wanted(errand: Errand, every: int, task_queue: str) -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(
            errand.workflow,
            id=errand.id,
            task_queue=task_queue,
            execution_timeout=errand.longest,
            static_summary=errand.what,
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(seconds=every))]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(minutes=1)),
    )


async def _have(client: Client, schedule_id: str, wanted: Schedule) -> None:
    def brought_up(told: ScheduleUpdateInput) -> ScheduleUpdate | None:
        found = told.description.schedule
        if _tells(found) == _tells(wanted):
            return None
        found.action, found.spec, found.policy = wanted.action, wanted.spec, wanted.policy
        return ScheduleUpdate(found)

    for attempt in range(1, ATTEMPTS + 1):
        try:
            # At once, too: what was lost may have been lost with the schedule.
            await client.create_schedule(schedule_id, wanted, trigger_immediately=True, rpc_timeout=ANSWER_WITHIN)
        except ScheduleAlreadyRunningError:
            try:
                await client.get_schedule_handle(schedule_id).update(brought_up, rpc_timeout=ANSWER_WITHIN)
            except RPCError as error:
                # Another worker has removed it since.
                if error.status is not RPCStatusCode.NOT_FOUND or attempt == ATTEMPTS:
                    raise
                continue
        return


def _tells(schedule: Schedule) -> tuple[object, ...]:
    """What of a schedule is ours to say, comparable."""
    action = schedule.action
    does = (
        (action.workflow, action.task_queue, action.execution_timeout)
        if isinstance(action, ScheduleActionStartWorkflow)
        else None
    )
    return does, [each.every for each in schedule.spec.intervals], schedule.policy


async def _remove(client: Client, schedule_id: str) -> None:
    try:
        await client.get_schedule_handle(schedule_id).delete(rpc_timeout=ANSWER_WITHIN)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise


@contextmanager
def _refusals(client: Client, errand: Errand) -> Iterator[None]:
    """Say what a refusal means for the errand, and what to do."""
    try:
        yield
    except RPCError as error:
        if error.status not in _REFUSED:
            raise
        raise Forbidden(
            f"Temporal refuses the schedule {errand.id}, by which {errand.why}: {error.message}",
            code="ScheduleRefused",
            object=f"namespace {client.namespace}",
            fix=f"give the worker's key the right to keep schedules, or set {errand.setting}=0 and start the "
            f"workflow {errand.workflow} by other means",
        ) from error
