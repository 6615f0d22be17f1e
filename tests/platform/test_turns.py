"""On real parts: of many requests of one tenant and one of another, the one does not wait for the many."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime

import pytest

from innkeeper.client import Innkeeper, OperationHandle
from innkeeper.embedded.options import Addresses
from innkeeper.model.messages import StepState
from innkeeper.settings import Settings

from .working import working

QUEUE = "in-turns"
"""A task queue of its own, with a worker that runs one Helm at once and few steps."""

MANY = 16


@pytest.fixture
async def innkeeper(addresses: Addresses, settings: Settings) -> AsyncIterator[Innkeeper]:
    """A backend's client, of a worker with little room."""
    async with working(addresses, settings, QUEUE, helm_slots=1, concurrent_activities=6) as innkeeper:
        yield innkeeper


async def released(handle: OperationHandle) -> datetime:
    """When the release of an operation was done."""
    (at,) = [e.at for e in (await handle.result()).steps if (e.step, e.state) == ("release", StepState.DONE)]
    return at


async def test_one_tenants_many_requests_do_not_hold_up_another_tenants_one(innkeeper: Innkeeper) -> None:
    await (await innkeeper.provision("turn-first", tenant="t-first", plan="starter")).result()
    asking = (innkeeper.provision(f"turn-{n}", tenant="t-large", plan="starter") for n in range(MANY))
    large = await asyncio.gather(*asking)
    small = await innkeeper.provision("turn-small", tenant="t-small", plan="starter")
    mine, *others = await asyncio.gather(*(released(each) for each in (small, *large)))
    # Asked last, without turns it would be last; with them a few come before it, which had begun already.
    assert sum(each > mine for each in others) >= MANY // 2
