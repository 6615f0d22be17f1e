"""A worker with settings of its own beside the session's, and a backend's client of it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from innkeeper.client import Innkeeper
from innkeeper.embedded.options import Addresses
from innkeeper.settings import Settings
from innkeeper.worker import running


@contextlib.asynccontextmanager
async def working(addresses: Addresses, settings: Settings, queue: str, **changes: Any) -> AsyncIterator[Innkeeper]:
    """A client of a worker on a task queue of its own, whose settings are the session's with these changes."""
    async with running(settings.model_copy(update={"task_queue": queue, **changes})):
        innkeeper = await Innkeeper.connect(
            addresses.temporal_address,
            task_queue=queue,
            supabase_url=addresses.supabase_url,
            supabase_key=addresses.supabase_service_key,
        )
        async with innkeeper:
            yield innkeeper
