"""What there is to do about an instance: what is asked first, then the worst first, each thing once."""

from __future__ import annotations

from datetime import UTC, datetime

from drift_facts import row

from innkeeper.model.drift_kinds import What
from innkeeper.model.errors import Cause
from innkeeper.model.explaining import to_do, unready, worst_first
from innkeeper.model.findings import FindingRecord, Seen, WorkloadState
from innkeeper.model.instance import Status
from innkeeper.model.messages import Choice, Question

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


def finding(number: int, what: What, mend: str) -> FindingRecord:
    return FindingRecord(
        id=number,
        instance="acme",
        what=what,
        how_bad=what.how_bad,
        object="x",
        wanted="",
        found="",
        mend=mend,
        first_seen=MOMENT,
        last_seen=MOMENT,
    )


OUTDATED = finding(1, What.PLAN_OUTDATED, "innkeeper upgrade acme")
SCALED = finding(2, What.REPLICAS_CHANGED, "innkeeper repair acme")
DELETED = finding(3, What.WORKLOAD_MISSING, "innkeeper repair acme")
QUESTION = Question(
    id="undo-release-1",
    step="release",
    undo=True,
    cause=Cause(code="X", message="no"),
    choices=[Choice.RETRY, Choice.SKIP],
    asked_at=MOMENT,
    answer_by=MOMENT,
    otherwise=Choice.SKIP,
)


def test_the_worst_comes_first_then_the_oldest() -> None:
    late = finding(4, What.IMAGE_CHANGED, "")
    assert worst_first([OUTDATED, late, SCALED, DELETED]) == [DELETED, SCALED, late, OUTDATED]


def test_each_thing_is_to_be_done_once_and_nothing_where_all_is_well() -> None:
    assert to_do(row(), [OUTDATED, SCALED, DELETED], None) == ["innkeeper repair acme", "innkeeper upgrade acme"]
    assert to_do(row(), [], None) == []


def test_what_is_asked_is_answered_before_anything_else() -> None:
    assert to_do(row(status=Status.UNINSTALLING), [DELETED], QUESTION) == [
        "innkeeper decide acme retry --question undo-release-1",
        "innkeeper decide acme skip --question undo-release-1",
    ]


def test_what_is_under_way_is_followed_and_what_is_stuck_is_mended() -> None:
    stopping = row(status=Status.STOPPING)
    assert to_do(stopping, [], None) == ["innkeeper logs acme --follow"]
    assert to_do(stopping, [DELETED], None) == ["innkeeper repair acme"]


def test_an_error_is_mended_by_its_causes_fix_and_then_repaired() -> None:
    cause = Cause(code="X", message="no", fix="raise the quota")
    assert to_do(row(status=Status.ERROR, cause=cause), [OUTDATED], None) == [
        "raise the quota",
        "innkeeper repair acme",
        "innkeeper upgrade acme",
    ]
    assert to_do(row(status=Status.ERROR), [], None) == ["innkeeper repair acme"]


def seen(*states: WorkloadState) -> Seen:
    return Seen(workloads=list(states))


READY = WorkloadState(object="Deployment web", wanted=1, found=1, images=[], pods=1, ready=1)
LACKS = READY.model_copy(update={"ready": 0, "waits_for": "Pod web-0: no node can take it", "fix": "add nodes"})
NOT_READY = finding(5, What.NOT_READY, "innkeeper explain acme")


def test_what_keeps_pods_from_being_ready_is_mended_first_and_no_close_look_is_asked_for_again() -> None:
    assert to_do(row(), [NOT_READY, SCALED], None, seen(READY, LACKS, LACKS)) == ["add nodes", "innkeeper repair acme"]
    assert to_do(row(), [], None, seen(LACKS)) == ["add nodes"]
    assert to_do(row(), [], None, seen(READY)) == []


def test_where_nobody_could_look_closely_that_is_what_to_do() -> None:
    assert to_do(row(), [NOT_READY], None) == ["innkeeper explain acme"]
    unknown = LACKS.model_copy(update={"fix": "", "waits_for": ""})
    assert to_do(row(), [NOT_READY], None, seen(unknown)) == ["innkeeper explain acme"]


def test_only_what_runs_lacks_pods() -> None:
    assert unready(row(), seen(LACKS)) == [LACKS]
    assert unready(row(status=Status.STOPPED), seen(LACKS)) == []
    assert unready(row(), None) == []
