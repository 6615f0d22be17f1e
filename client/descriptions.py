"""An operation as it stands, in what callers read of it."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from ..model.errors import Cause
from ..model.messages import Outcome, Question


class OperationDescription(BaseModel):
    """An operation as it stands."""

    model_config = ConfigDict(frozen=True)

    request_id: str
    kind: str
    instance: str
    tenant: str | None
    """The tenant the request named, None where it named none."""
    run_id: str | None
    """None while the request waits for its turn."""
    asked_by: str
    outcome: Outcome
    """`undone` for a refused request, too: nothing was touched."""
    cause: Cause | None
    """Why it did not come to what was asked."""
    started_at: datetime | None
    """None while the request waits for its turn."""
    ended_at: datetime | None
    now: str
    """What the running step, or a request that has no run yet, waits for; empty after the end."""
    waiting_for: str = ""
    """What that waits for just now, e.g. a pod that no node takes, as far as it says so; empty after the end."""
    question: Question | None = None
    """What the operation is parked with; None while it is not, and where no worker answers."""
