"""What a claim's answer means for the request: go on, the stored outcome, or a refusal that says why."""

from __future__ import annotations

from .errors import BadInput, Cause, DuplicateName, IllegalTransition
from .instance import TRANSITIONS, Instance, Kind, Status
from .messages import OperationRecord, OperationResult, Request, Work
from .ports import Claim, Verdict


def refusal(claim: Claim, request: Request) -> Cause | None:
    """Why the request is refused; None where it is not. Nothing was touched."""
    match claim.verdict:
        case Verdict.CLAIMED | Verdict.FINISHED:
            return None
        case Verdict.MISMATCH:
            return BadInput(
                "request_id",
                request.request_id,
                "was used before, with other arguments",
                fix="use a new request id for a new request",
            ).cause
        case Verdict.ABSENT:
            return BadInput("name", request.instance, "is no instance", fix="check the spelling, or provision it").cause
        case Verdict.FOREIGN if request.kind is Kind.PROVISION:
            return DuplicateName("name", request.instance, "is taken", fix="use another name").cause
        case Verdict.FOREIGN:
            return BadInput(
                "name", request.instance, "is no instance of this tenant", fix="check the name and the tenant"
            ).cause
        case Verdict.ILLEGAL:
            return _illegal(claim, request)


def _illegal(claim: Claim, request: Request) -> Cause:
    status = claim.former or (claim.instance.status if claim.instance else Status.ERROR)
    if request.kind is Kind.PROVISION:
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
        cause=record.cause,
        steps=record.steps,
        decisions=record.decisions,
    )


def work_of(request: Request, row: Instance, former_plan: str | None) -> Work:
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
        former_plan=former_plan,
    )
