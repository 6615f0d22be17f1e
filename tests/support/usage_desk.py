"""What tests of usage do with a desk's instance: meter it, have things happen to it earlier, and read what was used."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from desk import Desk

from innkeeper.gateways.database import SupabaseDatabase
from innkeeper.gateways.memory_database import MemoryDatabase
from innkeeper.gateways.memory_usage import MemoryUsage
from innkeeper.gateways.usage_rows import SupabaseUsage
from innkeeper.model.instance import Status
from innkeeper.model.ports import Page
from innkeeper.model.reports import UsageReport
from innkeeper.model.sizes import Sizes
from innkeeper.model.usage import InstanceEvent, hour_of, metered
from innkeeper.model.usage_ports import Figure, Hours, Meter, Metered, Usage

SIZES = Sizes(cpu_millicores=250, memory_mib=512, storage_mib=2048)
Gateway = MemoryUsage | SupabaseUsage


async def due(usage: Gateway, desk: Desk, again: Hours | None = None) -> Meter | None:
    """What is to be metered of the desk's instance, wherever it stands among others."""
    page = await usage.metering_page(desk.name[:-1], again=again)
    return next((each for each in page.meters if each.instance == desk.name), None)


async def meter(usage: Gateway, desk: Desk, again: Hours | None = None) -> Metered:
    """Meter the desk's instance, and no other."""
    found = await due(usage, desk, again)
    assert found is not None
    return await usage.meter([found], metered(found.events, found.since, found.until))


async def happened(desk: Desk, ago: float, status: Status, **more: Any) -> datetime:
    """An event that comes late, so many hours before the full hour."""
    at = hour_of(datetime.now(UTC)) - timedelta(hours=ago)
    told = {"tenant": desk.tenant, "plan": "starter", "sizes": SIZES, **more}
    database = desk.database
    event = InstanceEvent(seq=0, at=at, instance=desk.name, status=status, **told)
    if isinstance(database, MemoryDatabase):
        database.events.append(event.model_copy(update={"seq": len(database.events) + 1}))
    else:
        await table(desk, "instance_events").insert(event.model_dump(mode="json", exclude={"seq"})).execute()
    return at


def table(desk: Desk, name: str) -> Any:
    """A table, behind the gateway's back."""
    assert isinstance(desk.database, SupabaseDatabase)
    return desk.database._client.table(name)


async def corrections(usage: Gateway, desk: Desk) -> set[tuple[str, datetime, Decimal, Decimal]]:
    """Metric, window, before and after of what was corrected."""
    if isinstance(usage, MemoryUsage):
        found = [each for each in usage.corrections if each.instance == desk.name]
        return {(each.metric, each.window_start, each.before, each.after) for each in found}
    rows = (await table(desk, "usage_corrections").select("*").eq("instance", desk.name).execute()).data
    assert all(row["why"] and row["at"] for row in rows)
    return {
        (row["metric"], datetime.fromisoformat(row["window_start"]), Decimal(row["before"]), Decimal(row["after"]))
        for row in rows
    }


async def figures(usage: Gateway, desk: Desk, **wanted: Any) -> list[Figure]:
    return (await usage.usage(Usage(instance=desk.name, **{"by": "hour", **wanted}), Page(limit=1000))).items


def told(found: list[Figure], metric: str = "running_seconds") -> dict[datetime, Decimal]:
    return {each.window_start: each.quantity for each in found if each.metric == metric}


async def events_of(usage: Gateway, desk: Desk) -> list[InstanceEvent]:
    found = await due(usage, desk)
    assert found is not None
    return found.events


def report(desk: Desk, quantity: float, *, ago: float | None = None, **more: str) -> UsageReport:
    at = None if ago is None else hour_of(datetime.now(UTC)) - timedelta(hours=ago)
    told = {"metric": "api_calls", "key": secrets.token_hex(8), **more}
    return UsageReport.of(desk.name, told["metric"], quantity, key=told["key"], at=at)
