"""What is metered, held by the gateway in memory and by Supabase alike."""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from desk import Desk
from usage_desk import SIZES, Gateway, corrections, due, events_of, figures, happened, meter, report, told

from innkeeper.model.errors import BadInput
from innkeeper.model.instance import Kind, Status
from innkeeper.model.messages import Outcome
from innkeeper.model.ports import Page
from innkeeper.model.reports import Recorded, UsageReport
from innkeeper.model.usage import HOUR
from innkeeper.model.usage_ports import Hours, Metered, Usage

pytestmark = pytest.mark.usefixtures("within_an_hour")


async def test_each_write_of_an_operation_is_an_event(usage: Gateway, desk: Desk) -> None:
    claim = await desk.claim(Kind.PROVISION)
    await desk.finish(claim, Status.RUNNING, sizes=SIZES)
    row = await desk.row()
    assert row.sizes == SIZES
    stop = await desk.claim(Kind.STOP)
    await desk.finish(stop, Status.STOPPED)
    ended = await desk.finish(stop, Status.STOPPED)
    found = await events_of(usage, desk)
    assert [(each.status, each.sizes, each.outcome) for each in found] == [
        (Status.PROVISIONING, None, Outcome.RUNNING),
        (Status.RUNNING, SIZES, Outcome.DONE),
        (Status.STOPPING, SIZES, Outcome.RUNNING),
        (Status.STOPPED, SIZES, Outcome.DONE),
    ]
    assert [each.operation for each in found] == [
        each.operation.id for each in (claim, claim, stop, stop) if each.operation
    ]
    assert {(each.instance, each.tenant, each.plan) for each in found} == {(desk.name, desk.tenant, "starter")}
    assert [each.seq for each in found] == sorted({each.seq for each in found})
    assert found[1].at == row.updated_at
    assert abs(found[-1].at - ended.updated_at) < timedelta(seconds=5)


async def test_sizes_are_forgotten_with_what_is_purged_and_kept_until_then(usage: Gateway, desk: Desk) -> None:
    await desk.finish(await desk.claim(Kind.PROVISION), Status.RUNNING, sizes=SIZES)
    await desk.settle(Status.UNINSTALLED, Kind.UNINSTALL)
    assert (await desk.row()).sizes == SIZES
    await desk.settle(Status.PURGED, Kind.PURGE)
    assert (await desk.row()).sizes is None
    assert (await events_of(usage, desk))[-1].sizes is None


async def test_an_operation_that_nobody_ended_has_one_event(usage: Gateway, desk: Desk) -> None:
    request = desk.request(Kind.PROVISION)
    for _ in range(3):
        await desk.ask(request)
    assert [each.status for each in await events_of(usage, desk)] == [Status.PROVISIONING]


async def test_a_running_hour_grows_and_a_past_one_is_final(usage: Gateway, desk: Desk) -> None:
    await desk.finish(await desk.claim(Kind.PROVISION), Status.STOPPED, sizes=SIZES)
    begun = await happened(desk, 2, Status.RUNNING)
    assert await meter(usage, desk) == Metered(instances=1, windows=3)
    first = await figures(usage, desk)
    assert {each.window_start: each.final for each in first} == {
        begun: True,
        begun + HOUR: True,
        begun + 2 * HOUR: False,
    }
    assert [told(first)[begun + number * HOUR] for number in range(2)] == [3600, 3600]
    assert told(first, "cpu_seconds")[begun] == 900
    assert told(first, "memory_gib_seconds")[begun] == 1800
    assert told(first, "storage_gib_seconds")[begun] == 7200
    assert told(first, "operations") == {begun + 2 * HOUR: 1}
    await asyncio.sleep(0.01)
    assert await meter(usage, desk) == Metered(instances=1, windows=1)
    after = told(await figures(usage, desk), "storage_gib_seconds")
    assert after[begun + 2 * HOUR] > told(first, "storage_gib_seconds")[begun + 2 * HOUR]
    assert await corrections(usage, desk) == set()


async def test_a_late_event_corrects_its_hours_and_leaves_a_trace(usage: Gateway, desk: Desk) -> None:
    await desk.settle(Status.STOPPED)
    begun = await happened(desk, 4, Status.RUNNING)
    await meter(usage, desk)
    await happened(desk, 2.5, Status.STOPPED)
    assert (await meter(usage, desk)).corrections == 9
    hours = told(await figures(usage, desk))
    assert [hours.get(begun + number * HOUR) for number in range(4)] == [3600, 1800, None, None]
    found = await corrections(usage, desk)
    assert {each[1] for each in found} == {begun + number * HOUR for number in (1, 2, 3)}
    assert ("running_seconds", begun + HOUR, Decimal(3600), Decimal(1800)) in found
    assert ("cpu_seconds", begun + 2 * HOUR, Decimal(900), Decimal(0)) in found


