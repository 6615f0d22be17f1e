"""What becomes of an undo that keeps failing: how long it is tried, and the safe answer after that.

The safe answer is to leave behind what could not be undone, to name it, and to set the row to `error`. This is the
place where an operator will be asked first.
"""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from ..model.errors import LONGEST_TEXT, Cause

UNDO_RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=30), maximum_attempts=60
)
"""About half an hour of attempts before what an undo should have undone is left behind, and named.

Attempts are counted and not time: an undo that waits for a worker is not given up meanwhile.
"""


def with_leftovers(cause: Cause, left: list[str]) -> Cause:
    """The cause of the failure, and what it left behind."""
    told = "; ".join(left)
    return cause.model_copy(
        update={
            "message": f"{cause.message}. Left behind: {told}"[:LONGEST_TEXT],
            "fix": f"{cause.fix} Purge or provision the instance again when the cause is gone.".strip(),
        }
    )
