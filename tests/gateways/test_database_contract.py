"""The database's contract, held by the one in memory and by Supabase alike."""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime

import pytest
from desk import Desk

from innkeeper.model.errors import BadInput, Cause, Superseded
from innkeeper.model.instance import TRANSITIONS, Kind, Status
from innkeeper.model.messages import Outcome, StepEvent, StepState
from innkeeper.model.names import namespace_of
from innkeeper.model.ports import Database, Page
from innkeeper.model.record_messages import Claim, Ending, Verdict

SETTLED = [status for status in Status if status.settled]
BROKEN = Cause(code="ImagePull", message="The image is not there.", object="Pod inn-x/web-0", fix="name another image")


async def test_what_is_not_there_reads_as_none(desk: Desk) -> None:
    assert await desk.database.instance(desk.name) is None
    assert await desk.database.operation(secrets.token_hex(8)) is None


async def test_a_worker_is_told_that_it_reaches_the_database(desk: Desk) -> None:
    await desk.database.ping()


async def test_a_first_provision_makes_the_row_and_the_operation(desk: Desk) -> None:
    request = desk.request(Kind.PROVISION)
    claim = await desk.ask(request, run_id="run-1")
    assert (claim.verdict, claim.generation, claim.former) == (Verdict.CLAIMED, 1, None)
    assert (claim.found, claim.former_plan) == (None, None)
    row, record = await desk.row(), await desk.record(request.request_id)
    assert claim.instance == row
    assert claim.operation == record
    assert (row.tenant, row.plan, row.status, row.settled) == (desk.tenant, "starter", Status.PROVISIONING, None)
    assert row.upgrade_pending is False
    assert (row.namespace, row.release, row.cluster) == (namespace_of(desk.name), desk.name, "default")
    assert row.created_at.tzinfo is not None
    assert abs((datetime.now(UTC) - row.created_at).total_seconds()) < 60
    assert (record.kind, record.instance, record.tenant) == (Kind.PROVISION, desk.name, desk.tenant)
    assert (record.digest, record.outcome, record.status) == (request.digest, Outcome.RUNNING, None)
    assert (record.workflow_id, record.run_id, record.asked_by) == (f"instance/{desk.name}", "run-1", "a test")
    assert (record.former, record.found, record.former_plan, record.decisions) == (None, None, None, [])
    assert record.ended_at is None


async def test_an_ending_writes_row_and_record_together(desk: Desk) -> None:
    claim = await desk.claim(Kind.PROVISION)
    steps = [StepEvent(step="release", state=StepState.DONE, at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), detail="a")]
    ended = await desk.finish(claim, Status.RUNNING, url="https://x.example", revision=3, steps=steps)
    assert claim.operation is not None
    record = await desk.record(claim.operation.id)
    assert ended == await desk.row()
    assert (ended.status, ended.settled, ended.url, ended.revision) == (
        Status.RUNNING,
        Status.RUNNING,
        "https://x.example",
        3,
    )
    assert (record.outcome, record.status, record.url, record.revision) == (
        Outcome.DONE,
        Status.RUNNING,
        "https://x.example",
        3,
    )
    assert record.steps == steps
    assert record.ended_at is not None
    assert record.ended_at >= record.started_at
    assert ended.updated_at >= ended.created_at


async def test_a_failure_leaves_its_cause_in_the_row_until_the_next_claim(desk: Desk) -> None:
    claim = await desk.claim(Kind.PROVISION)
    ended = await desk.finish(claim, Status.ERROR, Outcome.LEFT_BEHIND, cause=BROKEN)
    assert ended.cause == BROKEN
    again = await desk.claim(Kind.PROVISION)
    assert again.former is Status.ERROR
    assert again.instance is not None
    assert again.instance.cause is None
    assert claim.operation is not None
    assert (await desk.record(claim.operation.id)).cause == BROKEN


async def test_an_undone_operation_leaves_its_cause_in_the_record_alone(desk: Desk) -> None:
    await desk.settle(Status.RUNNING)
    claim = await desk.claim(Kind.STOP)
    ended = await desk.finish(claim, Status.RUNNING, Outcome.UNDONE, cause=BROKEN)
    assert (ended.status, ended.cause) == (Status.RUNNING, None)
    assert claim.operation is not None
    assert (await desk.record(claim.operation.id)).cause == BROKEN


@pytest.mark.parametrize("status", [status for status in Status if not status.settled])
async def test_an_operation_cannot_end_in_transition(desk: Desk, status: Status) -> None:
    claim = await desk.claim(Kind.PROVISION)
    with pytest.raises(BadInput, match="settled"):
        await desk.finish(claim, status)