async def test_hours_that_become_used_only_later_are_traced_too(usage: Gateway, desk: Desk) -> None:
    await desk.settle(Status.STOPPED)
    first = await happened(desk, 3, Status.PURGED)
    await meter(usage, desk)
    await happened(desk, 3, Status.RUNNING)
    await happened(desk, 2, Status.PURGED)
    assert (await meter(usage, desk)).corrections == 4
    assert {(each[0], each[2]) for each in await corrections(usage, desk) if each[1] == first} == {
        (metric, Decimal(0))
        for metric in ("running_seconds", "cpu_seconds", "memory_gib_seconds", "storage_gib_seconds")
    }


async def test_past_hours_metered_again_are_the_same(usage: Gateway, desk: Desk) -> None:
    await desk.settle(Status.STOPPED)
    begun = await happened(desk, 9, Status.RUNNING)
    await happened(desk, 6.5, Status.STOPPED)
    await meter(usage, desk)
    before = await figures(usage, desk, until=begun + 9 * HOUR)
    for span in (Hours(since=begun, until=begun + 9 * HOUR), Hours(since=begun + HOUR, until=begun + 1.5 * HOUR)):
        assert await meter(usage, desk, span) == Metered(instances=1)
    assert await figures(usage, desk, until=begun + 9 * HOUR) == before
    assert await corrections(usage, desk) == set()


async def test_a_past_hour_is_not_metered_again_before_it_was_metered(usage: Gateway, desk: Desk) -> None:
    await desk.settle(Status.STOPPED)
    begun = await happened(desk, 5, Status.RUNNING)
    assert await due(usage, desk, Hours(since=begun, until=begun + HOUR)) is None
    await meter(usage, desk)
    found = await due(usage, desk, Hours(since=begun - 99 * HOUR, until=begun + 99 * HOUR))
    assert found is not None
    assert found.since == begun
    assert found.until < datetime.now(UTC)


async def test_what_is_written_twice_or_late_changes_nothing(usage: Gateway, desk: Desk) -> None:
    await desk.settle(Status.RUNNING)
    late = await due(usage, desk)
    assert late is not None
    await meter(usage, desk)
    known = await figures(usage, desk)
    for _ in range(2):
        assert await usage.meter([late], []) == Metered()
    await desk.settle(Status.STOPPED, Kind.STOP)
    await meter(usage, desk)
    last = await figures(usage, desk)
    assert told(last, "storage_gib_seconds") == {}
    assert told(last, "operations") != told(known, "operations")
    hour = late.model_copy(update={"until": late.since + HOUR})
    assert await usage.meter([hour], []) == Metered(), "it has not seen the stop"
    assert await figures(usage, desk) == last


async def test_two_meterings_at_once_leave_what_one_leaves(usage: Gateway, desk: Desk) -> None:
    await desk.settle(Status.STOPPED)
    begun = await happened(desk, 20, Status.RUNNING)
    await asyncio.gather(*(meter(usage, desk) for _ in range(5)))
    hours = told(await figures(usage, desk, until=begun + 20 * HOUR))
    assert hours == {begun + number * HOUR: Decimal(3600) for number in range(20)}
    assert await corrections(usage, desk) == set()


async def test_days_are_the_sums_of_their_hours(usage: Gateway, desk: Desk) -> None:
    await desk.settle(Status.STOPPED)
    await happened(desk, 60, Status.RUNNING)
    await meter(usage, desk)
    hours, days = await figures(usage, desk), await figures(usage, desk, by="day")
    for metric in ("running_seconds", "cpu_seconds", "memory_gib_seconds", "storage_gib_seconds", "operations"):
        sums: dict[datetime, Decimal] = {}
        for window, quantity in told(hours, metric).items():
            day = window.replace(hour=0)
            sums[day] = sums.get(day, Decimal(0)) + quantity
        assert told(days, metric) == sums
    assert {each.window_end - each.window_start for each in days} == {timedelta(days=1)}
    assert [each.final for each in days if each.metric == "running_seconds"] == [True] * (len(told(days)) - 1) + [False]


async def test_figures_are_read_by_tenant_and_time_and_page_by_page(usage: Gateway, desk: Desk) -> None:
    await desk.settle(Status.STOPPED)
    begun = await happened(desk, 5, Status.RUNNING)
    await meter(usage, desk)
    wanted = Usage(tenant=desk.tenant, since=begun + HOUR, until=begun + 3 * HOUR, by="hour")
    whole = (await usage.usage(wanted, Page(limit=1000))).items
    assert {each.window_start for each in whole} == {begun + HOUR, begun + 2 * HOUR}
    assert len(whole) == 8
    pages = []
    page = await usage.usage(wanted, Page(limit=3))
    while page.next is not None:
        pages += page.items
        page = await usage.usage(wanted, Page(limit=3, after=page.next))
    assert pages + page.items == whole
    assert (await usage.usage(Usage(tenant="nobody"), Page())).items == []


