"""How an operation that did not come to what was asked ends: pure, from what went wrong and what could be undone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .errors import LONGEST_TEXT, Cause
from .instance import Kind, Status
from .messages import Outcome, Work

NOTHING_OF_OURS = frozenset({"NotOurs", "NamespaceMissing"})
"""Codes of causes which say that there is nothing of the operation's to take back: `NotOurs` is the namespace's."""

_UNSURE = "ask for a repair or an uninstall: what an operation before this one left may still be there"

_AGAIN = frozenset({Kind.UNINSTALL, Kind.PURGE, Kind.ADOPT})
"""Of which a repair is no way on: it would install again what was to go, or upgrade what was only to be marked."""


class Undone(NamedTuple):
    """What is known when the ledger has been walked."""

    cause: Cause
    cancelled: bool
    """Somebody asked for it: nothing failed."""
    left: Sequence[str]
    """What stands although it should not, for people; empty where all was taken back."""
    taken_back: bool = False
    """Where something is left, it is only that the instance was not found ready again."""
    unsure: bool = False
    """The claim met what a lost operation left, and nothing has found the instance as it was before that."""


class End(NamedTuple):
    """What the rows are to say."""

    status: Status
    outcome: Outcome
    cause: Cause
    plan: str | None
    """The plan that the instance goes back to; None: the row's stays."""
    upgrade_pending: bool = False
    """What is released may not be the row's plan."""


def end_of(undone: Undone, work: Work, former: Status | None) -> End:
    """The end of an operation that failed or was cancelled.

    Args:
        undone: what went wrong, and what is left of it.
        work: what the operation worked on.
        former: the instance's settled status before it, None where it made the instance.
    """
    if undone.left:
        cause = _with_leftovers(undone.cause, undone.left, work.kind)
        if undone.taken_back:
            return End(Status.ERROR, Outcome.LEFT_BEHIND, cause, _former_plan(work))
        return End(Status.ERROR, Outcome.LEFT_BEHIND, cause, None, _ran_before(work))
    outcome = Outcome.CANCELLED if undone.cancelled else Outcome.UNDONE
    # An upgrade that was taken back has been found ready again, and an adoption changes nothing that runs; other
    # operations' failures say that something is wrong with the instance itself.
    as_before = (
        undone.cancelled
        or work.kind is Kind.ADOPT
        or (work.kind is Kind.UPGRADE and undone.cause.code not in NOTHING_OF_OURS)
    )
    status = (former or before_nothing(work.kind)) if as_before and not undone.unsure else Status.ERROR
    cause = undone.cause if undone.cause.fix or not undone.unsure else undone.cause.model_copy(update={"fix": _UNSURE})
    return End(status, outcome, cause, _former_plan(work))


def before_nothing(kind: Kind) -> Status:
    """As what an instance counts before an operation that made its row.

    An adoption that was taken back leaves somebody else's release as it was, and nothing of the instance: name and
    namespace are free again.
    """
    return Status.PURGED if kind is Kind.ADOPT else Status.ERROR


def _former_plan(work: Work) -> str | None:
    return work.former_plan if _ran_before(work) or work.kind is Kind.ADOPT else None


def _ran_before(work: Work) -> bool:
    return work.kind is Kind.UPGRADE or (work.kind is Kind.PROVISION and work.former_revision is not None)


def _with_leftovers(cause: Cause, left: Sequence[str], kind: Kind) -> Cause:
    again = f"ask for the {kind} again" if kind in _AGAIN else "ask for a repair or an uninstall"
    told = "; ".join(left)
    first = f"{cause.fix}; then " if cause.fix else ""
    return cause.model_copy(
        update={
            "message": f"{cause.message}. Left behind: {told}"[:LONGEST_TEXT],
            "fix": f"{first}{again}",
        }
    )
