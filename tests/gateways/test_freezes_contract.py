"""Freezes, in memory and on Supabase: one row a thing that is frozen."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from desk import Desk

from innkeeper.gateways.database import SupabaseDatabase
from innkeeper.gateways.freeze_rows import SupabaseFreezes
from innkeeper.gateways.memory_database import MemoryDatabase
from innkeeper.gateways.memory_freezes import MemoryFreezes
from innkeeper.model.freezes import Freeze, FreezeRows, Scope
from innkeeper.model.instance import Kind, Status
from innkeeper.model.ports import Database
from innkeeper.model.record_messages import Outset, Verdict

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def freezes(database: Database) -> FreezeRows:
    if isinstance(database, SupabaseDatabase):
        return database.sharing(SupabaseFreezes)
    assert isinstance(database, MemoryDatabase)
    return MemoryFreezes(database)


@pytest.fixture
async def cluster_frozen(freezes: FreezeRows) -> AsyncIterator[Freeze]:
    """All of a cluster is frozen, and thawed afterwards."""
    await freezes.freeze(Freeze(scope=Scope.CLUSTER, name="default", everything=True, frozen_at=LONG_AGO))
    yield next(each for each in await freezes.freezes() if each.scope is Scope.CLUSTER)
    await freezes.unfreeze(Scope.CLUSTER, "default")


@pytest.fixture
def name() -> str:
    """A name of the test's own."""
    return f"frozen-{secrets.token_hex(4)}"


async def of(freezes: FreezeRows, name: str) -> list[Freeze]:
    return [each for each in await freezes.freezes() if each.name == name]


async def test_what_is_frozen_is_read_with_the_databases_time_until_it_is_thawed(
    freezes: FreezeRows, name: str
) -> None:
    wanted = Freeze(scope=Scope.PLAN, name=name, everything=True, operator="ann", note="a 'move'", frozen_at=LONG_AGO)
    await freezes.freeze(wanted)
    (found,) = await of(freezes, name)
    assert found.model_copy(update={"frozen_at": LONG_AGO}) == wanted
    assert datetime.now(UTC) - found.frozen_at < timedelta(minutes=5)
    assert await freezes.unfreeze(Scope.PLAN, name)
    assert await of(freezes, name) == []
    assert not await freezes.unfreeze(Scope.PLAN, name)


async def test_what_is_frozen_again_is_said_anew_and_stays_frozen_since(freezes: FreezeRows, name: str) -> None:
    await freezes.freeze(Freeze(scope=Scope.INSTANCE, name=name, note="one", frozen_at=LONG_AGO))
    (first,) = await of(freezes, name)
    await freezes.freeze(Freeze(scope=Scope.INSTANCE, name=name, note="two", everything=True, frozen_at=LONG_AGO))
    (second,) = await of(freezes, name)
    assert (second.note, second.everything, second.frozen_at) == ("two", True, first.frozen_at)
    await freezes.unfreeze(Scope.INSTANCE, name)


async def test_an_instance_and_a_plan_of_one_name_are_two_things(freezes: FreezeRows, name: str) -> None:
    for scope in (Scope.INSTANCE, Scope.PLAN):
        await freezes.freeze(Freeze(scope=scope, name=name, frozen_at=LONG_AGO))
    assert [each.scope for each in await of(freezes, name)] == [Scope.INSTANCE, Scope.PLAN]
    assert await freezes.unfreeze(Scope.INSTANCE, name)
    assert [each.scope for each in await of(freezes, name)] == [Scope.PLAN]
    assert await freezes.unfreeze(Scope.PLAN, name)


@pytest.mark.parametrize("scope", [Scope.INSTANCE, Scope.PLAN])
async def test_nothing_begins_on_what_is_frozen_wholly_and_what_has_begun_is_answered(
    freezes: FreezeRows, desk: Desk, name: str, scope: Scope
) -> None:
    claimed = await desk.claim(Kind.PROVISION, plan=name)
    assert claimed.operation is not None
    held = name if scope is Scope.PLAN else desk.name
    await freezes.freeze(Freeze(scope=scope, name=held, everything=True, note="a move", frozen_at=LONG_AGO))
    (freeze,) = await of(freezes, held)
    await desk.finish(claimed, Status.RUNNING)
    refused = await desk.claim(Kind.STOP)
    assert (refused.verdict, refused.frozen, refused.operation) == (Verdict.FROZEN, freeze, None)
    again = desk.request(Kind.PROVISION, plan=name, request_id=claimed.operation.id)
    assert (await desk.ask(again)).verdict is Verdict.FINISHED
    row = await desk.database.instance(desk.name)
    assert row is not None
    assert (row.status, row.generation) == (Status.RUNNING, 1)
    await freezes.unfreeze(scope, held)
    assert (await desk.claim(Kind.STOP)).verdict is Verdict.CLAIMED