@pytest.mark.parametrize("cursor", ["", "7", '["a"]', '["a", "b", "c", "d", "e"]', '["a", "2026-01-01", "c", "d", 5]'])
async def test_a_cursor_that_is_none_is_refused(usage: Gateway, cursor: str) -> None:
    with pytest.raises(BadInput, match="is not a page's cursor"):
        await usage.usage(Usage(), Page(after=cursor))


async def test_a_report_counts_once_with_the_same_content_and_is_refused_with_other(usage: Gateway, desk: Desk) -> None:
    await desk.settle(Status.RUNNING)
    first = report(desk, 5, ago=1)
    for known in (0, 1):
        assert await usage.record_usage([first]) == Recorded(recorded=1 - known, known=known)
    others = [
        first.model_copy(update={"quantity": Decimal(6)}),
        first.model_copy(update={"metric": "messages"}),
        first.model_copy(update={"at": datetime.now(UTC)}),
    ]
    for other in others:
        with pytest.raises(BadInput, match=f"{first.key}' was used before, with other content"):
            await usage.record_usage([report(desk, 1), other])
    # Where no time is said, it is the time of the first that counts.
    assert await usage.record_usage([first.model_copy(update={"at": None})]) == Recorded(recorded=0, known=1)
    assert [(each.metric, each.quantity) for each in await figures(usage, desk)] == [("api_calls", Decimal(5))]


async def test_of_a_batch_all_or_nothing_is_written(usage: Gateway, desk: Desk) -> None:
    await desk.settle(Status.RUNNING)
    some = [report(desk, number + 0.25) for number in range(4)]
    with pytest.raises(BadInput, match="'i-nobody' is no instance"):
        await usage.record_usage([*some, UsageReport.of("i-nobody", "m", 1, key=secrets.token_hex(8))])
    with pytest.raises(BadInput, match="was used before, with other content"):
        await usage.record_usage([*some, some[2].model_copy(update={"quantity": Decimal(9)})])
    assert await figures(usage, desk) == []
    assert await usage.record_usage([*some, some[0]]) == Recorded(recorded=4, known=1)
    assert sum(each.quantity for each in await figures(usage, desk)) == 7


async def test_a_report_is_its_owners_at_that_time(usage: Gateway, desk: Desk) -> None:
    await desk.settle(Status.RUNNING)
    await happened(desk, 9, Status.RUNNING, tenant="former", plan="old")
    await happened(desk, 5, Status.RUNNING, tenant="latter", plan="new")
    await usage.record_usage([report(desk, 1, ago=7), report(desk, 2, ago=3), report(desk, 4)])
    found = {(each.tenant, each.plan): each.quantity for each in await figures(usage, desk)}
    assert found == {("former", "old"): 1, ("latter", "new"): 2, (desk.tenant, "starter"): 4}


async def test_a_late_report_leaves_a_trace_where_its_hour_was_final(usage: Gateway, desk: Desk) -> None:
    await desk.settle(Status.STOPPED)
    begun = await happened(desk, 5, Status.STOPPED, sizes=None)
    await usage.record_usage([report(desk, 1, ago=4), report(desk, 1)])
    await meter(usage, desk)
    assert await corrections(usage, desk) == set()
    late = report(desk, 2.5, ago=4)
    for _ in range(2):
        await usage.record_usage([late])
    await usage.record_usage([report(desk, 7), report(desk, 0, ago=4)])
    await usage.record_usage([report(desk, 3, ago=3)])
    assert await corrections(usage, desk) == {
        ("api_calls", begun + HOUR, Decimal(1), Decimal("3.5")),
        ("api_calls", begun + 2 * HOUR, Decimal(0), Decimal(3)),
    }


async def test_metering_again_leaves_reports_as_they_are(usage: Gateway, desk: Desk) -> None:
    await desk.settle(Status.STOPPED)
    begun = await happened(desk, 5, Status.RUNNING)
    await usage.record_usage([report(desk, 8, ago=4)])
    await meter(usage, desk)
    await meter(usage, desk, Hours(since=begun, until=begun + 5 * HOUR))
    found = [each for each in await figures(usage, desk) if each.metric == "api_calls"]
    assert [(each.quantity, each.final) for each in found] == [(Decimal(8), True)]


async def test_a_key_reported_from_everywhere_at_once_counts_once(usage: Gateway, desk: Desk) -> None:
    await desk.settle(Status.RUNNING)
    reports = [report(desk, number) for number in range(1, 21)]
    batches = [reports[number:] + reports[:number] for number in range(20)]
    told = await asyncio.gather(*(usage.record_usage(batch) for batch in batches))
    assert sum(each.recorded for each in told) == 20
    assert sum(each.quantity for each in await figures(usage, desk)) == sum(range(1, 21))
