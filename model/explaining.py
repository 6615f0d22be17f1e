"""What there is to do about an instance, in the order in which a person should go about it."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from .drift_kinds import HowBad, What
from .findings import FindingRecord, Seen, WorkloadState, repair_command
from .freezes import Freeze
from .instance import Instance, Status
from .messages import OperationRecord, Question

UNREADY = frozenset({What.NOT_READY, What.PARTLY_READY})
"""Kinds whose mend is to look closely, which an explanation has done."""

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
    now: str = ""
    """The step of the operation that runs; empty where none does, or nobody says."""
    waiting_for: str = ""
    """What that waits for just now."""
    question: Question | None = None
    """What the operation that runs is parked with."""
    to_do: list[str]
    """Commands, or what a person has to do first; empty where all is well."""


def worst_first(findings: Sequence[FindingRecord]) -> list[FindingRecord]:
    """The findings by how bad they are, then by when they were first seen."""
    return sorted(findings, key=lambda each: (_ORDER.index(each.how_bad), each.id))


def to_do(
    row: Instance, findings: Sequence[FindingRecord], question: Question | None, seen: Seen | None = None
) -> list[str]:
    """What to do, each once; empty where all is well."""
    if question is not None:
        return [f"innkeeper decide {row.name} {choice.value} --question {question.id}" for choice in question.choices]
    if not row.status.settled and not findings:
        return [f"innkeeper logs {row.name} --follow"]
    found_out = unready(row, seen)
    steps = [each.mend for each in worst_first(findings) if not (found_out and each.what in UNREADY)]
    if row.status is Status.ERROR:
        first = [row.cause.fix] if row.cause and row.cause.fix else []
        steps = [*first, repair_command(row.name), *steps]
    return list(dict.fromkeys([*(each.fix for each in found_out), *steps]))


def unready(row: Instance, seen: Seen | None) -> list[WorkloadState]:
    """The workloads of an instance that runs which lack pods, by a close look."""
    if seen is None or row.status is not Status.RUNNING:
        return []
    return [each for each in seen.workloads if each.lacks_pods and each.fix]
