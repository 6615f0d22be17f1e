"""What there is to do about an instance, in the order in which a person should go about it."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from .drift_kinds import HowBad
from .findings import FindingRecord, Seen
from .freezes import Freeze
from .instance import Instance, Status
from .messages import OperationRecord, Question

_ORDER = (HowBad.ERROR, HowBad.WARNING, HowBad.INFO)


class Explanation(BaseModel):
    """All that is known of one instance: what should be, what is, why, what ran lately, what to do."""

    model_config = ConfigDict(frozen=True)

    instance: Instance
    seen: Seen | None
    """What is in the cluster, looked at just now; None where nobody could look."""
    not_seen: str = ""
    """Why nobody could look."""
    findings: list[FindingRecord]
    """Those that stand, the worst first."""
    freezes: list[Freeze]
    """Those that hold it."""
    operations: list[OperationRecord]
    """The last ones, the newest first."""
    question: Question | None = None
    """What the operation that runs is parked with."""
    to_do: list[str]
    """Commands, or what a person has to do first; empty where all is well."""


def worst_first(findings: Sequence[FindingRecord]) -> list[FindingRecord]:
    """The findings by how bad they are, then by when they were first seen."""
    return sorted(findings, key=lambda each: (_ORDER.index(each.how_bad), each.id))


def to_do(row: Instance, findings: Sequence[FindingRecord], question: Question | None) -> list[str]:
    """What to do, each once; empty where all is well."""
    if question is not None:
        return [f"innkeeper decide {row.name} {choice.value} --question {question.id}" for choice in question.choices]
    if not row.status.settled and not findings:
        return [f"innkeeper logs {row.name} --follow"]
    steps = [each.mend for each in worst_first(findings)]
    if row.status is Status.ERROR:
        first = [row.cause.fix] if row.cause and row.cause.fix else []
        steps = [*first, f"innkeeper repair {row.name}", *steps]
    return list(dict.fromkeys(steps))
