"""How an operation that failed or was cancelled ends: the row's status, the outcome, the cause and the plan."""

from __future__ import annotations

from typing import Any

import pytest
from works import work

from innkeeper.model.endings import NOTHING_OF_OURS, End, Undone, end_of
from innkeeper.model.errors import LONGEST_TEXT, Cause
from innkeeper.model.instance import Kind, Status
from innkeeper.model.messages import Outcome

CAUSE = Cause(code="ImagePull", message="no such image", object="Pod inn-acme/web-0", fix="correct the tag")


def end(
    kind: Kind = Kind.START,
    *,
    cause: Cause = CAUSE,
    cancelled: bool = False,
    left: tuple[str, ...] = (),
    taken_back: bool = False,
    unsure: bool = False,
    former: Status | None = Status.STOPPED,
    **told: Any,
) -> End:
    undone = Undone(cause, cancelled, left, taken_back, unsure)
    return end_of(undone, work(kind=kind, former_plan="small", **told), former)


@pytest.mark.parametrize("cancelled", [False, True])
@pytest.mark.parametrize("kind", list(Kind))
def test_what_is_left_behind_is_an_error_that_names_all_of_it(kind: Kind, cancelled: bool) -> None:
    told = end(kind, cancelled=cancelled, left=("release: helm says no", "Secret inn-acme/credentials"))
    again = {each: f"ask for the {each} again" for each in (Kind.UNINSTALL, Kind.PURGE, Kind.ADOPT)}
    assert told[:2] == (Status.ERROR, Outcome.LEFT_BEHIND)
    assert told.plan is None
    assert told.cause == Cause(
        code="ImagePull",
        message="no such image. Left behind: release: helm says no; Secret inn-acme/credentials",
        object="Pod inn-acme/web-0",
        fix=f"correct the tag; then {again.get(kind, 'ask for a repair or an uninstall')}",
    )


@pytest.mark.parametrize(
    ("kind", "former_revision", "pending"),
    [(Kind.UPGRADE, 3, True), (Kind.PROVISION, 3, True), (Kind.PROVISION, None, False), (Kind.START, 3, False)],
)
def test_where_something_is_left_of_another_plan_that_plan_still_waits(
    kind: Kind, former_revision: int | None, pending: bool
) -> None:
    assert end(kind, left=("prepare",), former_revision=former_revision).upgrade_pending is pending
    assert not end(kind, former_revision=former_revision).upgrade_pending


@pytest.mark.parametrize(("kind", "plan"), [(Kind.UPGRADE, "small"), (Kind.STOP, None)])
def test_where_all_was_taken_back_and_only_not_found_ready_the_plan_is_the_one_of_before(
    kind: Kind, plan: str | None
) -> None:
    told = end(kind, left=("settle: not ready",), taken_back=True, former_revision=3)
    assert (told.status, told.outcome) == (Status.ERROR, Outcome.LEFT_BEHIND)
    assert (told.plan, told.upgrade_pending) == (plan, False)


def test_leftovers_have_a_fix_although_the_cause_has_none() -> None:
    told = end(cause=CAUSE.model_copy(update={"fix": ""}), left=("a pod",)).cause
    assert told.fix == "ask for a repair or an uninstall"


def test_leftovers_without_end_are_cut() -> None:
    assert len(end(left=("x" * LONGEST_TEXT,)).cause.message) == LONGEST_TEXT


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("former", [Status.RUNNING, Status.STOPPED, Status.UNINSTALLED, Status.ERROR])
def test_a_cancelled_operation_leaves_the_status_of_before(kind: Kind, former: Status) -> None:
    told = end(kind, cancelled=True, former=former)
    assert told[:3] == (former, Outcome.CANCELLED, CAUSE)


@pytest.mark.parametrize("former", [Status.RUNNING, Status.STOPPED, Status.UNINSTALLED])
def test_what_a_lost_operation_left_is_no_status_of_before(former: Status) -> None:
    fixed = end(Kind.REPAIR, cancelled=True, former=former, unsure=True)
    assert fixed[:3] == (Status.ERROR, Outcome.CANCELLED, CAUSE)
    told = end(Kind.REPAIR, cancelled=True, former=former, unsure=True, cause=CAUSE.model_copy(update={"fix": ""}))
    assert told.cause == CAUSE.model_copy(
        update={"fix": "ask for a repair or an uninstall: what an operation before this one left may still be there"}
    )


def test_a_cause_without_a_fix_stays_so_where_nothing_was_lost() -> None:
    bare = CAUSE.model_copy(update={"fix": ""})
    assert end(cancelled=True, cause=bare).cause == bare


@pytest.mark.parametrize("cancelled", [False, True])
def test_an_instance_that_the_operation_made_ends_in_error(cancelled: bool) -> None:
    assert end(Kind.PROVISION, cancelled=cancelled, former=None).status is Status.ERROR


@pytest.mark.parametrize("cancelled", [False, True])
def test_an_adoption_that_was_taken_back_leaves_what_was_there_before_it(cancelled: bool) -> None:
    outcome = Outcome.CANCELLED if cancelled else Outcome.UNDONE
    told = end(Kind.ADOPT, cancelled=cancelled, former=None)
    assert told[:3] == (Status.PURGED, outcome, CAUSE)
    told = end(Kind.ADOPT, cancelled=cancelled, former=Status.UNINSTALLED)
    assert (told.status, told.plan) == (Status.UNINSTALLED, "small")
    assert end(Kind.ADOPT, cancelled=cancelled, former=None, unsure=True).status is Status.ERROR


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind not in (Kind.UPGRADE, Kind.ADOPT)])
def test_a_failure_says_that_something_is_wrong_with_the_instance(kind: Kind) -> None:
    assert end(kind, former=Status.RUNNING)[:3] == (Status.ERROR, Outcome.UNDONE, CAUSE)


@pytest.mark.parametrize("former", [Status.RUNNING, Status.STOPPED])
def test_an_upgrade_that_was_taken_back_leaves_what_ran(former: Status) -> None:
    assert end(Kind.UPGRADE, former=former)[:3] == (former, Outcome.UNDONE, CAUSE)


@pytest.mark.parametrize("code", sorted(NOTHING_OF_OURS))
def test_an_upgrade_of_what_is_not_there_any_more_is_an_error(code: str) -> None:
    told = end(Kind.UPGRADE, cause=CAUSE.model_copy(update={"code": code}), former=Status.RUNNING)
    assert told[:2] == (Status.ERROR, Outcome.UNDONE)


def test_these_causes_say_that_there_is_nothing_to_take_back() -> None:
    assert {"NotOurs", "NamespaceMissing"} == NOTHING_OF_OURS


@pytest.mark.parametrize("cancelled", [False, True])
@pytest.mark.parametrize(
    ("kind", "former_revision", "plan"),
    [
        (Kind.UPGRADE, None, "small"),
        (Kind.UPGRADE, 3, "small"),
        (Kind.PROVISION, 3, "small"),
        (Kind.PROVISION, None, None),
        (Kind.ADOPT, None, "small"),
        (Kind.START, 3, None),
        (Kind.REPAIR, 3, None),
    ],
)
def test_the_plan_goes_back_with_the_release(
    kind: Kind, former_revision: int | None, plan: str | None, cancelled: bool
) -> None:
    assert end(kind, cancelled=cancelled, former_revision=former_revision).plan == plan