async def test_a_plan_that_is_frozen_wholly_is_nobodys_to_move_to(freezes: FreezeRows, desk: Desk, name: str) -> None:
    await desk.finish(await desk.claim(Kind.PROVISION), Status.RUNNING)
    await freezes.freeze(Freeze(scope=Scope.PLAN, name=name, everything=True, frozen_at=LONG_AGO))
    assert (await desk.claim(Kind.UPGRADE, plan=name)).verdict is Verdict.FROZEN
    assert (await desk.claim(Kind.UPGRADE, plan="other")).verdict is Verdict.CLAIMED
    await freezes.unfreeze(Scope.PLAN, name)


async def test_a_whole_cluster_that_is_frozen_lets_nothing_begin(cluster_frozen: Freeze, desk: Desk) -> None:
    assert (await desk.claim(Kind.PROVISION)).frozen == cluster_frozen
    assert await desk.database.instance(desk.name) is None


async def test_a_freeze_of_repairs_alone_and_another_clusters_hold_no_claim(freezes: FreezeRows, desk: Desk) -> None:
    elsewhere = f"other-{desk.name}"
    await freezes.freeze(Freeze(scope=Scope.INSTANCE, name=desk.name, frozen_at=LONG_AGO))
    await freezes.freeze(Freeze(scope=Scope.CLUSTER, name=elsewhere, everything=True, frozen_at=LONG_AGO))
    assert (await desk.claim(Kind.PROVISION)).verdict is Verdict.CLAIMED
    await freezes.unfreeze(Scope.INSTANCE, desk.name)
    await freezes.unfreeze(Scope.CLUSTER, elsewhere)


async def test_of_several_freezes_the_oldest_is_named(freezes: FreezeRows, desk: Desk, name: str) -> None:
    for scope, held in ((Scope.PLAN, name), (Scope.INSTANCE, desk.name)):
        await freezes.freeze(Freeze(scope=scope, name=held, everything=True, frozen_at=LONG_AGO))
    told = await desk.claim(Kind.PROVISION, plan=name)
    assert told.frozen is not None
    assert told.frozen.scope is Scope.PLAN
    await freezes.unfreeze(Scope.PLAN, name)
    await freezes.unfreeze(Scope.INSTANCE, desk.name)


async def test_an_outset_is_the_row_and_the_operation_that_the_request_id_names(desk: Desk) -> None:
    assert await desk.database.outset("nobody's", desk.name) == Outset()
    claimed = await desk.claim(Kind.PROVISION)
    assert claimed.operation is not None
    assert await desk.database.outset("nobody's", desk.name) == Outset(instance=claimed.instance)
    found = await desk.database.outset(claimed.operation.id, desk.name)
    assert found == Outset(operation=claimed.operation, instance=claimed.instance)
    assert await desk.database.outset(claimed.operation.id, "nobody") == Outset(operation=claimed.operation)


async def test_a_frozen_plans_purged_instance_leaves_its_name_to_others_and_who_runs_is_answered_as_ever(
    freezes: FreezeRows, desk: Desk, name: str
) -> None:
    first = desk.request(Kind.PROVISION, plan=name)
    claimed = await desk.ask(first)
    await freezes.freeze(Freeze(scope=Scope.PLAN, name=name, everything=True, frozen_at=LONG_AGO))
    assert (await desk.ask(first)).verdict is Verdict.CLAIMED
    assert (await desk.claim(Kind.STOP, request_id=first.request_id)).verdict is Verdict.MISMATCH
    await desk.finish(claimed, Status.PURGED)
    assert (await desk.claim(Kind.PROVISION, plan=name)).verdict is Verdict.FROZEN
    assert (await desk.claim(Kind.PROVISION, plan="other")).verdict is Verdict.CLAIMED
    await freezes.unfreeze(Scope.PLAN, name)
