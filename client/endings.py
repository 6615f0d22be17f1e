"""How an operation's run ended, as a result or as the answer that says why not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import ApplicationError, CancelledError, TerminatedError
from temporalio.exceptions import TimeoutError as TimedOutError

from ..model.errors import Answer, Cause, OperationFailed, Refused
from ..model.messages import OperationResult
from ..model.names import workflow_id_of

_Told = TypeVar("_Told", bound=BaseModel)


async def ending_of(client: Client, instance: str, run_id: str) -> OperationResult | Answer:
    """Wait until the run has ended; its result, or the `OperationFailed` or `Refused` it ended in.

    Raises:
        temporalio.service.RPCError: Temporal did not answer.
    """
    handle = client.get_workflow_handle(workflow_id_of(instance), run_id=run_id, result_type=OperationResult)
    try:
        result: OperationResult = await handle.result(follow_runs=False)
    except WorkflowFailureError as error:
        return _answer(error.cause, instance)
    return result


def reason_of(failed: WorkflowFailureError) -> BaseException:
    """What a run failed for: Temporal's own words, such as that no time is left for another attempt, come before it."""
    found = failed.cause
    while found.__cause__ is not None:
        found = found.__cause__
    return found


def _answer(cause: BaseException, instance: str) -> Answer:
    if isinstance(cause, ApplicationError):
        if cause.type == Refused.__name__ and (told := _read(Cause, cause.details)):
            return Refused.of(told)
        if cause.type == OperationFailed.__name__ and (result := _read(OperationResult, cause.details)):
            return _failed(result, cause.message)
    code, fix = _ABNORMAL.get(type(cause), ("Unexpected", "read the run's history in Temporal's UI"))
    return OperationFailed(
        f"the operation on {instance} ended abnormally: {cause}", code=code, object=instance, fix=fix
    )


def _failed(result: OperationResult, message: str) -> OperationFailed:
    cause = result.cause or Cause(code=result.outcome.value, message=message, object=result.instance)
    failed = OperationFailed.of(cause)
    failed.result = result
    return failed


_ABNORMAL: dict[type[BaseException], tuple[str, str]] = {
    CancelledError: ("Cancelled", "ask again when you want it done"),
    TerminatedError: ("Terminated", "look at the instance's row and the cluster, then ask again"),
    TimedOutError: ("TimedOut", "look at the instance's row and the cluster, then ask again"),
}


def _read(model: type[_Told], details: Sequence[Any]) -> _Told | None:
    try:
        return model.model_validate(details[0])
    except (IndexError, ValidationError):
        return None
