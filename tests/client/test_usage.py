"""Usage is reported and read through the client."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from desk import Desk
from temporalio.client import Client

from innkeeper.client import BadInput, Innkeeper, Recorded, Status, SyncInnkeeper, UsageReport
from innkeeper.client.portal import Portal
from innkeeper.gateways.memory_database import MemoryDatabase
from innkeeper.gateways.memory_usage import MemoryUsage

AT = datetime(2026, 3, 1, 10, 30, tzinfo=UTC)


@pytest.fixture
async def innkeeper(client: Client) -> Innkeeper:
    """A client of a database with one instance of t1."""
    database = MemoryDatabase()
    await Desk(database, "acme", "t1").settle(Status.RUNNING)
    return Innkeeper(client, database, MemoryUsage(database))


async def test_a_report_counts_once_however_often_it_is_made(innkeeper: Innkeeper) -> None:
    told = [await innkeeper.record_usage("Acme", "api_calls", 3, key="k1", at=AT) for _ in range(3)]
    assert told == [True, False, False]
    [figure] = (await innkeeper.usage("acme", by="hour")).items
    assert (figure.metric, figure.quantity) == ("api_calls", Decimal(3))
    assert (figure.tenant, figure.plan) == ("t1", "starter")
    assert figure.window_start == AT.replace(minute=0)


async def test_activity_counts_once_a_minute(innkeeper: Innkeeper) -> None:
    moments = [AT, AT + timedelta(seconds=59), AT + timedelta(seconds=60)]
    assert [await innkeeper.record_activity("Acme", at=moment) for moment in moments] == [True, False, True]
    assert await innkeeper.record_activity("acme")
    assert [figure.metric async for figure in innkeeper.usage_all("acme", until=AT)] == ["activity"]


async def test_a_batch_is_written_whole_or_not_at_all(innkeeper: Innkeeper) -> None:
    reports = [UsageReport.of("acme", "messages", number, key=f"m/{number}", at=AT) for number in range(10)]
    assert await innkeeper.record_usage_batch(reports[:4]) == Recorded(recorded=4, known=0)
    assert await innkeeper.record_usage_batch(iter(reports)) == Recorded(recorded=6, known=4)
    assert await innkeeper.record_usage_batch([]) == Recorded(recorded=0, known=0)
    with pytest.raises(BadInput, match="'nobody' is no instance"):
        await innkeeper.record_usage_batch([UsageReport.of(name, "m", 1, key=name) for name in ("acme", "nobody")])
    with pytest.raises(BadInput, match="1,001 reports' are too many"):
        await innkeeper.record_usage_batch([reports[0]] * 1001)
    assert sum([figure.quantity async for figure in innkeeper.usage_all("acme")]) == 45


async def test_figures_are_read_over_several_pages_in_a_window(innkeeper: Innkeeper) -> None:
    reports = [
        UsageReport.of("acme", "messages", 1, key=f"{number}", at=AT + timedelta(hours=number)) for number in range(999)
    ]
    await innkeeper.record_usage_batch(reports)
    await innkeeper.record_usage("acme", "calls", 1, key="c", at=AT)
    await innkeeper.record_usage("acme", "calls", 2, key="d", at=AT + timedelta(hours=1))
    found = [figure async for figure in innkeeper.usage_all(tenant="t1", by="hour")]
    assert len(found) == 1001
    window = innkeeper.usage_all("acme", by="hour", since=AT.replace(minute=0), until=AT + timedelta(minutes=30))
    some = [(figure.metric, figure.quantity) async for figure in window]
    assert some == [("calls", Decimal(1)), ("messages", Decimal(1))]
    page = await innkeeper.usage("acme", by="hour", limit=1)
    assert len((await innkeeper.usage("acme", by="hour", limit=1000, after=page.next)).items) == 1000


async def test_rows_that_were_given_without_their_usage_have_none(client: Client) -> None:
    with pytest.raises(BadInput, match="usage: None is missing"):
        await Innkeeper(client, MemoryDatabase()).usage()


async def test_blocking_code_reports_and_reads_as_well(innkeeper: Innkeeper) -> None:
    portal = Portal()

    def scenario() -> None:
        with SyncInnkeeper(innkeeper, portal) as blocking:
            assert blocking.record_usage("acme", "calls", "2.5", key="s", at=AT)
            assert blocking.record_usage_batch([UsageReport.of("acme", "calls", 1, key="t", at=AT)]).recorded == 1
            assert [figure.quantity for figure in blocking.usage_all("acme")] == [Decimal("3.5")]
            assert blocking.usage("acme").next is None

    await asyncio.to_thread(scenario)
