"""What every database gateway refuses or mends before it touches anything, so that all of them do it alike."""

from __future__ import annotations

from typing import TypeVar

from innkeeper.model.errors import BadInput, Superseded
from innkeeper.model.instance import TRANSITIONS
from innkeeper.model.messages import Outcome
from innkeeper.model.record_messages import ClaimRequest, Ending

T = TypeVar("T")


def check_claim(claim: ClaimRequest) -> None:
    """Refuse a claim that could not be written.

    Raises:
        BadInput: an instance is to be made without a tenant or a plan, or the plan has no name.
    """
    request, creates = claim.request, TRANSITIONS[claim.request.kind].creates
    if creates and not request.tenant:
        raise _missing("tenant", request.tenant)
    if request.plan == "" or (creates and request.plan is None):
        raise _missing("plan", request.plan)


def check_ending(ending: Ending) -> None:
    """Refuse an ending that would leave the row in transition.

    Raises:
        BadInput: the status is a transitional one, the outcome says that the operation runs, or the plan has no name.
    """
    if not ending.status.settled:
        raise BadInput("status", ending.status.value, "is no status to end in", fix="end in a settled status")
    if ending.outcome is Outcome.RUNNING:
        raise BadInput("outcome", ending.outcome.value, "is no outcome to end with", fix="say how it ended")
    if ending.plan == "":
        raise _missing("plan", ending.plan)


def _missing(field: str, value: str | None) -> BadInput:
    return BadInput(field, value, "is missing", fix=f"name the instance's {field}")


def place_of(cursor: str) -> int:
    """The place in the order of operations that a page's cursor stands for.

    Raises:
        BadInput: it is no cursor of ours.
    """
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 18):
        raise BadInput("after", cursor, "is not a page's cursor", fix="give the `next` of the page before")
    return int(cursor)


def storable(value: T) -> T:
    """The same JSON with every text storable: Postgres takes neither NUL nor lone surrogates.

    A failure's words may hold anything, and they must never be the reason why the failure is not recorded.
    """
    if isinstance(value, str):
        text = value.replace("\0", "\N{REPLACEMENT CHARACTER}")
        return text.encode("utf-8", "replace").decode()  # type: ignore[return-value]  # str is T here
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}  # type: ignore[return-value]
    if isinstance(value, list):
        return [storable(item) for item in value]  # type: ignore[return-value]
    return value


def superseded(ending: Ending) -> Superseded:
    """The refusal of an ending whose instance another operation has claimed since."""
    return Superseded(
        f"Generation {ending.generation} of {ending.instance} is not this operation's to end any more.",
        object=f"instance {ending.instance}",
        fix=f"see what took it over by `innkeeper operations {ending.instance}`, and ask again if this is still wanted",
    )
