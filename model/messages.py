"""Everything that crosses Temporal or reaches a client: requests, steps, results. Small, strict and without secrets."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, field_validator

from . import names
from .catalog import Deadlines
from .errors import BadInput, Cause
from .instance import Kind, Status

TASK_QUEUE = "innkeeper"

SEARCH_ATTRIBUTES: dict[str, str] = {
    "InnkeeperInstance": "Keyword",
    "InnkeeperTenant": "Keyword",
    "InnkeeperKind": "Keyword",
    "InnkeeperRequest": "Keyword",
    "InnkeeperParked": "Bool",
}
"""The search attributes an operation carries, name → Temporal's type; a namespace must have them registered."""

PROGRESS_QUERY = "progress"


class Message(BaseModel):
    """Immutable, and strict about what it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Request(Message):
    """What a caller asks of one instance. `request_id` makes it idempotent for ever.

    Raises `BadInput` while it is built, so that nothing malformed ever reaches Temporal.
    """

    kind: Kind
    instance: str
    request_id: str
    tenant: str | None = None
    """Required to provision; elsewhere a guard: if given, the instance must be this tenant's."""
    plan: str | None = None
    """Only to provision, and required there: a plan of the catalog."""
    asked_by: str = ""
    """Who asked, for the record; free text."""

    @field_validator("asked_by")
    @classmethod
    def _short(cls, value: str) -> str:
        return value[:200]

    @classmethod
    def of(
        cls,
        kind: Kind,
        name: str,
        *,
        request_id: str,
        tenant: str | None = None,
        plan: str | None = None,
        asked_by: str = "",
    ) -> Request:
        """A checked request from a caller's words.

        Raises:
            BadInput: the name, tenant or request id cannot be, or what provision needs is missing.
        """
        if kind is Kind.PROVISION:
            if tenant is None:
                raise BadInput("tenant", tenant, "is missing", fix="name the tenant who owns the instance")
            if not plan:
                raise BadInput("plan", plan, "is missing", fix="name a plan of the catalog")
        return cls(
            kind=kind,
            instance=names.normalise(name),
            request_id=names.check_request_id(request_id),
            tenant=None if tenant is None else names.check_tenant(tenant),
            plan=plan,
            asked_by=asked_by,
        )

    @property
    def digest(self) -> str:
        """A fingerprint of the arguments: the same request id with another digest is refused."""
        told = [self.kind.value, self.instance, self.tenant, self.plan]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:32]


class Work(Message):
    """What every step of an operation is told: whose instance, and under which claim."""

    request_id: str
    kind: Kind
    instance: str
    tenant: str
    plan: str
    namespace: str
    release: str
    generation: int
    former_revision: int | None = None
    """The revision of Helm's that ran before this operation's release step, None where none did."""


class Admission(Message):
    """What the check step found out about a request that may go on."""

    deadlines: Deadlines


class Prepared(Message):
    """What the prepare step found."""

    former_revision: int | None = None


class Ready(Message):
    """What runs once an instance is ready, reread from the cluster."""

    revision: int
    url: str | None = None


class StepState(StrEnum):
    """What a step event says."""

    STARTED = "started"
    DONE = "done"
    FAILED = "failed"
    UNDOING = "undoing"
    UNDONE = "undone"
    LEFT_BEHIND = "left behind"


class StepEvent(Message):
    """One line of an operation's life."""

    step: str
    state: StepState
    at: datetime
    detail: str = ""
    """For people, e.g. the failure's cause; empty where the state says all."""


class Outcome(StrEnum):
    """How an operation ended, or that it has not."""

    RUNNING = "running"
    DONE = "done"
    UNDONE = "undone"
    """Failed, and all it made was taken back."""
    LEFT_BEHIND = "left_behind"
    """Failed, and part of what it made is still there; the cause names it."""
    CANCELLED = "cancelled"
    """Cancelled by request, and all it made was taken back."""
    SUPERSEDED = "superseded"
    """A later operation claimed the instance while this one was not running."""


class Progress(Message):
    """The answer to the query `progress`."""

    request_id: str
    kind: Kind
    outcome: Outcome
    events: list[StepEvent]
    now: str = ""
    """What the running step waits for, in a few words."""


class OperationResult(Message):
    """The end of an operation, reread from the row and the cluster."""

    request_id: str
    kind: Kind
    instance: str
    outcome: Outcome
    status: Status
    generation: int
    url: str | None = None
    revision: int | None = None
    cause: Cause | None = None
    steps: list[StepEvent] = Field(default_factory=list)


class OperationRecord(BaseModel):
    """An operation's row."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    """The request id."""
    kind: Kind
    instance: str
    tenant: str
    generation: int
    digest: str
    outcome: Outcome
    status: Status | None = None
    """The instance's status that the operation ended in; None while it runs."""
    url: str | None = None
    revision: int | None = None
    cause: Cause | None = None
    steps: list[StepEvent] = Field(default_factory=list)
    asked_by: str = ""
    workflow_id: str
    run_id: str
    started_at: datetime
    ended_at: datetime | None = None
