"""What a claim's answer means for the request: go on, the stored outcome, or a refusal that says why."""

from __future__ import annotations

from . import repair
from .endings import before_nothing
from .errors import BadInput, Cause, DuplicateName, IllegalTransition, Superseded
from .instance import TRANSITIONS, Instance, Kind, Status
from .limits import refusal_of
from .messages import NextRequest, OperationRecord, OperationResult, Outcome, Request, Work
from .record_messages import Claim, ClaimRequest, Verdict


def claim_of(request: Request, workflow_id: str, run_id: str, storage_mib: int) -> ClaimRequest:
    """What is asked of the database for a request that a workflow's run is to carry out."""
    return ClaimRequest(
        request=request,
        workflow_id=workflow_id,
        run_id=run_id,
        namespace=request.home[0],
        release=request.home[1],
        storage_mib=storage_mib,
    )


def refusal(claim: Claim, request: Request) -> Cause | None:
    """Why the request is refused; None where it is not. Nothing was touched."""
    if claim.verdict in (Verdict.CLAIMED, Verdict.FINISHED):
        return None
    return _refused(claim, request) if claim.reached is None else refusal_of(claim.reached)


def _refused(claim: Claim, request: Request) -> Cause:
    match claim.verdict:
        case Verdict.MISMATCH:
            return BadInput(
                "request_id",
                request.request_id,
                "was used before, with other arguments",
                fix="use a new request id for a new request",
            ).cause
        case Verdict.ABSENT:
            return BadInput("name", request.instance, "is no instance", fix="check the spelling, or provision it").cause
        case Verdict.TAKEN:
            return DuplicateName(
                "namespace", request.home[0], "is another instance's", fix="look up whose it is, or use another"
            ).cause
        case Verdict.FOREIGN:
            return _foreign(request)
        case _:
            return _illegal(claim, request)


def possible_ends(kind: Kind, found: Status | None, former: Status | None, *, badly: bool) -> set[Status]:
    """The settled statuses that a running operation may leave when it is asked to stop.

    Args:
        kind: the operation's.
        found: the row's status that its claim met.
        former: the instance's settled status before it, None where it made the instance.
        badly: it failed, or did what cannot be taken back.
    """
    ends = {_goal(kind, found, former), former or before_nothing(kind)}
    # After a lost operation the former status is given back only where it was seen.
    return ends | {Status.ERROR} if badly or found is not former else ends


def refusal_to_follow(wanted: NextRequest, work: Work, former: Status | None, ends: set[Status]) -> Cause | None:
    """Why a request would be refused although the operation before it stopped for it; None where it might begin.

    Args:
        wanted: the request that wants the place behind the operation, or to replace it.
        work: the operation's.
        former: the instance's settled status before the operation.
        ends: those it may leave.
    """
    request = wanted.request
    # The name of what is purged is free for everyone, but not before it is.
    name_gets_free = TRANSITIONS[request.kind].creates and Status.PURGED in ends and not wanted.replace
    if request.tenant not in (None, work.tenant) and not name_gets_free:
        return refusal(Claim(verdict=Verdict.FOREIGN), request)
    if wanted.replace and ends.isdisjoint(TRANSITIONS[request.kind].allowed_from):
        return refusal(Claim(verdict=Verdict.ILLEGAL, former=former), request)
    return None


def _foreign(request: Request) -> Cause:
    if TRANSITIONS[request.kind].creates:
        return DuplicateName("name", request.instance, "is taken", fix="use another name").cause
    return BadInput(
        "name", request.instance, "is no instance of this tenant", fix="check the name and the tenant"
    ).cause


def _illegal(claim: Claim, request: Request) -> Cause:
    status = claim.former or (claim.instance.status if claim.instance else Status.ERROR)
    if TRANSITIONS[request.kind].creates:
        return DuplicateName(
            "name", request.instance, f"exists already and is {status}", fix="use another name, or uninstall it first"
        ).cause
    allowed = " or ".join(sorted(TRANSITIONS[request.kind].allowed_from))
    advice = "uninstall it first" if request.kind is Kind.PURGE else "provision it again"
    return IllegalTransition(
        "name",
        request.instance,
        f"is {status}, and {request.kind} needs it to be {allowed}",
        fix=advice,
    ).cause


def row_of(claim: Claim) -> Instance:
    """The row that a claim holds.

    Raises:
        RuntimeError: it holds none, which is a defect of whoever answered it.
    """
    if claim.instance is None:
        raise RuntimeError(f"a claim without a row: {claim.verdict}")
    return claim.instance


def stored_result(record: OperationRecord) -> OperationResult:
    """The outcome of an operation that ended before, as its row tells it."""
    return OperationResult(
        request_id=record.id,
        kind=record.kind,
        instance=record.instance,
        outcome=record.outcome,
        status=record.status or Status.ERROR,
        generation=record.generation,
        url=record.url,
        revision=record.revision,
        cause=record.cause or _overtaken(record),
        steps=record.steps,
        decisions=record.decisions,
    )


def _overtaken(record: OperationRecord) -> Cause | None:
    """What a record that another operation closed cannot say itself; None for any other."""
    if record.outcome is not Outcome.SUPERSEDED:
        return None
    return Superseded(
        f"Another operation claimed {record.instance} before this one had ended.",
        object=f"instance {record.instance}",
        fix=f"see what took it over by `innkeeper operations {record.instance}`, and ask again with a new request id "
        "if this is still wanted",
    ).cause


def wish_is_open(row: Instance, found: Status | None) -> bool:
    """Whether the release is still to be brought to the row's plan: a lost upgrade leaves that to who comes next."""
    return row.upgrade_pending or found is Status.UPGRADING


def work_of(request: Request, row: Instance, claim: Claim) -> Work:
    """What the steps of a claimed request are told."""
    return Work(
        request_id=request.request_id,
        kind=request.kind,
        instance=row.name,
        tenant=row.tenant,
        plan=row.plan,
        namespace=row.namespace,
        release=row.release,
        generation=row.generation,
        # What a lost upgrade left may never have been ready: who comes after it goes back to what was.
        former_revision=row.revision if claim.found is Status.UPGRADING else None,
        former_plan=claim.former_plan,
        resident=_is_resident(request, claim),
        goal=_goal(request.kind, claim.found, claim.former),
        confirmed=request.confirmed,
    )


def _goal(kind: Kind, found: Status | None, former: Status | None) -> Status:
    """The settled status that an operation leads to."""
    return repair.goal(found, former) if kind is Kind.REPAIR else TRANSITIONS[kind].after


def _is_resident(request: Request, claim: Claim) -> bool:
    """Whether the namespace must not be made anew: a customer's data went with the one that is gone.

    A repair of a settled instance is asked for just that; one of a lost operation may do what that one might.
    """
    asked_for = request.kind is Kind.REPAIR and claim.found is claim.former
    return claim.former in (Status.RUNNING, Status.STOPPED) and not asked_for
