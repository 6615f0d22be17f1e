"""On real parts: what instances use is metered from what happened to them, by the workers' own schedule."""

from __future__ import annotations

import asyncio
import secrets
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from supabase_lite import SupabaseLite
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from innkeeper.client import Innkeeper
from innkeeper.client.schedules import METERING, keep
from innkeeper.embedded.options import Addresses
from innkeeper.gateways.database import SupabaseDatabase
from innkeeper.gateways.usage_rows import SupabaseUsage
from innkeeper.model.messages import METERING_WORKFLOW, TASK_QUEUE
from innkeeper.model.ports import Page
from innkeeper.model.sizes import Sizes
from innkeeper.model.usage import HOUR, hour_of
from innkeeper.model.usage_ports import Hours, Metered, Usage
from innkeeper.settings import Settings
from innkeeper.worker import running

# Each of several waits may take its time on a busy machine.
pytestmark = pytest.mark.timeout(900)

QUEUE = "metered"
"""A task queue of its own, with a worker that meters; the session's does not by itself."""


@pytest.fixture
async def temporal(addresses: Addresses) -> AsyncIterator[Client]:
    """The platform's Temporal, which has no schedule after the test."""
    client = await Client.connect(addresses.temporal_address, data_converter=pydantic_data_converter)
    yield client
    await keep(client, METERING, every=0, task_queue=QUEUE)


@pytest.fixture
def usage(database: SupabaseDatabase) -> SupabaseUsage:
    """What was used, as a worker reads it."""
    return SupabaseUsage(database)


class Rest:
    """Supabase's REST interface with one token."""

    def __init__(self, lite: SupabaseLite, key: str, token: str) -> None:
        self.lite = lite
        self._headers = {"apikey": key, "Authorization": f"Bearer {token}"}

    async def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {**self._headers, "Prefer": "return=representation"}
        async with httpx.AsyncClient(headers=headers, timeout=30) as http:
            return await http.request(method, f"{self.lite.url}/rest/v1/{path}", **more)

    async def rows(self, path: str) -> list[dict[str, Any]]:
        answer = await self.ask("GET", path)
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()
        return found


@pytest.fixture
def service(lite: SupabaseLite) -> Rest:
    """The service role."""
    return Rest(lite, lite.secret_key, lite.secret_key)


async def totals(usage: SupabaseUsage, name: str) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for each in (await usage.usage(Usage(instance=name), Page(limit=1000))).items:
        found[each.metric] = found.get(each.metric, Decimal(0)) + each.quantity
    return found


async def meter(temporal: Client, again: Hours | None = None) -> Metered:
    """One metering by the session's worker."""
    told: Metered = await temporal.execute_workflow(
        METERING_WORKFLOW,
        args=[] if again is None else [again],
        id=f"metering-{uuid.uuid4().hex}",
        task_queue=TASK_QUEUE,
        result_type=Metered,
    )
    return told


async def existed(service: Rest, name: str, tenant: str, *events: tuple[datetime, str]) -> None:
    """An instance of long ago, with what happened to it."""
    row = {"name": name, "tenant": tenant, "plan": "starter", "namespace": f"inn-{name}", "release": name}
    status = events[-1][1]
    (await service.ask("POST", "instances", json={**row, "status": status, "settled": status})).raise_for_status()
    await happened(service, name, tenant, *events)


async def happened(service: Rest, name: str, tenant: str, *events: tuple[datetime, str]) -> None:
    told = {
        "instance": name,
        "tenant": tenant,
        "plan": "starter",
        "sizes": {"cpu_millicores": 500, "memory_mib": 1024, "storage_mib": 2048},
    }
    rows = [{**told, "at": at.isoformat(), "status": status} for at, status in events]
    (await service.ask("POST", "instance_events", json=rows)).raise_for_status()


async def test_the_workers_own_schedule_meters_what_operations_did(
    addresses: Addresses, settings: Settings, temporal: Client, usage: SupabaseUsage, database: SupabaseDatabase
) -> None:
    metering = settings.model_copy(update={"task_queue": QUEUE, "meter_every": 1})
    async with running(metering):
        innkeeper = await Innkeeper.connect(addresses.temporal_address, task_queue=QUEUE)
        await (await innkeeper.provision("metered", tenant="t1", plan="starter")).result()
        row = await database.instance("metered")
        assert row is not None
        # The room chart's web server and database, with what the LimitRange adds; its volume.
        assert row.sizes == Sizes(cpu_millicores=150, memory_mib=192, storage_mib=1024)
        await (await innkeeper.stop("metered")).result()
        await (await innkeeper.uninstall("metered")).result()
        before = await _until_metered(usage, "metered", 3)
        assert before["cpu_seconds"] == before["running_seconds"] * Decimal("0.15")
        assert before["memory_gib_seconds"] == before["running_seconds"] * 192 / 1024
        # Its volume is kept.
        async with asyncio.timeout(120):
            while (after := await totals(usage, "metered"))["storage_gib_seconds"] <= before["storage_gib_seconds"]:
                await asyncio.sleep(0.3)
        assert after["running_seconds"] == before["running_seconds"]
        await (await innkeeper.purge("metered")).result()
        last = await _until_metered(usage, "metered", 4)
        await asyncio.sleep(2.5)
        assert await totals(usage, "metered") == last


