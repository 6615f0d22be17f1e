"""What a claim's answer means: go on, the stored outcome, or a refusal a person can act on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from innkeeper.model.claim import refusal, row_of, stored_result, wish_is_open, work_of
from innkeeper.model.instance import Instance, Kind, Status
from innkeeper.model.messages import OperationRecord, Outcome, Request
from innkeeper.model.ports import Claim, Verdict


def request(kind: Kind) -> Request:
    return Request.of(kind, "acme", request_id="r1", tenant="t1", plan="starter" if kind is Kind.PROVISION else None)


@pytest.mark.parametrize("verdict", [Verdict.CLAIMED, Verdict.FINISHED])
def test_a_claim_that_holds_or_has_ended_is_no_refusal(verdict: Verdict) -> None:
    assert refusal(Claim(verdict=verdict), request(Kind.STOP)) is None


@pytest.mark.parametrize(
    ("verdict", "kind", "code", "words"),
    [
        (Verdict.MISMATCH, Kind.STOP, "BadInput", "request_id: 'r1' was used before"),
        (Verdict.ABSENT, Kind.STOP, "BadInput", "name: 'acme' is no instance"),
        (Verdict.FOREIGN, Kind.STOP, "BadInput", "is no instance of this tenant"),
        (Verdict.FOREIGN, Kind.PROVISION, "DuplicateName", "is taken"),
        (Verdict.ILLEGAL, Kind.PROVISION, "DuplicateName", "exists already and is running"),
        (Verdict.ILLEGAL, Kind.PURGE, "IllegalTransition", "purge needs it to be error or purged or uninstalled"),
    ],
)
def test_each_refusal_names_what_is_wrong(verdict: Verdict, kind: Kind, code: str, words: str) -> None:
    cause = refusal(Claim(verdict=verdict, former=Status.RUNNING), request(kind))
    assert cause is not None
    assert cause.code == code
    assert words in cause.message
    assert cause.fix


def test_a_claim_without_a_row_is_a_defect() -> None:
    with pytest.raises(RuntimeError, match="a claim without a row: claimed"):
        row_of(Claim(verdict=Verdict.CLAIMED))
    assert row_of(Claim(verdict=Verdict.CLAIMED, instance=row())) == row()


def test_a_stored_outcome_is_told_as_it_was() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    record = OperationRecord(
        id="r1",
        kind=Kind.STOP,
        instance="acme",
        tenant="t1",
        generation=3,
        digest="d",
        outcome=Outcome.DONE,
        status=Status.STOPPED,
        workflow_id="instance/acme",
        run_id="run",
        started_at=moment,
        ended_at=moment,
    )
    result = stored_result(record)
    assert (result.outcome, result.status, result.generation) == (Outcome.DONE, Status.STOPPED, 3)


def row(**more: Any) -> Instance:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    told: dict[str, Any] = {
        "name": "acme",
        "tenant": "t1",
        "plan": "starter",
        "namespace": "inn-acme",
        "release": "acme",
        "status": Status.STARTING,
        "generation": 5,
        "created_at": moment,
        "updated_at": moment,
    }
    return Instance(**told | more)


@pytest.mark.parametrize(
    ("pending", "found", "is_open"),
    [
        (False, Status.RUNNING, False),
        (False, None, False),
        (False, Status.STARTING, False),
        (False, Status.UPGRADING, True),
        (True, Status.STOPPED, True),
    ],
)
def test_a_lost_upgrade_is_still_to_be_applied(pending: bool, found: Status | None, is_open: bool) -> None:
    assert wish_is_open(row(upgrade_pending=pending), found) is is_open


def test_steps_are_told_whose_instance_and_under_which_claim() -> None:
    claim = Claim(verdict=Verdict.CLAIMED, former=Status.RUNNING, found=Status.RUNNING, former_plan="small")
    work = work_of(request(Kind.STOP), row(), claim)
    assert (work.request_id, work.kind, work.instance, work.tenant) == ("r1", Kind.STOP, "acme", "t1")
    assert (work.plan, work.namespace, work.release, work.generation) == ("starter", "inn-acme", "acme", 5)
    assert (work.former_plan, work.former_revision, work.resident) == ("small", None, True)


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
