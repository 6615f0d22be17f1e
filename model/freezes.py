"""Freezes: an operator's word that nobody but people changes an instance, a plan's instances, or a whole cluster."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

from .errors import BadInput
from .instance import Instance


class Scope(StrEnum):
    """What is frozen."""

    INSTANCE = "instance"
    PLAN = "plan"
    CLUSTER = "cluster"


class Freeze(BaseModel):
    """One freeze, as its row has it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    scope: Scope
    name: str
    """The instance's, plan's or cluster's."""
    everything: bool = False
    """Operations that people ask for are refused, too."""
    operator: str = Field(default="", max_length=200)
    """Who froze it, for the record."""
    note: str = Field(default="", max_length=1000)
    """Why."""
    frozen_at: datetime

    def holds(self, *, instance: str, plan: str | None, cluster: str = "default") -> bool:
        """Whether it is about this instance."""
        of = {Scope.INSTANCE: instance, Scope.PLAN: plan, Scope.CLUSTER: cluster}
        return of[self.scope] == self.name

    @property
    def thaw(self) -> str:
        """The command that ends it."""
        what = {Scope.INSTANCE: self.name, Scope.PLAN: f"--plan {self.name}", Scope.CLUSTER: "--cluster"}
        return f"innkeeper unfreeze {what[self.scope]}"

    def __str__(self) -> str:
        who = f" by {self.operator}" if self.operator else ""
        why = f": {self.note}" if self.note else ""
        what = "no operation begins" if self.everything else "no repair is asked for by itself"
        return f"{self.scope.value} {self.name} is frozen since {self.frozen_at:%Y-%m-%d %H:%M} UTC{who}, {what}{why}"


def on(freezes: Iterable[Freeze], row: Instance) -> list[Freeze]:
    """The freezes that hold an instance."""
    return [each for each in freezes if each.holds(instance=row.name, plan=row.plan, cluster=row.cluster)]


def refusal(freeze: Freeze, instance: str) -> BadInput:
    """Why an operation on the instance may not begin."""
    return BadInput("name", instance, f"cannot be changed now: {freeze}", fix=freeze.thaw, code="Freeze")


class FreezeRows(Protocol):
    """The rows of freezes. There are few, and all are read at once."""

    async def freezes(self) -> list[Freeze]:
        """All freezes, the oldest first."""
        ...

    async def freeze(self, wanted: Freeze) -> None:
        """Freeze, or say it anew of what is frozen already; the time is the database's."""
        ...

    async def unfreeze(self, scope: Scope, name: str) -> bool:
        """End a freeze; False where there is none."""
        ...
