"""What a reconcile finds: where a row, a plan, a release and the cluster disagree, in words that people can act on."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from .drift_kinds import HowBad, Policy, What
from .messages import Message

RECONCILE_WORKFLOW = "Reconcile"

MOST_NAMED = 20
"""Findings that a reconcile's result names; the rest is counted."""


def repair_command(name: str) -> str:
    """The command that asks for a repair."""
    return f"innkeeper repair {name}"


def explain_command(name: str) -> str:
    """The command that says why an instance is as it is."""
    return f"innkeeper explain {name}"


class Finding(Message):
    """One disagreement, as a reconcile sees it. Never holds a value of a Secret."""

    instance: str
    what: What
    object: str
    """Which object, e.g. ``Deployment inn-acme/acme-web``."""
    wanted: str
    """What should be, a line a field."""
    found: str
    """What is, a line a field."""
    mend: str
    """The exact command that would mend it, or what a person has to do first."""
    policy: Policy = Policy.REPORT
    """What the plan says is to be done about it, where its mend is a repair."""

    @property
    def how_bad(self) -> HowBad:
        """How soon somebody should look."""
        return self.what.how_bad


class FindingRecord(BaseModel):
    """A finding's row."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: int
    instance: str
    what: What
    how_bad: HowBad
    object: str
    wanted: str
    found: str
    mend: str
    policy: Policy = Policy.REPORT
    first_seen: datetime
    last_seen: datetime
    resolved_at: datetime | None = None
    """When it was gone, None while it stands."""


class FindingPage(Message):
    """Findings in the order in which they were first seen."""

    items: list[FindingRecord]
    next: str | None = None
    """Give it as `after` to read on; None at the end."""


class Looked(Message):
    """An instance that was judged, and the row's generation then: what is written counts only while that stands."""

    instance: str
    generation: int | None
    """None where there was no row."""


class Written(Message):
    """What a write of findings came to."""

    opened: int = 0
    resolved: int = 0
    skipped: int = 0
    """Instances that an operation claimed since they were looked at: left to the next reconcile."""

    def plus(self, other: Written) -> Written:
        """Both together."""
        return Written(
            opened=self.opened + other.opened,
            resolved=self.resolved + other.resolved,
            skipped=self.skipped + other.skipped,
        )


class Looking(Message):
    """What one reconcile is to look at."""

    instance: str | None = None
    """One instance alone; None: all."""


class WorkloadState(Message):
    """A workload as it is."""

    object: str
    wanted: int | None
    """Replicas that the release asks for; None where it does not say, or an autoscaler decides."""
    found: int | None
    images: list[str]
    pods: int | None = None
    """Pods that it asks for now; None of kinds that only start others, and where its controller has not looked yet."""
    ready: int | None = None
    """Those of them that are ready."""
    waits_for: str = ""
    """Why it is not all ready, e.g. a pod that no node takes; empty where it is."""
    fix: str = ""
    """What a person can do about that."""

    @property
    def lacks_pods(self) -> bool:
        """Fewer are ready than it asks for."""
        return self.pods is not None and self.ready is not None and self.ready < self.pods

    @property
    def verdict(self) -> str:
        """How many pods are ready, and why not more."""
        count = f"{self.ready} of {self.pods} pods ready"
        return self.waits_for if self.waits_for.startswith(count) else f"{count}: {self.waits_for}"


class Seen(Message):
    """What a reconcile of one instance saw in the cluster."""

    namespace: bool = False
    """Whether it is there, with the instance's mark."""
    revision: int | None = None
    """The revision that is deployed."""
    state: str = ""
    """The newest revision's."""
    chart: str = ""
    """Name and version of the deployed one."""
    wanted_chart: str = ""
    """The plan's, as the catalog names it; empty where the plan is not in it."""
    current: bool | None = None
    """Whether the release is what the plan wants now; None where that cannot be told."""
    workloads: list[WorkloadState] = Field(default_factory=list)
    pods: int = 0
    volumes: int = 0


class Reconciled(Message):
    """What a reconcile came to."""

    looked_at: int = 0
    busy: int = 0
    """Left alone: an operation runs on them, or has ended in an error that their rows tell."""
    found: dict[str, int] = Field(default_factory=dict)
    """Findings by kind."""
    named: list[str] = Field(default_factory=list)
    """Some of them, at most 20."""
    written: Written = Written()
    asked: list[str] = Field(default_factory=list)
    """Instances for which a repair was asked, since their plan says so."""
    held: list[str] = Field(default_factory=list)
    """Instances for which none was asked, since a freeze holds them."""
    failures: list[str] = Field(default_factory=list)
    """Instances whose repair could not be asked for, and why: the next reconcile tries again."""
    seen: Seen | None = None
    """Of one instance; None where all were looked at, or there is no such row."""