async def test_an_operation_cannot_end_as_running(desk: Desk) -> None:
    claim = await desk.claim(Kind.PROVISION)
    with pytest.raises(BadInput, match="outcome"):
        await desk.finish(claim, Status.RUNNING, Outcome.RUNNING)


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome is not Outcome.RUNNING])
async def test_every_outcome_can_be_stored(desk: Desk, outcome: Outcome) -> None:
    claim = await desk.claim(Kind.PROVISION)
    await desk.finish(claim, Status.ERROR, outcome)
    assert claim.operation is not None
    assert (await desk.record(claim.operation.id)).outcome is outcome


async def test_an_instance_is_not_made_without_a_tenant_or_a_plan(desk: Desk) -> None:
    with pytest.raises(BadInput, match="tenant"):
        await desk.claim(Kind.PROVISION, tenant=None)
    request = desk.request(Kind.PROVISION).model_copy(update={"plan": None})
    with pytest.raises(BadInput, match="plan"):
        await desk.ask(request)
    assert await desk.database.instance(desk.name) is None


async def test_twenty_claims_with_one_request_id_are_one_operation(desk: Desk) -> None:
    request = desk.request(Kind.PROVISION)
    claims = await asyncio.gather(*(desk.ask(request) for _ in range(20)))
    assert {(claim.verdict, claim.generation, claim.former) for claim in claims} == {(Verdict.CLAIMED, 1, None)}
    page = await desk.database.operations(Page(), instance=desk.name)
    assert [record.id for record in page.items] == [request.request_id]


async def test_twenty_claims_with_different_ids_raise_the_generation_each(desk: Desk) -> None:
    await desk.settle(Status.RUNNING)
    claims = await asyncio.gather(*(desk.claim(Kind.STOP) for _ in range(20)))
    assert sorted(claim.generation for claim in claims) == list(range(2, 22))
    assert {claim.former for claim in claims} == {Status.RUNNING}
    page = await desk.database.operations(Page(), instance=desk.name)
    outcomes = {record.generation: record.outcome for record in page.items}
    assert outcomes == {1: Outcome.DONE, 21: Outcome.RUNNING} | dict.fromkeys(range(2, 21), Outcome.SUPERSEDED)
    assert all(record.ended_at is not None for record in page.items if record.outcome is Outcome.SUPERSEDED)


async def test_twenty_first_provisions_with_different_ids_make_one_instance(desk: Desk) -> None:
    claims = await asyncio.gather(*(desk.claim(Kind.PROVISION) for _ in range(20)))
    assert sorted(claim.generation for claim in claims) == list(range(1, 21))
    assert [claim.former for claim in sorted(claims, key=lambda claim: claim.generation)] == [
        None,
        *[Status.ERROR] * 19,
    ]
    assert (await desk.row()).generation == 20


async def test_asking_again_while_it_runs_reaches_the_same_operation(desk: Desk) -> None:
    await desk.settle(Status.RUNNING)
    request = desk.request(Kind.STOP)
    first = await desk.ask(request, run_id="lost")
    again = await desk.ask(request, run_id="found")
    assert (again.verdict, again.generation, again.former) == (Verdict.CLAIMED, first.generation, Status.RUNNING)
    assert (await desk.record(request.request_id)).run_id == "found"


@pytest.mark.parametrize(
    ("kind", "meets"),
    [(Kind.STOP, Status.STOPPING), (Kind.UPGRADE, Status.UPGRADING), (Kind.REPAIR, Status.RUNNING)],
)
async def test_who_takes_up_a_lost_run_of_the_same_request_meets_what_that_may_have_left(
    desk: Desk, kind: Kind, meets: Status
) -> None:
    await desk.settle(Status.RUNNING)
    request = desk.request(kind)
    first = await desk.ask(request, run_id="lost")
    assert (await desk.ask(request, run_id="lost")).found is first.found is Status.RUNNING
    for _ in range(2):
        again = await desk.ask(request, run_id="found")
        assert (again.former, again.found) == (Status.RUNNING, meets)
    assert (await desk.record(request.request_id)).found is meets


async def test_asking_again_after_it_ended_returns_the_stored_outcome(desk: Desk) -> None:
    request = desk.request(Kind.PROVISION)
    claim = await desk.ask(request)
    await desk.finish(claim, Status.ERROR, Outcome.UNDONE, cause=BROKEN)
    await desk.settle(Status.RUNNING)
    again = await desk.ask(request, run_id="another")
    assert (again.verdict, again.generation, again.former) == (Verdict.FINISHED, 1, None)
    assert again.operation == await desk.record(request.request_id)
    assert again.operation is not None
    assert (again.operation.outcome, again.operation.cause, again.operation.run_id) == (Outcome.UNDONE, BROKEN, "run")
    assert again.instance == await desk.row()


