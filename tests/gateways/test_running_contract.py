"""What trials and idle times are counted from, held by the gateway in memory and by Supabase alike."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from desk import Desk

from innkeeper.gateways.memory_usage import MemoryUsage
from innkeeper.gateways.usage_rows import SupabaseUsage
from innkeeper.model.instance import Kind, Status
from innkeeper.model.reports import UsageReport
from innkeeper.model.usage import HOUR, hour_of
from innkeeper.model.usage_ports import Meters, Running

pytestmark = pytest.mark.usefixtures("within_an_hour")


async def runs(meters: Meters, desk: Desk, plan: str = "starter") -> Running | None:
    page = await meters.running([plan], desk.name[:-1])
    return next((each for each in page.items if each.instance == desk.name), None)


async def test_what_runs_is_told_with_since_when_and_when_it_was_used(meters: Meters, desk: Desk) -> None:
    await desk.settle(Status.STOPPED)
    assert await runs(meters, desk) is None
    claim = await desk.claim(Kind.START)
    assert await runs(meters, desk) is None
    row = await desk.finish(claim, Status.RUNNING)
    found = await runs(meters, desk)
    assert found is not None
    assert (found.tenant, found.plan, found.generation) == (desk.tenant, "starter", 2)
    assert (found.first_ran, found.runs_since, found.active_at) == (row.updated_at, row.updated_at, None)
    assert found.now >= row.updated_at
    assert await runs(meters, desk, "another") is None
    await desk.settle(Status.RUNNING, Kind.RESTART)
    assert isinstance(meters, MemoryUsage | SupabaseUsage)
    hour = hour_of(datetime.now(UTC)) - HOUR
    told = [
        UsageReport.of(desk.name, "calls", amount, key=f"{desk.name}/{amount}", at=at)
        for amount, at in ((1, hour), (0, None))
    ]
    await meters.record_usage(told)
    again = await runs(meters, desk)
    assert again is not None
    assert (again.generation, again.first_ran, again.runs_since) == (3, row.updated_at, row.updated_at)
    assert again.active_at == hour
    await desk.settle(Status.STOPPED, Kind.STOP)
    await desk.settle(Status.RUNNING, Kind.START)
    last = await runs(meters, desk)
    assert last is not None
    assert last.first_ran == row.updated_at < last.runs_since


async def test_a_name_that_changed_hands_begins_anew(meters: Meters, desk: Desk) -> None:
    await desk.settle(Status.RUNNING)
    await desk.settle(Status.UNINSTALLED, Kind.UNINSTALL)
    await desk.settle(Status.PURGED, Kind.PURGE)
    heir = Desk(desk.database, desk.name)
    await heir.settle(Status.RUNNING)
    found = await runs(meters, heir)
    assert found is not None
    assert found.first_ran == found.runs_since == (await heir.row()).updated_at
