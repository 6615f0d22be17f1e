"""What a claim's answer means: go on, the stored outcome, or a refusal a person can act on."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from innkeeper.model.claim import refusal, stored_result
from innkeeper.model.instance import Kind, Status
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
