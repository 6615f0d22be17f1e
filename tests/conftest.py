"""What tests of several folders share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from supabase_lite import SupabaseLite, programs, supabase_lite


@pytest.fixture(scope="session")
async def lite(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SupabaseLite]:
    """A Supabase with this repository's migrations, alone."""
    with supabase_lite(tmp_path_factory.mktemp("supabase"), *await programs()) as running:
        yield running