async def test_a_superseded_operation_that_asks_again_is_told_so(desk: Desk) -> None:
    await desk.settle(Status.RUNNING)
    request = desk.request(Kind.STOP)
    await desk.ask(request)
    await desk.claim(Kind.RESTART)
    again = await desk.ask(request)
    assert again.verdict is Verdict.FINISHED
    assert again.operation is not None
    assert again.operation.outcome is Outcome.SUPERSEDED


async def test_the_same_id_with_other_arguments_is_refused_and_touches_nothing(desk: Desk) -> None:
    request = desk.request(Kind.PROVISION)
    await desk.ask(request)
    before = await desk.row()
    other = Desk(desk.database, tenant=desk.tenant)
    for claim in (
        await desk.ask(request.model_copy(update={"plan": "pro"})),
        await desk.claim(Kind.STOP, request_id=request.request_id),
        await other.claim(Kind.PROVISION, request_id=request.request_id),
    ):
        assert claim == Claim(verdict=Verdict.MISMATCH)
    assert await desk.row() == before
    assert await desk.database.instance(other.name) is None


@pytest.mark.parametrize("kind", list(Kind))
async def test_an_absent_instance_is_made_by_provision_alone(desk: Desk, kind: Kind) -> None:
    claim = await desk.claim(kind)
    if TRANSITIONS[kind].creates:
        assert claim.verdict is Verdict.CLAIMED
        return
    assert claim == Claim(verdict=Verdict.ABSENT)
    assert await desk.database.instance(desk.name) is None


@pytest.mark.parametrize("status", list(Status))
async def test_the_transition_table_decides_what_may_start(database: Database, status: Status) -> None:
    for kind, transition in TRANSITIONS.items():
        desk = Desk(database)
        settled = await desk.bring_to(status)
        before = await desk.row()
        assert before.status is status
        claim = await desk.claim(kind)
        if settled in transition.allowed_from:
            assert (claim.verdict, claim.former) == (Verdict.CLAIMED, settled), kind
            assert claim.generation == before.generation + 1
            after = await desk.row()
            assert (after.status, after.settled) == (transition.during, settled)
        else:
            assert (claim.verdict, claim.former) == (Verdict.ILLEGAL, settled), kind
            assert claim.instance == before
            assert await desk.row() == before


@pytest.mark.parametrize("kind", list(Kind))
async def test_an_instance_that_never_settled_counts_as_failed(desk: Desk, kind: Kind) -> None:
    await desk.claim(Kind.PROVISION)
    claim = await desk.claim(kind)
    assert claim.former is Status.ERROR
    legal = Status.ERROR in TRANSITIONS[kind].allowed_from
    assert claim.verdict is (Verdict.CLAIMED if legal else Verdict.ILLEGAL)


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("status", [Status.RUNNING, Status.ERROR, Status.UNINSTALLED, Status.PROVISIONING])
async def test_another_tenants_instance_is_foreign_and_not_shown(desk: Desk, kind: Kind, status: Status) -> None:
    await desk.bring_to(status)
    before = await desk.row()
    thief = Desk(desk.database, name=desk.name)
    assert await thief.claim(kind) == Claim(verdict=Verdict.FOREIGN)
    assert await desk.row() == before


@pytest.mark.parametrize("kind", [kind for kind, transition in TRANSITIONS.items() if not transition.creates])
async def test_without_a_tenant_as_guard_an_operator_reaches_any_instance(desk: Desk, kind: Kind) -> None:
    await desk.settle(min(TRANSITIONS[kind].allowed_from))
    claim = await desk.claim(kind, tenant=None)
    assert claim.verdict is Verdict.CLAIMED
    assert claim.operation is not None
    assert claim.operation.tenant == (await desk.row()).tenant == desk.tenant


async def test_the_name_of_a_purged_instance_is_free_for_another_tenant(desk: Desk) -> None:
    first = await desk.settle(Status.PURGED)
    heir = Desk(desk.database, name=desk.name)
    assert (await heir.claim(Kind.PURGE)).verdict is Verdict.FOREIGN
    claim = await heir.claim(Kind.PROVISION)
    assert (claim.verdict, claim.former) == (Verdict.CLAIMED, Status.PURGED)
    row = await desk.row()
    assert (row.tenant, row.generation) == (heir.tenant, first.generation + 1)
    assert first.instance is not None
    assert row.created_at > first.instance.created_at
    assert first.operation is not None
    assert (await desk.record(first.operation.id)).tenant == desk.tenant
    assert (await desk.claim(Kind.PROVISION)).verdict is Verdict.FOREIGN


