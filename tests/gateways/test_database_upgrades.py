"""The part of the database's contract that upgrades, repairs and parked operations rest on."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta

import pytest
from desk import DURING, Desk

from innkeeper.model.errors import BadInput, Superseded
from innkeeper.model.instance import TRANSITIONS, Instance, Kind, Status
from innkeeper.model.messages import Choice, Decided, Outcome
from innkeeper.model.ports import Database, Page
from innkeeper.model.record_messages import Claim, Verdict

TRANSITIONAL = [status for status in Status if not status.settled]
LATER = timedelta(seconds=1)


def told(claim: Claim) -> tuple[Status | None, Status | None, str | None]:
    return claim.former, claim.found, claim.former_plan


async def all_in_transition(database: Database, before: datetime, *, near: str) -> list[Instance]:
    """Those whose name begins with `near`, whatever else is in the database."""
    items, after = [], near
    while True:
        page = await database.in_transition(Page(limit=10, after=after), before=before)
        items += [item for item in page.items if item.name.startswith(near)]
        if page.next is None or not page.next.startswith(near):
            return items
        after = page.next


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.REPAIRING])
async def test_a_claim_tells_the_status_and_the_plan_that_it_met(desk: Desk, status: Status) -> None:
    settled = await desk.bring_to(status)
    kind = next(kind for kind, transition in TRANSITIONS.items() if settled in transition.allowed_from)
    claim = await desk.claim(kind, plan="pro" if TRANSITIONS[kind].creates else None)
    assert claim.verdict is Verdict.CLAIMED
    assert told(claim) == (settled, status, "starter")
    assert claim.operation is not None
    record = await desk.record(claim.operation.id)
    assert (record.former, record.found, record.former_plan) == told(claim)


async def test_a_refused_claim_met_nothing(desk: Desk) -> None:
    await desk.settle(Status.PURGED)
    claim = await desk.claim(Kind.START)
    assert (claim.verdict, claim.found, claim.former_plan) == (Verdict.ILLEGAL, None, None)


async def test_an_instance_that_never_settled_was_met_while_it_was_provisioned(desk: Desk) -> None:
    await desk.claim(Kind.PROVISION)
    assert told(await desk.claim(Kind.REPAIR)) == (Status.ERROR, Status.PROVISIONING, "starter")


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.PURGED])
@pytest.mark.parametrize("next_kind", [Kind.REPAIR, Kind.UNINSTALL])
async def test_a_lost_repair_counts_as_what_it_had_met(desk: Desk, status: Status, next_kind: Kind) -> None:
    settled = await desk.bring_to(status)
    met = settled if status is Status.REPAIRING else status
    for _ in range(3):
        assert told(await desk.claim(Kind.REPAIR)) == (settled, met, "starter")
    assert told(await desk.claim(next_kind)) == (settled, met, "starter")


async def test_a_repair_that_ended_is_not_what_the_next_one_meets(desk: Desk) -> None:
    await desk.settle(Status.RUNNING)
    await desk.claim(Kind.STOP)
    await desk.settle(Status.STOPPED, Kind.REPAIR)
    await desk.claim(Kind.REPAIR)
    assert told(await desk.claim(Kind.REPAIR)) == (Status.STOPPED, Status.STOPPED, "starter")


@pytest.mark.parametrize("ended", [False, True])
async def test_asking_again_tells_what_the_first_claim_met(desk: Desk, ended: bool) -> None:
    await desk.settle(Status.RUNNING)
    await desk.claim(Kind.STOP)
    request = desk.request(Kind.UPGRADE, plan="pro")
    first = await desk.ask(request)
    if ended:
        await desk.finish(first, Status.RUNNING, plan="pro")
        await desk.claim(Kind.UPGRADE, plan="big")
    again = await desk.ask(request, run_id="another")
    assert again.verdict is (Verdict.FINISHED if ended else Verdict.CLAIMED)
    assert told(first) == (Status.RUNNING, Status.STOPPING, "starter")
    # What it meets itself, where its first run was lost, is what that may have left.
    assert told(again) == (told(first) if ended else (Status.RUNNING, Status.UPGRADING, "starter"))


async def test_an_upgrade_takes_the_plan_that_it_was_given(desk: Desk) -> None:
    await desk.settle(Status.RUNNING)
    claim = await desk.claim(Kind.UPGRADE, plan="pro")
    assert claim.instance is not None
    assert (claim.instance.status, claim.instance.plan) == (Status.UPGRADING, "pro")
    assert claim.former_plan == "starter"
    await desk.finish(claim, Status.RUNNING)
    assert (await desk.row()).plan == "pro"


async def test_an_upgrade_that_names_no_plan_keeps_the_instances(desk: Desk) -> None:
    await desk.settle(Status.RUNNING)
    claim = await desk.claim(Kind.UPGRADE)
    assert ((await desk.row()).plan, claim.former_plan) == ("starter", "starter")


async def test_a_plan_is_taken_back_by_the_ending_that_says_so(desk: Desk) -> None:
    await desk.settle(Status.RUNNING)
    claim = await desk.claim(Kind.UPGRADE, plan="pro")
    for _ in range(2):
        ended = await desk.finish(claim, Status.RUNNING, Outcome.UNDONE, plan=claim.former_plan)
        assert ended == await desk.row()
        assert ended.plan == "starter"
    assert claim.operation is not None
    assert (await desk.record(claim.operation.id)).former_plan == "starter"


@pytest.mark.parametrize("kind", [kind for kind, to in TRANSITIONS.items() if not to.creates and kind != Kind.UPGRADE])
async def test_a_plan_means_nothing_to_the_others(desk: Desk, kind: Kind) -> None:
    await desk.settle(min(TRANSITIONS[kind].allowed_from))
    claim = await desk.claim(kind, plan="pro")
    assert ((await desk.row()).plan, claim.former_plan) == ("starter", "starter")


async def test_a_plan_without_a_name_is_refused(desk: Desk) -> None:
    await desk.settle(Status.RUNNING)
    with pytest.raises(BadInput, match="plan"):
        await desk.claim(Kind.UPGRADE, plan="")
    claim = await desk.claim(Kind.UPGRADE, plan="pro")
    with pytest.raises(BadInput, match="plan"):
        await desk.finish(claim, Status.RUNNING, plan="")
    assert ((await desk.row()).plan, (await desk.row()).status) == ("pro", Status.UPGRADING)


async def test_the_heir_of_a_name_does_not_learn_the_former_tenants_plan(desk: Desk) -> None:
    await desk.settle(Status.PURGED)
    heir = Desk(desk.database, name=desk.name)
    assert told(await heir.claim(Kind.PROVISION, plan="pro")) == (Status.PURGED, Status.PURGED, None)
    same = Desk(desk.database)
    await same.settle(Status.PURGED)
    assert told(await same.claim(Kind.PROVISION, plan="pro")) == (Status.PURGED, Status.PURGED, "starter")


async def test_a_pending_upgrade_is_kept_by_claims_and_set_by_endings(desk: Desk) -> None:
    await desk.settle(Status.STOPPED)
    claim = await desk.claim(Kind.UPGRADE, plan="pro")
    assert claim.instance is not None
    assert claim.instance.upgrade_pending is False
    ended = await desk.finish(claim, Status.STOPPED, plan="pro", upgrade_pending=True)
    assert (ended.upgrade_pending, ended.plan) == (True, "pro")
    for kind in (Kind.START, Kind.UPGRADE, Kind.REPAIR, Kind.UNINSTALL):
        claim = await desk.claim(kind)
        assert claim.instance == await desk.row()
        assert claim.instance is not None
        assert claim.instance.upgrade_pending is True
    assert (await desk.finish(claim, Status.UNINSTALLED)).upgrade_pending is False
    assert (await desk.row()).upgrade_pending is False


async def test_an_ending_of_an_earlier_generation_leaves_plan_and_pending_upgrade(desk: Desk) -> None:
    await desk.settle(Status.RUNNING)
    late = await desk.claim(Kind.UPGRADE, plan="pro")
    await desk.claim(Kind.STOP)
    before = await desk.row()
    with pytest.raises(Superseded):
        await desk.finish(late, Status.RUNNING, Outcome.UNDONE, plan="starter", upgrade_pending=True)
    assert await desk.row() == before
    assert (before.plan, before.upgrade_pending) == ("pro", False)


async def test_decisions_are_kept_as_they_were_taken(desk: Desk) -> None:
    claim = await desk.claim(Kind.PROVISION)
    at = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    decisions = [
        Decided(question="undo-release-1", step="release", undo=True, choice=Choice.RETRY, operator="Ann", at=at),
        Decided(question="ready-1", step="ready", undo=False, choice=Choice.ABORT, operator="", note="", at=at + LATER),
        Decided(question="q", step="prepare", undo=True, choice=Choice.SKIP, operator="Zoë 'O'", note='a\n"b"', at=at),
    ]
    await desk.finish(claim, Status.ERROR, Outcome.LEFT_BEHIND, decisions=decisions)
    assert claim.operation is not None
    assert (await desk.record(claim.operation.id)).decisions == decisions
    again = await desk.ask(desk.request(Kind.PROVISION, request_id=claim.operation.id))
    assert again.operation is not None
    assert again.operation.decisions == decisions


async def test_any_words_of_an_operator_can_be_stored(desk: Desk) -> None:
    claim = await desk.claim(Kind.PROVISION)
    words = "NUL \0, half an emoji \ud83d"
    decided = Decided(
        question="q", step="ready", undo=False, choice=Choice.SKIP, operator="Ann", note=words, at=datetime.now(UTC)
    )
    await desk.finish(claim, Status.ERROR, Outcome.UNDONE, decisions=[decided])
    assert claim.operation is not None
    record = await desk.record(claim.operation.id)
    assert record.decisions[0].note == "NUL \N{REPLACEMENT CHARACTER}, half an emoji ?"


@pytest.mark.parametrize("status", list(Status))
async def test_what_is_in_transition_is_found_and_what_settled_is_not(desk: Desk, status: Status) -> None:
    await desk.bring_to(status)
    found = await all_in_transition(desk.database, datetime.now(UTC) + timedelta(hours=1), near=desk.name[:-1])
    assert found == ([await desk.row()] if status in TRANSITIONAL else [])


async def test_what_was_written_since_is_left_out(desk: Desk) -> None:
    await desk.bring_to(Status.STOPPING)
    written, near = (await desk.row()).updated_at, desk.name[:-1]
    assert await all_in_transition(desk.database, written, near=near) == []
    assert await all_in_transition(desk.database, written - timedelta(hours=1), near=near) == []
    for zone in (UTC, datetime.now().astimezone().tzinfo):
        moment = (written + timedelta(microseconds=1)).astimezone(zone)
        assert await all_in_transition(desk.database, moment, near=near) == [await desk.row()]


async def test_what_is_in_transition_is_paged_by_name_without_a_gap(database: Database) -> None:
    tenant, near = f"t-{secrets.token_hex(6)}", f"q{secrets.token_hex(6)}"
    kinds = [DURING[status] for status in TRANSITIONAL if status is not Status.PROVISIONING]
    names = [f"{near}-{number}" for number in range(2 * len(kinds))]
    for number, name in enumerate(names):
        desk, kind = Desk(database, name, tenant), kinds[number % len(kinds)]
        await desk.settle(Status.ERROR)
        await desk.claim(kind)
    for number in range(5):
        await Desk(database, f"{near}-{number}-settled", tenant).settle(Status.RUNNING)
    before = datetime.now(UTC) + timedelta(hours=1)
    found = await all_in_transition(database, before, near=near)
    assert [item.name for item in found] == sorted(names)
    assert {item.status for item in found} == {TRANSITIONS[kind].during for kind in kinds}
    first = await database.in_transition(Page(limit=3, after=near), before=before)
    assert first.items == found[:3]
    assert first.next == found[2].name
