"""What is asked of a running operation: its answer within a bounded time, or an error that says why there is none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from pydantic import BaseModel
from temporalio.client import Client, WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from ..model.errors import Answer, BadInput, Busy, Cause, InnkeeperError, Unreachable
from ..model.names import workflow_id_of
from .connection import is_unknown

T = TypeVar("T", bound=BaseModel)

WORKER_WITHIN = timedelta(seconds=20)
"""How long a worker may take to answer: longer than work takes to move from a worker that died to another one."""

_OVER = frozenset({"Ended", "AcceptedUpdateCompletedWorkflow"})
"""Types of the errors which say that the operation was at its end when it was asked."""

_REFUSALS: dict[str, Callable[[Cause], InnkeeperError]] = {"BadInput": BadInput.of, "Busy": Busy.of}


class Over(Exception):
    """The operation has ended: there is nobody to ask."""


async def ask(
    client: Client,
    instance: str,
    run_id: str,
    update: str,
    argument: BaseModel,
    answer: type[T],
    *,
    update_id: str | None = None,
) -> T:
    """Send an update to exactly this run; its answer.

    Args:
        update_id: the update's; one sent again with the same id is answered as the first was.

    Raises:
        Over: the run has ended.
        BadInput, Busy: the operation refused.
        Unreachable: no worker answered within 20 seconds.
        temporalio.service.RPCError: Temporal did not answer.
    """
    handle = client.get_workflow_handle(workflow_id_of(instance), run_id=run_id)
    try:
        async with asyncio.timeout(WORKER_WITHIN.total_seconds()):
            told: T = await handle.execute_update(update, argument, id=update_id, result_type=answer)
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError) as error:
        # Temporal's client turns a cancellation of its caller into an error of its own.
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError from None
        raise _no_worker(instance) from error
    except WorkflowUpdateFailedError as error:
        raise _refusal(instance, error.cause) from error
    except RPCError as error:
        if is_unknown(error):
            raise Over from error
        raise
    return told


def _no_worker(instance: str) -> Unreachable:
    return Unreachable(
        f"no worker answers for {instance}: it may still hear what was asked when one comes",
        code="NoWorker",
        object=instance,
        fix="start one with `innkeeper worker`, then ask again",
    )


def _refusal(instance: str, cause: BaseException) -> InnkeeperError | Over:
    if isinstance(cause, ApplicationError):
        if cause.type in _OVER:
            return Over()
        if cause.type in _REFUSALS and cause.details:
            return _REFUSALS[cause.type](Cause.model_validate(cause.details[0]))
    return Answer(
        f"the operation on {instance} did not take what was asked: {cause}",
        code="Unexpected",
        object=instance,
        fix="read the run's history in Temporal's UI",
    )
