"""Freezes, in memory and on Supabase: one row a thing that is frozen."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta

import pytest

from innkeeper.gateways.database import SupabaseDatabase
from innkeeper.gateways.freeze_rows import SupabaseFreezes
from innkeeper.gateways.memory_database import MemoryDatabase
from innkeeper.gateways.memory_freezes import MemoryFreezes
from innkeeper.model.freezes import Freeze, FreezeRows, Scope
from innkeeper.model.ports import Database

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def freezes(database: Database) -> FreezeRows:
    if isinstance(database, SupabaseDatabase):
        return database.sharing(SupabaseFreezes)
    assert isinstance(database, MemoryDatabase)
    return MemoryFreezes(database)


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
