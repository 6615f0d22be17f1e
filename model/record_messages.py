"""What is said to the database of an operation, and what it answers: its outset, its claim and its end."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from .catalog import Deadlines, UpgradeFailure
from .errors import Cause
from .freezes import Freeze
from .instance import Instance, Status
from .limits import Allowed, Reached
from .messages import Decided, Message, OperationRecord, Outcome, Request, StepEvent
from .sizes import Sizes


class Outset(Message):
    """What an operation begins from, read at one moment."""

    operation: OperationRecord | None = None
    """The one that its request id names already."""
    instance: Instance | None = None


class Verdict(StrEnum):
    """What a claim came to."""

    CLAIMED = "claimed"
    """This operation holds the instance (for the first time, or still)."""
    FINISHED = "finished"
    """The request id is known and its operation has ended: `Claim.operation` is the stored outcome."""
    MISMATCH = "mismatch"
    """The request id is known with other arguments."""
    ABSENT = "absent"
    """There is no such instance, and this kind of operation makes none."""
    FOREIGN = "foreign"
    """The instance is another tenant's."""
    TAKEN = "taken"
    """The namespace that the instance would have is another instance's."""
    ILLEGAL = "illegal"
    """The instance's settled status does not allow this operation."""
    LIMITED = "limited"
    """The plan does not allow the tenant more: `Claim.reached`."""
    FROZEN = "frozen"
    """No operation begins on the instance until a freeze is ended: `Claim.frozen`."""


class ClaimRequest(Message):
    """All that the claim needs, in one call."""

    request: Request
    workflow_id: str
    run_id: str
    namespace: str
    release: str
    storage_mib: int = 0
    limits: dict[str, Allowed] = Field(default_factory=dict)  # by plan


class Claim(Message):
    """The claim's answer, with the instance as it is after it."""

    verdict: Verdict
    generation: int = 0
    former: Status | None = None
    """The settled status before this operation, None where it made the instance."""
    found: Status | None = None
    """The row's status that the claim met, None where it made the instance; transitional where an operation was lost.

    A lost repair counts as what it had met itself.
    """
    former_plan: str | None = None
    """The plan before this operation, None where it made the instance or took over the name of a purged one."""
    instance: Instance | None = None
    operation: OperationRecord | None = None
    reached: Reached | None = None
    frozen: Freeze | None = Field(default=None, exclude=True)
    """Never told to Temporal: the claim step refuses the request for it, and workers of before know no such key."""


class Claimed(Message):
    """A claim together with what the instance's plan says of its operations."""

    claim: Claim
    deadlines: Deadlines
    on_upgrade_failure: UpgradeFailure = "rollback"


class Ending(Message):
    """The last write of an operation: the row and the operation's record, together or not at all."""

    request_id: str
    instance: str
    generation: int
    status: Status
    """The settled status the instance ends in."""
    outcome: Outcome
    url: str | None = None
    revision: int | None = None
    cause: Cause | None = None
    steps: list[StepEvent] = Field(default_factory=list)
    decisions: list[Decided] = Field(default_factory=list)
    plan: str | None = None
    """The plan that the instance ends on, None to leave it as it is."""
    upgrade_pending: bool = False
    """The plan is still to be applied, by the next start."""
    sizes: Sizes | None = None  # None: what the row says
