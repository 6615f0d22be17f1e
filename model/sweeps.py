"""What a sweep looks at and asks for: rows in transition behind which no operation may stand any more."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from pydantic import Field

from . import names
from .instance import Instance, Kind
from .messages import Message, Request

GRACE = timedelta(seconds=10)
"""A row that was written a shorter time ago is left alone: its operation has just begun or ended."""

MOST_NAMED = 20
"""Instances that a sweep's result names; the rest is counted."""

ASKED_BY = "sweep"


class SweepPage(Message):
    """Which rows one step of a sweep looks at."""

    before: datetime
    """Rows last written before this."""
    after: str | None = None
    """The cursor of the page before, None for the first."""


class Swept(Message):
    """What a sweep, or one page of it, met among the rows in transition."""

    looked_at: int = 0
    busy: int = 0
    """Their operation runs, or the row has been written since."""
    held: int = 0
    """A freeze holds them: nothing is asked for."""
    asked: int = 0
    """Nothing ran: a repair was asked for, or had been."""
    failed: int = 0
    """It could not be told, or the repair not be handed in; the next sweep tries again."""
    repairs: list[str] = Field(default_factory=list)
    """The instances asked for, at most 20."""
    failures: list[str] = Field(default_factory=list)
    """The instances that failed and why, at most 20."""

    def plus(self, other: Swept) -> Swept:
        """Both together."""
        return Swept(
            looked_at=self.looked_at + other.looked_at,
            busy=self.busy + other.busy,
            held=self.held + other.held,
            asked=self.asked + other.asked,
            failed=self.failed + other.failed,
            repairs=[*self.repairs, *other.repairs][:MOST_NAMED],
            failures=[*self.failures, *other.failures][:MOST_NAMED],
        )


class SweptPage(Message):
    """One page's findings and where the next begins."""

    swept: Swept
    next: str | None = None
    """Give it as `after` to go on; None at the end."""


class Look(NamedTuple):
    """What became of one row that was looked at."""

    instance: str
    asked: bool = False
    failure: str = ""
    held: bool = False

    @property
    def swept(self) -> Swept:
        """The same, countable."""
        failed, asked = bool(self.failure), self.asked
        return Swept(
            looked_at=1,
            busy=int(not failed and not asked and not self.held),
            held=int(self.held),
            asked=int(asked),
            failed=int(failed),
            repairs=[self.instance] if asked else [],
            failures=[f"{self.instance}: {self.failure}"] if failed else [],
        )


def repair_of(row: Instance) -> Request:
    """The request that a sweep hands in for a row whose operation was lost.

    Its id is the same for the same lost generation, so that any number of sweeps ask once; a repair that is lost in
    its turn has a generation of its own, and is asked for anew.
    """
    return Request(
        kind=Kind.REPAIR,
        instance=row.name,
        request_id=f"{names.SWEEP_PREFIX}{row.name}-{row.generation}",
        tenant=row.tenant,
        asked_by=ASKED_BY,
    )


def is_lost(seen: Instance, now: Instance | None) -> bool:
    """Whether a row, read again after nothing was found running, still waits for the operation it was seen under."""
    return now is not None and not now.status.settled and now.generation == seen.generation
