"""What is metered at its edges: what is purged, clocks, windows; in memory and by Supabase alike."""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal

import pytest
from desk import Desk
from usage_desk import SIZES, Gateway, corrections, due, events_of, figures, happened, meter, report, table, told

from innkeeper.gateways.memory_database import MemoryDatabase
from innkeeper.model.errors import BadInput
from innkeeper.model.instance import Instance, Kind, Status
from innkeeper.model.ports import Page
from innkeeper.model.reports import UsageReport
from innkeeper.model.usage import HOUR, hour_of
from innkeeper.model.usage_ports import Usage

pytestmark = pytest.mark.usefixtures("within_an_hour")


async def test_what_is_purged_is_metered_until_its_last_day_is_final_and_then_left_alone(
    usage: Gateway, desk: Desk
) -> None:
    await purged(desk)
    day = hour_of(datetime.now(UTC)).replace(hour=0)
    hours = (hour_of(datetime.now(UTC)) - day) // HOUR
    begun = await happened(desk, hours + 20, Status.RUNNING)
    await happened(desk, hours + 19.5, Status.PURGED)
    await meter(usage, desk)
    assert await due(usage, desk) is None
    assert {(each.window_start, each.final) for each in await figures(usage, desk)} == {(begun, True)}
    # What is reported of its last days still, is final with its day, too.
    late = report(desk, 1, ago=hours + 18)
    today = report(desk, 1, ago=0)
    await usage.record_usage([late, today])
    assert ("api_calls", late.at, Decimal(0), Decimal(1)) in await corrections(usage, desk)
    assert await due(usage, desk) is not None
    found = {each.window_start: each.final for each in await figures(usage, desk, by="day")}
    assert found == {day - 24 * HOUR: True, day: False}


async def test_what_is_purged_is_not_final_before_it_is_metered(usage: Gateway, desk: Desk) -> None:
    await desk.settle(Status.RUNNING)
    await meter(usage, desk)
    await desk.settle(Status.UNINSTALLED, Kind.UNINSTALL)
    await desk.settle(Status.PURGED, Kind.PURGE)
    before = await figures(usage, desk)
    await meter(usage, desk)
    assert [each for each in before if each.final] == [], "the time up to the purge was missing"


async def purged(desk: Desk) -> None:
    """A row of something that is purged, and of which no event tells."""
    told = {"name": desk.name, "tenant": desk.tenant, "plan": "starter", "namespace": f"inn-{desk.name}"}
    status = {"release": desk.name, "status": "purged", "settled": "purged", "generation": 1}
    database = desk.database
    if isinstance(database, MemoryDatabase):
        times = {"created_at": database.now(), "updated_at": database.now()}
        database.rows[desk.name] = Instance.model_validate(told | status | times)
    else:
        await table(desk, "instances").insert(told | status).execute()


async def test_a_clock_that_goes_back_does_not_turn_round_what_happened(usage: Gateway, desk: Desk) -> None:
    await desk.finish(await desk.claim(Kind.PROVISION), Status.RUNNING, sizes=SIZES)
    # As if the last operation had ended by a clock that was ahead, by more than the next one takes, and was set right.
    ahead = await happened(
        desk, -(datetime.now(UTC) + timedelta(seconds=6) - hour_of(datetime.now(UTC))) / HOUR, Status.RUNNING
    )
    await desk.settle(Status.STOPPED, Kind.STOP)
    while datetime.now(UTC) <= ahead:
        await asyncio.sleep(0.1)
    found = await events_of(usage, desk)
    last = max(found, key=lambda event: (event.at, event.seq))
    assert (last.status, last.at) == (Status.STOPPED, ahead)


async def test_windows_are_whole_or_not_there_at_all(usage: Gateway, desk: Desk) -> None:
    await desk.settle(Status.STOPPED)
    begun = (await happened(desk, 72, Status.RUNNING)).replace(hour=0) + 24 * HOUR
    await usage.record_usage([UsageReport.of(desk.name, "calls", 1, key=secrets.token_hex(8), at=begun + 1.75 * HOUR)])
    await meter(usage, desk)
    days = await figures(usage, desk, by="day", since=begun - 12 * HOUR, until=begun + 12 * HOUR)
    assert {each.window_start for each in days} == {begun}
    assert told(days) == {begun: 24 * 3600}
    hours = await figures(usage, desk, since=begun + 0.5 * HOUR, until=begun + 1.5 * HOUR)
    assert {(each.metric, each.window_start) for each in hours} >= {
        ("calls", begun + HOUR),
        ("running_seconds", begun + HOUR),
    }
    assert {each.window_start for each in hours} == {begun + HOUR}


async def test_a_report_of_what_has_not_happened_yet_is_refused(usage: Gateway, desk: Desk) -> None:
    await desk.settle(Status.RUNNING)
    # A little is a clock's.
    assert (await usage.record_usage([report(desk, 1, ago=-1)])).recorded == 1
    with pytest.raises(BadInput, match="lies in the future"):
        await usage.record_usage([report(desk, 1), report(desk, 2, ago=-24 * 365)])
    assert sum(each.quantity for each in await figures(usage, desk)) == 1


@pytest.mark.parametrize("by", ["hour", "day"])
async def test_pages_of_any_length_come_to_the_whole(usage: Gateway, desk: Desk, by: Literal["hour", "day"]) -> None:
    second, third = (Desk(desk.database, f"{desk.name}-{more}", desk.tenant) for more in ("b", "c"))
    for each in (desk, second, third):
        await each.settle(Status.STOPPED)
        # Beside and without what is metered.
        await usage.record_usage([report(each, 1, ago=60), report(each, 2, ago=2), report(each, 3, ago=2, metric="b")])
    await happened(desk, 30, Status.RUNNING)
    await happened(desk, 28.5, Status.RUNNING, plan="other")
    await happened(desk, 4, Status.STOPPED)
    await meter(usage, desk)
    await happened(third, 50, Status.RUNNING)
    await meter(usage, third)
    wanted = Usage(tenant=desk.tenant, by=by)
    whole = (await usage.usage(wanted, Page(limit=1000))).items
    assert len({each.instance for each in whole}) == 3
    for limit in (1, 2, 7, len(whole) - 1, len(whole)) if by == "day" else (7, 40, len(whole)):
        page = await usage.usage(wanted, Page(limit=limit))
        found = list(page.items)
        while page.next is not None:
            assert len(page.items) == limit
            page = await usage.usage(wanted, Page(limit=limit, after=page.next))
            found += page.items
        assert found == whole
