"""Everything that crosses Temporal or reaches a client: requests, steps, results. Small, strict and without secrets."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, field_validator, model_serializer

from . import names
from .catalog import Deadlines
from .errors import BadInput, Cause
from .instance import TRANSITIONS, Kind, Status
from .sizes import Sizes

TASK_QUEUE = "innkeeper"

TASK_TIMEOUT = timedelta(seconds=5)
"""How long a worker may be at one task of a workflow without a word, before another one gets it: it may have died."""

SEARCH_ATTRIBUTES: dict[str, str] = {
    "InnkeeperInstance": "Keyword",
    "InnkeeperTenant": "Keyword",
    "InnkeeperKind": "Keyword",
    "InnkeeperRequest": "Keyword",
    "InnkeeperParked": "Bool",
}
"""The search attributes an operation carries, name → Temporal's type; a namespace must have them registered."""

PROGRESS_QUERY = "progress"
DECIDE_UPDATE = "decide"
NEXT_UPDATE = "next"
HANDOVER_WORKFLOW = "HandOver"
SWEEP_WORKFLOW = "Sweep"
METERING_WORKFLOW = "Metering"
PREVIEW_WORKFLOW = "PreviewAdoption"


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
    """Required to provision and to adopt; elsewhere a guard: if given, the instance must be this tenant's."""
    plan: str | None = None
    """A plan of the catalog: required to provision and adopt; to upgrade, None for the instance's own."""
    namespace: str | None = None
    """Of an adoption: where the release is."""
    release: str | None = None
    """Of an adoption: the release's name."""
    confirmed: str | None = None
    """Of an adoption: the digest of the preview that was confirmed; None: whatever it comes to."""
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
        namespace: str | None = None,
        release: str | None = None,
        confirmed: str | None = None,
        asked_by: str = "",
    ) -> Request:
        """A checked request from a caller's words; an adoption's release is named as the instance, if not otherwise.

        Raises:
            BadInput: the name, tenant or request id cannot be, or what provision or adoption need is missing.
        """
        if TRANSITIONS[kind].creates:
            if tenant is None:
                raise BadInput("tenant", tenant, "is missing", fix="name the tenant who owns the instance")
            if not plan:
                raise BadInput("plan", plan, "is missing", fix="name a plan of the catalog")
        elif plan is not None and kind is not Kind.UPGRADE:
            raise BadInput("plan", plan, f"has no meaning for {kind}", fix="leave it out, or ask for an upgrade")
        instance = names.normalise(name)
        return cls(
            kind=kind,
            instance=instance,
            request_id=names.check_new_request_id(request_id),
            tenant=None if tenant is None else names.check_tenant(tenant),
            plan=plan,
            namespace=names.check_namespace(namespace or "") if kind is Kind.ADOPT else None,
            release=names.check_release(release or instance) if kind is Kind.ADOPT else None,
            confirmed=confirmed if kind is Kind.ADOPT else None,
            asked_by=asked_by,
        )

    @model_serializer(mode="wrap")
    def _told(self, told: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without the keys of adoptions in any other request: workers of a version before them know none of them."""
        apart = () if self.kind is Kind.ADOPT else ("namespace", "release", "confirmed")
        return {key: value for key, value in told(self).items() if key not in apart}

    @property
    def home(self) -> tuple[str, str]:
        """Namespace and release of an instance that this request makes, or takes over."""
        return self.namespace or names.namespace_of(self.instance), self.release or names.release_of(self.instance)

    @property
    def digest(self) -> str:
        """A fingerprint of the arguments: the same request id with another digest is refused."""
        told = [self.kind.value, self.instance, self.tenant, self.plan]
        # Not of others: what was asked before there were adoptions keeps its fingerprint.
        told += [self.namespace, self.release] if self.kind is Kind.ADOPT else []
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
    former_plan: str | None = None
    """The plan before this operation, which an undo goes back to; None where the operation made the instance."""
    resident: bool = False
    """The instance ran or was stopped in its namespace, which is not made anew where it is gone."""
    goal: Status | None = None
    """The settled status that this operation leads to; None of one that a worker of before began."""
    confirmed: str | None = None
    """Of an adoption: the digest of the preview that was confirmed."""

    @model_serializer(mode="wrap")
    def _told(self, told: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what no adoption has confirmed: workers of a version before do not know the key."""
        return {key: value for key, value in told(self).items() if key != "confirmed" or value is not None}

    @property
    def purges(self) -> bool:
        """Whether the customer's data is to go, be it that a repair finishes what a lost purge began."""
        return Status.PURGED in (self.goal, TRANSITIONS[self.kind].after)


class Admission(Message):
    """What the check step found out about a request that may go on."""

    deadlines: Deadlines
    storage_mib: int = 0
    """What it will ask for, where its plan has a limit on that."""


class Prepared(Message):
    """What the prepare step found."""

    former_revision: int | None = None


class Ready(Message):
    """What runs once an instance is ready, reread from the cluster."""

    revision: int
    url: str | None = None
    sizes: Sizes | None = None
    """What it asks of the cluster; None from workers that did not look."""


class StepState(StrEnum):
    """What a step event says."""

    STARTED = "started"
    DONE = "done"
    FAILED = "failed"
    UNDOING = "undoing"
    UNDONE = "undone"
    LEFT_BEHIND = "left behind"
    PARKED = "parked"
    """An operator is asked; the detail says what."""
    DECIDED = "decided"
    """The question was answered, by a person or by its deadline."""


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


class Choice(StrEnum):
    """What an operator can say to a parked operation."""

    RETRY = "retry"
    """Try the step or the undo again."""
    SKIP = "skip"
    """Of an undo: leave behind what it should have undone, name it, and go on with the other undos."""
    ABORT = "abort"
    """Of a step: give up, and take back what can be. Of an undo: leave behind it and all that is still to undo."""


class Question(Message):
    """What a parked operation asks its operator."""

    id: str
    """Names the question within its operation, e.g. ``undo-release-1``."""
    step: str
    undo: bool
    """The undo of the step keeps failing; else the step itself."""
    cause: Cause
    choices: list[Choice]
    asked_at: datetime
    answer_by: datetime
    """When nobody has answered by then, `otherwise` is taken."""
    otherwise: Choice

    @property
    def headline(self) -> str:
        """What cannot go on, in a few words."""
        return f"the undo of {self.step} keeps failing" if self.undo else f"{self.step} cannot go on"

    def meaning(self, choice: Choice) -> str:
        """What a choice does to this question's operation."""
        return _MEANINGS[choice, self.undo]


_MEANINGS = {
    (Choice.RETRY, False): "try the step again",
    (Choice.ABORT, False): "give up: what can be taken back is, and the rest is named as left behind",
    (Choice.RETRY, True): "try the undo again",
    (Choice.SKIP, True): "leave behind what it should have undone, and go on with the other undos",
    (Choice.ABORT, True): "leave behind everything that is still to be undone",
}


class Decision(Message):
    """An operator's answer, as the update `decide` takes it."""

    choice: Choice
    operator: str = Field(min_length=1, max_length=200)
    """Who decides, for the record."""
    note: str = Field(default="", max_length=1000)
    question: str | None = None
    """The question's id, to answer that one or none; None: whatever is asked now."""


class Decided(Message):
    """A question with its answer, as the operation's row keeps it."""

    question: str
    step: str
    undo: bool
    choice: Choice
    operator: str
    """Who decided; `deadline` where nobody did, `replace` where another request did."""
    note: str = ""
    at: datetime


class NextRequest(Message):
    """What the update `next` takes: a request that is to run when the running operation has ended.

    It answers with the request that has the place: an update's id is the request's, so that one asked again with
    other arguments meets the first.
    """

    request: Request
    replace: bool = False
    """The running operation is to stop and take back what it made; else it is waited for."""


class Delivered(Message):
    """How a hand-over ended: the run that works on the request."""

    run_id: str


class HandOver(Message):
    """What a hand-over is to deliver, or why it cannot any more."""

    request: Request
    displaced: Cause | None = None
    """The request lost its place to another one: it will not run."""


class Progress(Message):
    """The answer to the query `progress`."""

    request_id: str
    kind: Kind
    outcome: Outcome
    tenant: str | None = None
    """The instance's owner; before the claim the one that the request named, None where it named none."""
    events: list[StepEvent]
    now: str = ""
    """What the running step waits for, in a few words."""
    question: Question | None = None
    """What the operation is parked with, None while it is not."""
    next: str | None = None
    """The request that runs when this operation has ended."""


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
    decisions: list[Decided] = Field(default_factory=list)


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
    former: Status | None = None
    """The instance's settled status before the operation, None where the operation made the instance."""
    found: Status | None = None
    """The row's status that the claim met: a transitional one where an operation before had been lost."""
    former_plan: str | None = None
    outcome: Outcome
    status: Status | None = None
    """The instance's status that the operation ended in; None while it runs."""
    url: str | None = None
    revision: int | None = None
    cause: Cause | None = None
    steps: list[StepEvent] = Field(default_factory=list)
    decisions: list[Decided] = Field(default_factory=list)
    asked_by: str = ""
    workflow_id: str
    run_id: str
    started_at: datetime
    ended_at: datetime | None = None
