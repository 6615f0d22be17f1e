"""The gateways under contract: each in memory, and on the real part."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from desk import Desk
from supabase_lite import SupabaseLite

from innkeeper.gateways.database import SupabaseDatabase
from innkeeper.gateways.memory_database import MemoryDatabase
from innkeeper.model.ports import Database


@pytest.fixture(params=["memory", "supabase"])
def backing(request: pytest.FixtureRequest) -> SupabaseLite | None:
    """What the database stands on; None for memory."""
    found: SupabaseLite | None = request.getfixturevalue("lite") if request.param == "supabase" else None
    return found


@pytest.fixture
async def database(backing: SupabaseLite | None) -> AsyncIterator[Database]:
    """A database; tests take names and tenants of their own."""
    if backing is None:
        yield MemoryDatabase()
        return
    async with await SupabaseDatabase.connect(backing.url, backing.secret_key) as connected:
        yield connected


@pytest.fixture
def desk(database: Database) -> Desk:
    """Requests of a tenant of their own."""
    return Desk(database)
