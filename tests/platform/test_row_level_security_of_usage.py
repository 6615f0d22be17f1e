"""Row-level security of what was used, found and frozen: a tenant reads its own use, and writes nothing of it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from desk import Desk
from supabase_lite import SupabaseLite

from innkeeper.gateways.database import SupabaseDatabase
from innkeeper.gateways.usage_rows import SupabaseUsage
from innkeeper.model.instance import Status
from innkeeper.model.reports import UsageReport
from innkeeper.model.usage import metered

OWN = ["instance_events", "usage_meters", "usage_metrics", "usage_records", "usage_figures", "usage_for_billing"]
OPERATORS = ["findings", "freezes"]
CALLS: dict[str, dict[str, Any]] = {
    "record_usage": {"reports": []},
    "trace_records": {"keys": [], "moment": "2026-01-01T00:00:00Z"},
    "metering_page": {},
    "meter": {"meters": [], "runs": []},
    "running": {"plans": ["starter"]},
    "reconciled": {"looked": [], "findings": []},
    "claim_within": {"claim": {}, "limits": {}, "grows": True, "storage_mib": 0},
    "begin": {"claim": {}, "limits": {}, "grows": True, "storage_mib": 0},
    "outset": {"request_id": "x", "instance": "x"},
}


@pytest.fixture
async def database(lite: SupabaseLite) -> AsyncIterator[SupabaseDatabase]:
    async with await SupabaseDatabase.connect(lite.url, lite.secret_key) as connected:
        yield connected


@pytest.fixture
async def desk(database: SupabaseDatabase) -> Desk:
    """A tenant's instance of which everything is told."""
    desk, usage = Desk(database), SupabaseUsage(database)
    await desk.settle(Status.RUNNING)
    await usage.record_usage([UsageReport.of(desk.name, "calls", 7, key=secrets.token_hex(8))])
    page = await usage.metering_page(desk.name[:-1])
    (mine,) = (each for each in page.meters if each.instance == desk.name)
    await usage.meter([mine], metered(mine.events, mine.since, mine.until))
    finding = {"what": "replicas-changed", "how_bad": "warning", "object": "Deployment web"}
    freeze = {"scope": "instance", "name": desk.name}
    for table, row in (("findings", {"instance": desk.name, **finding}), ("freezes", freeze)):
        await database._client.table(table).insert(row).execute()
    return desk


def as_user(lite: SupabaseLite, tenant: str | None) -> httpx.AsyncClient:
    token = tenant and lite.token(sub=secrets.token_hex(8), app_metadata={"tenant": tenant})
    headers = {"apikey": lite.publishable_key} | ({"Authorization": f"Bearer {token}"} if token else {})
    return httpx.AsyncClient(base_url=f"{lite.url}/rest/v1", headers=headers)


def shows_nothing(answer: httpx.Response) -> bool:
    return answer.status_code in {401, 403} or answer.json() == []


@pytest.mark.parametrize("table", OWN)
async def test_a_tenant_reads_its_own_use_and_others_nothing_of_it(lite: SupabaseLite, desk: Desk, table: str) -> None:
    async with as_user(lite, desk.tenant) as client:
        assert {row["instance"] for row in (await client.get(f"/{table}")).json()} == {desk.name}
    async with as_user(lite, "somebody-else") as client:
        assert (await client.get(f"/{table}")).json() == []
    async with as_user(lite, None) as client:
        assert shows_nothing(await client.get(f"/{table}"))


@pytest.mark.parametrize("signed_in", [True, False])
@pytest.mark.parametrize("table", OPERATORS)
async def test_what_operators_look_at_no_tenant_sees(
    lite: SupabaseLite, desk: Desk, table: str, signed_in: bool
) -> None:
    async with as_user(lite, desk.tenant if signed_in else None) as client:
        assert shows_nothing(await client.get(f"/{table}"))


@pytest.mark.parametrize("signed_in", [True, False])
async def test_nobody_but_the_service_role_writes_any_of_it(
    lite: SupabaseLite, database: SupabaseDatabase, desk: Desk, signed_in: bool
) -> None:
    tables = [*OWN[:4], "usage_corrections", *OPERATORS]

    async def everything() -> dict[str, Any]:
        return {table: (await database._client.table(table).select("*").execute()).data for table in tables}

    before, now = await everything(), datetime.now(UTC).isoformat()
    mine = {"instance": desk.name, "tenant": desk.tenant, "plan": "starter", "name": desk.name}
    told = {
        "status": "stopped",
        "key": secrets.token_hex(8),
        "metric": "calls",
        "quantity": -7,
        "at": now,
        "until": now,
    }
    async with as_user(lite, desk.tenant if signed_in else None) as client:
        for table in tables:
            columns = before[table][0] if before[table] else {"instance": ""}
            row = {name: value for name, value in {**columns, **mine, **told}.items() if name in columns}
            assert (await client.post(f"/{table}", json=row)).is_error, table
            key = "name" if table == "freezes" else "instance"
            await client.patch(f"/{table}", params={key: f"eq.{desk.name}"}, json={key: "another"})
            await client.delete(f"/{table}", params={key: f"eq.{desk.name}"})
    assert await everything() == before


@pytest.mark.parametrize("signed_in", [True, False])
@pytest.mark.parametrize("function", CALLS)
async def test_nobody_but_the_service_role_calls_what_writes_it(
    lite: SupabaseLite, desk: Desk, function: str, signed_in: bool
) -> None:
    async with as_user(lite, desk.tenant if signed_in else None) as client:
        answer = await client.post(f"/rpc/innkeeper_{function}", json=CALLS[function])
        assert answer.status_code in {401, 403}, answer.text