async def _until_metered(usage: SupabaseUsage, name: str, operations: int) -> dict[str, Decimal]:
    async with asyncio.timeout(120):
        while True:
            found = await totals(usage, name)
            if found.get("operations") == operations:
                await asyncio.sleep(1.5)
                return await totals(usage, name)
            await asyncio.sleep(0.3)


async def test_after_months_without_a_metering_all_is_caught_up_and_can_be_metered_again(
    worker: None, temporal: Client, usage: SupabaseUsage, service: Rest
) -> None:
    name, begun = f"old-{secrets.token_hex(4)}", hour_of(datetime.now(UTC)) - timedelta(days=200)
    await existed(service, name, "t1", (begun, "running"), (begun + timedelta(days=150), "stopped"))
    await meter(temporal)
    found = await totals(usage, name)
    assert found["running_seconds"] == 150 * 86_400
    assert found["cpu_seconds"] == 150 * 86_400 / 2
    assert found["storage_gib_seconds"] >= 200 * 86_400 * 2
    again = await meter(temporal, Hours(since=begun, until=begun + timedelta(days=160)))
    assert again.windows == again.corrections == 0
    assert again.instances > 0


async def test_an_event_that_comes_late_corrects_its_hours_and_leaves_a_trace(
    worker: None, temporal: Client, usage: SupabaseUsage, service: Rest
) -> None:
    name, begun = f"late-{secrets.token_hex(4)}", hour_of(datetime.now(UTC)) - 10 * HOUR
    await existed(service, name, "t1", (begun, "running"))
    await meter(temporal)
    await happened(service, name, "t1", (begun + 9.5 * HOUR, "stopped"))
    assert (await meter(temporal)).corrections == 3
    traces = await service.rows(f"usage_corrections?instance=eq.{name}&metric=eq.running_seconds")
    assert [(float(each["before"]), float(each["after"])) for each in traces] == [(3600, 1800)]
    assert datetime.fromisoformat(traces[0]["window_start"]) == begun + 9 * HOUR
    assert "late" in traces[0]["why"]
    hours = (await usage.usage(Usage(instance=name, by="hour"), Page(limit=1000))).items
    assert sum(each.quantity for each in hours if each.metric == "running_seconds") == Decimal("9.5") * 3600


async def test_events_are_written_once_and_for_all(service: Rest) -> None:
    name = f"fixed-{secrets.token_hex(4)}"
    await existed(service, name, "t1", (datetime.now(UTC), "running"))
    for method, more in (("PATCH", {"json": {"status": "stopped"}}), ("DELETE", {})):
        answer = await service.ask(method, f"instance_events?instance=eq.{name}", **more)
        assert answer.is_error
        assert "append-only" in answer.text
    assert [each["status"] for each in await service.rows(f"instance_events?instance=eq.{name}")] == ["running"]


async def test_a_billing_system_and_a_tenant_read_the_same_and_nobody_elses(
    worker: None, temporal: Client, lite: SupabaseLite, service: Rest
) -> None:
    tenant, name = f"t-{secrets.token_hex(4)}", f"billed-{secrets.token_hex(4)}"
    begun = hour_of(datetime.now(UTC)).replace(hour=0) - timedelta(days=3)
    await existed(service, name, tenant, (begun, "running"))
    await existed(service, f"{name}-2", "another", (begun, "running"))
    await meter(temporal)
    path = "usage_for_billing?period=eq.day&final=is.true&order=instance,window_start,metric"
    billed = await service.rows(f"{path}&tenant=eq.{tenant}")
    assert [(each["metric"], float(each["quantity"])) for each in billed] == [
        ("cpu_seconds", 43_200),
        ("memory_gib_seconds", 86_400),
        ("running_seconds", 86_400),
        ("storage_gib_seconds", 172_800),
    ] * 3
    own = Rest(lite, lite.publishable_key, lite.token(sub=str(uuid.uuid4()), app_metadata={"tenant": tenant}))
    assert await own.rows(path) == billed
    stranger = Rest(lite, lite.publishable_key, lite.token(sub=str(uuid.uuid4()), app_metadata={"tenant": "x"}))
    for table in ("usage_for_billing", "usage_metrics", "usage_corrections", "usage_meters", "instance_events"):
        assert await stranger.rows(table) == []
        answer = await Rest(lite, lite.publishable_key, lite.publishable_key).ask("GET", table)
        assert answer.status_code in {401, 403} or answer.json() == []
    calls: dict[str, dict[str, Any]] = {"meter": {"meters": [], "runs": []}, "metering_page": {}}
    for function, arguments in calls.items():
        assert (await own.ask("POST", f"rpc/innkeeper_{function}", json=arguments)).status_code in {401, 403}
    answer = await own.ask("POST", "rpc/innkeeper_usage", json={"period": "day"})
    assert {each["instance"] for each in answer.json()["items"]} == {name}
