"""What a claim's answer means: go on, the stored outcome, or a refusal a person can act on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from innkeeper.model.claim import (
    possible_ends,
    refusal,
    refusal_to_follow,
    row_of,
    stored_result,
    wish_is_open,
    work_of,
)
from innkeeper.model.errors import Cause
from innkeeper.model.instance import TRANSITIONS, Instance, Kind, Status
from innkeeper.model.messages import (
    Choice,
    Decided,
    NextRequest,
    OperationRecord,
    OperationResult,
    Outcome,
    Request,
    StepEvent,
    StepState,
    Work,
)
from innkeeper.model.record_messages import Claim, Verdict

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


def request(kind: Kind) -> Request:
    plan = "starter" if TRANSITIONS[kind].creates else None
    return Request.of(kind, "acme", request_id="r1", tenant="t1", plan=plan, namespace="shop")


def row(status: Status = Status.STOPPING, **told: Any) -> Instance:
    usual = {
        "name": "acme",
        "tenant": "t1",
        "plan": "starter",
        "namespace": "inn-acme",
        "release": "acme",
        "generation": 7,
        "created_at": MOMENT,
        "updated_at": MOMENT,
    }
    return Instance.model_validate({**usual, "status": status, **told})


@pytest.mark.parametrize("verdict", [Verdict.CLAIMED, Verdict.FINISHED])
def test_a_claim_that_holds_or_has_ended_is_no_refusal(verdict: Verdict) -> None:
    assert refusal(Claim(verdict=verdict), request(Kind.STOP)) is None


@pytest.mark.parametrize(
    ("verdict", "kind", "code", "message", "fix"),
    [
        (
            Verdict.MISMATCH,
            Kind.STOP,
            "BadInput",
            "request_id: 'r1' was used before, with other arguments.",
            "use a new request id for a new request",
        ),
        (
            Verdict.ABSENT,
            Kind.STOP,
            "BadInput",
            "name: 'acme' is no instance.",
            "check the spelling, or provision it",
        ),
        (
            Verdict.FOREIGN,
            Kind.STOP,
            "BadInput",
            "name: 'acme' is no instance of this tenant.",
            "check the name and the tenant",
        ),
        (Verdict.FOREIGN, Kind.PROVISION, "DuplicateName", "name: 'acme' is taken.", "use another name"),
        (Verdict.FOREIGN, Kind.ADOPT, "DuplicateName", "name: 'acme' is taken.", "use another name"),
        (
            Verdict.TAKEN,
            Kind.ADOPT,
            "DuplicateName",
            "namespace: 'shop' is another instance's.",
            "look up whose it is, or use another",
        ),
        (
            Verdict.TAKEN,
            Kind.PROVISION,
            "DuplicateName",
            "namespace: 'inn-acme' is another instance's.",
            "look up whose it is, or use another",
        ),
        (
            Verdict.ILLEGAL,
            Kind.ADOPT,
            "DuplicateName",
            "name: 'acme' exists already and is running.",
            "use another name, or uninstall it first",
        ),
        (
            Verdict.ILLEGAL,
            Kind.PROVISION,
            "DuplicateName",
            "name: 'acme' exists already and is running.",
            "use another name, or uninstall it first",
        ),
        (
            Verdict.ILLEGAL,
            Kind.PURGE,
            "IllegalTransition",
            "name: 'acme' is running, and purge needs it to be error or purged or uninstalled.",
            "uninstall it first",
        ),
    ],
)
def test_each_refusal_names_what_is_wrong_and_what_to_do(
    verdict: Verdict, kind: Kind, code: str, message: str, fix: str
) -> None:
    told = refusal(Claim(verdict=verdict, former=Status.RUNNING), request(kind))
    assert told == Cause(code=code, message=message, fix=fix)


def test_what_was_uninstalled_is_to_be_provisioned_again() -> None:
    told = refusal(Claim(verdict=Verdict.ILLEGAL, former=Status.UNINSTALLED), request(Kind.START))
    assert told == Cause(
        code="IllegalTransition",
        message="name: 'acme' is uninstalled, and start needs it to be error or running or stopped.",
        fix="provision it again",
    )


@pytest.mark.parametrize(
    ("claim", "status"),
    [
        (Claim(verdict=Verdict.ILLEGAL, former=Status.STOPPED, instance=row(Status.STARTING)), "stopped"),
        (Claim(verdict=Verdict.ILLEGAL, instance=row(Status.STARTING)), "starting"),
        (Claim(verdict=Verdict.ILLEGAL), "error"),
    ],
)
def test_a_refusal_tells_the_settled_status_as_far_as_it_is_known(claim: Claim, status: str) -> None:
    told = refusal(claim, request(Kind.PURGE))
    assert told is not None
    assert told.message.startswith(f"name: 'acme' is {status}, and purge")


def record(**told: Any) -> OperationRecord:
    usual = {
        "id": "r1",
        "kind": Kind.STOP,
        "instance": "acme",
        "tenant": "t1",
        "generation": 3,
        "digest": "d",
        "outcome": Outcome.UNDONE,
        "workflow_id": "instance/acme",
        "run_id": "run",
        "started_at": MOMENT,
        "ended_at": MOMENT,
    }
    return OperationRecord.model_validate({**usual, **told})


def test_a_claim_without_a_row_is_a_defect() -> None:
    with pytest.raises(RuntimeError, match="a claim without a row: claimed"):
        row_of(Claim(verdict=Verdict.CLAIMED))
    assert row_of(Claim(verdict=Verdict.CLAIMED, instance=row())) == row()


def test_a_stored_outcome_is_told_as_it_was() -> None:
    told = {
        "status": Status.STOPPED,
        "url": "https://acme.rooms.example",
        "revision": 4,
        "cause": Cause(code="x", message="it failed"),
        "steps": [StepEvent(step="gone", state=StepState.FAILED, at=MOMENT, detail="it failed")],
        "decisions": [
            Decided(question="undo-gone-1", step="gone", undo=True, choice=Choice.SKIP, operator="ada", at=MOMENT)
        ],
    }
    assert stored_result(record(**told)) == OperationResult.model_validate(
        {"request_id": "r1", "kind": Kind.STOP, "instance": "acme", "generation": 3, "outcome": Outcome.UNDONE, **told}
    )


def test_an_outcome_without_a_status_is_an_error() -> None:
    assert stored_result(record()).status is Status.ERROR
    assert stored_result(record()).cause is None


def test_an_operation_that_was_overtaken_says_so_when_it_is_asked_for_again() -> None:
    assert stored_result(record(outcome=Outcome.SUPERSEDED)).cause == Cause(
        code="Superseded",
        message="Another operation claimed acme before this one had ended.",
        object="instance acme",
        fix="see what took it over by `innkeeper operations acme`, and ask again with a new request id if this is "
        "still wanted",
    )


@pytest.mark.parametrize(
    ("pending", "found", "is_open"),
    [
        (False, None, False),
        (False, Status.RUNNING, False),
        (False, Status.UPGRADING, True),
        (True, Status.STOPPED, True),
        (True, None, True),
    ],
)
def test_a_wish_is_open_while_an_upgrade_waits_or_was_lost(pending: bool, found: Status | None, is_open: bool) -> None:
    assert wish_is_open(row(upgrade_pending=pending), found) is is_open


def test_steps_are_told_whose_instance_it_is_and_under_which_claim() -> None:
    claim = Claim(verdict=Verdict.CLAIMED, former=Status.ERROR, found=Status.ERROR, former_plan="small")
    told = work_of(request(Kind.STOP), row(plan="team", namespace="inn-other", release="other"), claim)
    assert told == Work(
        request_id="r1",
        kind=Kind.STOP,
        instance="acme",
        tenant="t1",
        plan="team",
        namespace="inn-other",
        release="other",
        generation=7,
        former_plan="small",
        resident=False,
        goal=Status.STOPPED,
    )


@pytest.mark.parametrize(
    ("kind", "found", "goal", "purges"),
    [
        (Kind.UPGRADE, Status.RUNNING, Status.RUNNING, False),
        (Kind.UNINSTALL, Status.RUNNING, Status.UNINSTALLED, False),
        (Kind.PURGE, Status.UNINSTALLED, Status.PURGED, True),
        (Kind.REPAIR, Status.UNINSTALLING, Status.UNINSTALLED, False),
        (Kind.REPAIR, Status.PURGING, Status.PURGED, True),
        (Kind.REPAIR, Status.STOPPING, Status.STOPPED, False),
    ],
)
def test_steps_are_told_where_it_leads_and_whether_data_is_to_go(
    kind: Kind, found: Status, goal: Status, purges: bool
) -> None:
    told = work_of(request(kind), row(), Claim(verdict=Verdict.CLAIMED, former=Status.RUNNING, found=found))
    assert (told.goal, told.purges) == (goal, purges)


@pytest.mark.parametrize("kind", [Kind.UNINSTALL, Kind.PURGE])
def test_what_a_worker_of_before_began_is_known_by_its_kind(kind: Kind) -> None:
    told = work_of(request(kind), row(), Claim(verdict=Verdict.CLAIMED, former=Status.RUNNING, found=Status.RUNNING))
    of_before = told.model_copy(update={"goal": None})
    assert of_before.purges is told.purges is (kind is Kind.PURGE)


@pytest.mark.parametrize("kind", [Kind.START, Kind.UPGRADE, Kind.REPAIR])
@pytest.mark.parametrize("former", [*(status for status in Status if status.settled), None])
def test_the_namespace_of_what_ran_or_was_stopped_is_not_made_anew(kind: Kind, former: Status | None) -> None:
    lost = Claim(verdict=Verdict.CLAIMED, former=former, found=Status.RESTARTING)
    resident = former in (Status.RUNNING, Status.STOPPED)
    assert work_of(request(kind), row(), lost).resident is resident
    settled = Claim(verdict=Verdict.CLAIMED, former=former, found=former)
    assert work_of(request(kind), row(), settled).resident is (resident and kind is not Kind.REPAIR)


def test_who_comes_after_a_lost_upgrade_knows_the_revision_that_was_ready() -> None:
    claim = Claim(verdict=Verdict.CLAIMED, former=Status.RUNNING, found=Status.UPGRADING)
    assert work_of(request(Kind.REPAIR), row(revision=4), claim).former_revision == 4
    claim = Claim(verdict=Verdict.CLAIMED, former=Status.RUNNING, found=Status.STARTING)
    assert work_of(request(Kind.REPAIR), row(revision=4), claim).former_revision is None


@pytest.mark.parametrize(
    ("kind", "former", "found", "resident"),
    [
        (Kind.UPGRADE, Status.RUNNING, Status.RUNNING, True),
        (Kind.START, Status.STOPPED, Status.STOPPED, True),
        (Kind.START, Status.ERROR, Status.ERROR, False),
        (Kind.PROVISION, Status.UNINSTALLED, Status.UNINSTALLED, False),
        (Kind.PROVISION, None, None, False),
        (Kind.REPAIR, Status.RUNNING, Status.RUNNING, False),
        (Kind.REPAIR, Status.STOPPED, Status.STARTING, True),
        (Kind.REPAIR, Status.RUNNING, Status.UPGRADING, True),
        (Kind.REPAIR, Status.ERROR, Status.PROVISIONING, False),
    ],
)
def test_a_namespace_with_a_customers_data_is_made_anew_only_where_that_is_asked_for(
    kind: Kind, former: Status | None, found: Status | None, resident: bool
) -> None:
    claim = Claim(verdict=Verdict.CLAIMED, former=former, found=found)
    assert work_of(request(kind), row(), claim).resident is resident


@pytest.mark.parametrize(
    ("kind", "found", "former", "badly", "ends"),
    [
        (Kind.RESTART, Status.RUNNING, Status.RUNNING, False, {Status.RUNNING}),
        (Kind.RESTART, Status.RUNNING, Status.RUNNING, True, {Status.RUNNING, Status.ERROR}),
        (Kind.STOP, Status.RUNNING, Status.RUNNING, False, {Status.RUNNING, Status.STOPPED}),
        (Kind.PROVISION, None, None, False, {Status.RUNNING, Status.ERROR}),
        (Kind.ADOPT, None, None, False, {Status.RUNNING, Status.PURGED}),
        (Kind.ADOPT, Status.UNINSTALLED, Status.UNINSTALLED, False, {Status.RUNNING, Status.UNINSTALLED}),
        (Kind.REPAIR, Status.PURGING, Status.UNINSTALLED, False, {Status.PURGED, Status.UNINSTALLED, Status.ERROR}),
        (Kind.REPAIR, Status.UPGRADING, Status.STOPPED, False, {Status.STOPPED, Status.ERROR}),
        (Kind.REPAIR, Status.UPGRADING, Status.RUNNING, False, {Status.RUNNING, Status.ERROR}),
        (Kind.REPAIR, Status.STOPPED, Status.STOPPED, False, {Status.STOPPED}),
    ],
)
def test_an_operation_that_is_asked_to_stop_ends_as_it_began_or_as_it_was_asked(
    kind: Kind, found: Status | None, former: Status | None, badly: bool, ends: set[Status]
) -> None:
    assert possible_ends(kind, found, former, badly=badly) == ends


@pytest.mark.parametrize(
    ("kind", "tenant", "replace", "ends", "said"),
    [
        (Kind.UNINSTALL, "t1", True, {Status.RUNNING}, None),
        (Kind.UNINSTALL, None, True, {Status.RUNNING}, None),
        (Kind.UNINSTALL, "t2", True, {Status.RUNNING}, "no instance of this tenant"),
        (Kind.UNINSTALL, "t2", False, {Status.RUNNING}, "no instance of this tenant"),
        (Kind.PURGE, "t1", True, {Status.RUNNING}, "is running, and purge needs it to be"),
        (Kind.PURGE, "t1", False, {Status.RUNNING}, None),
        (Kind.PURGE, "t1", True, {Status.RUNNING, Status.ERROR}, None),
        (Kind.PROVISION, "t2", False, {Status.UNINSTALLED, Status.PURGED}, None),
        (Kind.PROVISION, "t2", True, {Status.UNINSTALLED, Status.PURGED}, "is taken"),
        (Kind.STOP, "t2", False, {Status.UNINSTALLED, Status.PURGED}, "no instance of this tenant"),
    ],
)
def test_who_may_come_after_an_operation(
    kind: Kind, tenant: str | None, replace: bool, ends: set[Status], said: str | None
) -> None:
    plan = "starter" if kind is Kind.PROVISION else None
    asked = Request.of(kind, "acme", request_id="r2", tenant=tenant, plan=plan)
    work = work_of(request(Kind.STOP), row(), Claim(verdict=Verdict.CLAIMED, instance=row()))
    refused = refusal_to_follow(NextRequest(request=asked, replace=replace), work, Status.RUNNING, ends)
    assert (refused is None) if said is None else (refused is not None and said in refused.message)