async def test_a_name_that_is_being_taken_over_is_not_free(desk: Desk) -> None:
    await desk.settle(Status.PURGED)
    await Desk(desk.database, name=desk.name).claim(Kind.PROVISION)
    assert (await desk.claim(Kind.PROVISION)).verdict is Verdict.FOREIGN


async def test_provision_takes_the_plan_of_the_request_and_others_keep_it(desk: Desk) -> None:
    await desk.settle(Status.ERROR)
    claim = await desk.ask(desk.request(Kind.PROVISION).model_copy(update={"plan": "pro"}))
    await desk.finish(claim, Status.RUNNING)
    await desk.claim(Kind.STOP)
    assert (await desk.row()).plan == "pro"


async def test_an_operation_that_did_not_succeed_leaves_the_address_that_stands(desk: Desk) -> None:
    await desk.finish(await desk.claim(Kind.PROVISION), Status.RUNNING, url="https://x.example", revision=3)
    await desk.finish(await desk.claim(Kind.STOP), Status.RUNNING, Outcome.CANCELLED)
    row = await desk.row()
    assert (row.url, row.revision) == ("https://x.example", 3)
    await desk.finish(await desk.claim(Kind.STOP), Status.STOPPED)
    assert (await desk.row()).revision is None


async def test_repeating_an_ending_changes_nothing(desk: Desk) -> None:
    claim = await desk.claim(Kind.PROVISION)
    first = await desk.finish(claim, Status.RUNNING, url="https://x.example", revision=1)
    assert claim.operation is not None
    record = await desk.record(claim.operation.id)
    again = await desk.finish(claim, Status.RUNNING, url="https://x.example", revision=1)
    assert again.model_copy(update={"updated_at": first.updated_at}) == first
    assert await desk.record(claim.operation.id) == record


async def test_an_ending_of_an_earlier_generation_is_superseded_and_writes_nothing(desk: Desk) -> None:
    await desk.settle(Status.RUNNING)
    late = await desk.claim(Kind.STOP)
    current = await desk.claim(Kind.RESTART)
    before = await desk.row()
    with pytest.raises(Superseded, match=desk.name):
        await desk.finish(late, Status.STOPPED)
    assert await desk.row() == before
    assert late.operation is not None
    assert (await desk.record(late.operation.id)).outcome is Outcome.SUPERSEDED
    assert (await desk.finish(current, Status.RUNNING)).status is Status.RUNNING
    with pytest.raises(Superseded):
        await desk.finish(late, Status.STOPPED)


async def test_an_ending_of_nothing_is_superseded(desk: Desk) -> None:
    claim = await desk.settle(Status.RUNNING)
    stranger = Ending(
        request_id="never-asked",
        instance=desk.name,
        generation=claim.generation,
        status=Status.ERROR,
        outcome=Outcome.UNDONE,
    )
    for ending in (stranger, stranger.model_copy(update={"instance": f"not-{desk.name}"})):
        with pytest.raises(Superseded):
            await desk.database.finish(ending)
    assert (await desk.row()).status is Status.RUNNING


async def test_any_words_of_a_failure_can_be_stored(desk: Desk) -> None:
    words = "NUL \0, half an emoji \ud83d, quotes ' \" \\, a smile \N{GRINNING FACE}, new\nline"
    claim = await desk.claim(Kind.PROVISION, asked_by=words)
    cause = BROKEN.model_copy(update={"message": words})
    step = StepEvent(step="release", state=StepState.FAILED, at=datetime.now(UTC), detail=words)
    ended = await desk.finish(claim, Status.ERROR, Outcome.UNDONE, cause=cause, steps=[step])
    told = words.replace("\0", "\N{REPLACEMENT CHARACTER}").replace("\ud83d", "?")
    assert ended.cause is not None
    assert ended.cause.message == told
    assert claim.operation is not None
    record = await desk.record(claim.operation.id)
    assert (record.asked_by, record.steps[0].detail) == (told, told)


@pytest.mark.parametrize("request_id", ['a,b."c)(', "%25&id=eq.x+y#z", "null", "*", "in.(a,b)", "\\", "x" * 200])
async def test_any_request_id_finds_its_operation(desk: Desk, request_id: str) -> None:
    unique = f"{secrets.token_hex(4)}{request_id}"[:200]
    await desk.claim(Kind.PROVISION, request_id=unique)
    assert (await desk.record(unique)).instance == desk.name
