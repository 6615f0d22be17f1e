"""Claims within the limits of plans, held by the database in memory and by Supabase alike."""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from desk import Desk

from innkeeper.gateways.memory_usage import MemoryUsage
from innkeeper.gateways.usage_rows import SupabaseUsage
from innkeeper.model.claim import claim_of
from innkeeper.model.instance import Kind, Status
from innkeeper.model.limits import Allowed, Reached
from innkeeper.model.messages import Request
from innkeeper.model.ports import Database
from innkeeper.model.record_messages import Claim, Verdict
from innkeeper.model.reports import UsageReport
from innkeeper.model.sizes import Sizes
from innkeeper.model.usage_ports import Meters

pytestmark = pytest.mark.usefixtures("within_an_hour")


@pytest.fixture
def tenant() -> str:
    return f"t-{secrets.token_hex(6)}"


def another(desk: Desk, tenant: str) -> Desk:
    return Desk(desk.database, tenant=tenant)


async def ask(desk: Desk, request: Request, allows: Allowed, storage_mib: int = 0) -> Claim:
    wanted = claim_of(request, f"instance/{desk.name}", "run", storage_mib)
    limits = {"starter": allows, "big": Allowed(instances=99)}
    return await desk.database.claim(wanted.model_copy(update={"limits": limits}))


async def provisioned(desk: Desk, allows: Allowed, storage_mib: int = 0) -> Claim:
    return await ask(desk, desk.request(Kind.PROVISION), allows, storage_mib)


def limit(tenant: str, what: str, allowed: float, used: float, asked: int = 0, period: str = "") -> Reached:
    told: dict[str, Any] = {"allowed": Decimal(allowed), "used": Decimal(used), "asked": Decimal(asked)}
    return Reached(what=what, period=period, tenant=tenant, plan="starter", **told)


async def test_a_tenant_has_as_many_instances_as_its_plan_allows(desk: Desk, tenant: str) -> None:
    allows, desks = Allowed(instances=2), [another(desk, tenant) for _ in range(3)]
    for each in desks[:2]:
        assert (await provisioned(each, allows)).verdict is Verdict.CLAIMED
    refused = await provisioned(desks[2], allows)
    assert (refused.verdict, refused.reached) == (Verdict.LIMITED, limit(tenant, "instances", 2, 2, 1))
    assert await desk.database.instance(desks[2].name) is None
    assert (await provisioned(another(desk, f"{tenant}-2"), allows)).verdict is Verdict.CLAIMED
    request = desks[2].request(Kind.PROVISION, plan="big")
    assert (await ask(desks[2], request, allows)).verdict is Verdict.CLAIMED


async def test_what_is_purged_makes_room_and_what_is_uninstalled_does_not(desk: Desk, tenant: str) -> None:
    allows, first, second = Allowed(instances=1), another(desk, tenant), another(desk, tenant)
    await first.settle(Status.RUNNING)
    await first.settle(Status.UNINSTALLED, Kind.UNINSTALL)
    assert (await provisioned(second, allows)).verdict is Verdict.LIMITED
    assert (await provisioned(first, allows)).verdict is Verdict.CLAIMED, "it comes back to its own place"
    await first.settle(Status.UNINSTALLED, Kind.UNINSTALL)
    await first.settle(Status.PURGED, Kind.PURGE)
    assert (await provisioned(second, allows)).verdict is Verdict.CLAIMED


async def test_requests_at_once_do_not_pass_a_limit_together(desk: Desk, tenant: str) -> None:
    allows, desks = Allowed(instances=3, storage_mib=5000), [another(desk, tenant) for _ in range(12)]
    claims = await asyncio.gather(*(provisioned(each, allows, 2000) for each in desks))
    assert sorted(claim.verdict for claim in claims) == [Verdict.CLAIMED] * 2 + [Verdict.LIMITED] * 10


async def test_storage_counts_as_observed_and_as_asked_for_while_it_is_made(desk: Desk, tenant: str) -> None:
    allows, first, second = Allowed(storage_mib=3000), another(desk, tenant), another(desk, tenant)
    claim = await provisioned(first, allows, 2000)
    refused = await provisioned(second, allows, 1001)
    assert refused.reached == limit(tenant, "storage", 3000, 2000, 1001)
    await first.finish(claim, Status.RUNNING, sizes=Sizes(storage_mib=1000))
    claim = await provisioned(second, allows, 1001)
    assert claim.verdict is Verdict.CLAIMED
    await second.finish(claim, Status.ERROR)
    # What failed has none; an upgrade counts with what it asks for in place of what it has.
    upgrade = await ask(first, first.request(Kind.UPGRADE, plan="starter"), allows, 3001)
    assert upgrade.reached == limit(tenant, "storage", 3000, 0, 3001)
    assert (await ask(first, first.request(Kind.UPGRADE, plan="starter"), allows, 3000)).verdict is Verdict.CLAIMED


async def test_who_is_above_a_limit_may_upgrade_what_needs_no_more(desk: Desk, tenant: str) -> None:
    first, second = another(desk, tenant), another(desk, tenant)
    for each in (first, second):
        await each.finish(await each.claim(Kind.PROVISION), Status.RUNNING, sizes=Sizes(storage_mib=2000))
    lowered = Allowed(instances=1, storage_mib=3000)
    same = await ask(first, first.request(Kind.UPGRADE), lowered, 2000)
    assert same.verdict is Verdict.CLAIMED
    await first.finish(same, Status.RUNNING, sizes=Sizes(storage_mib=2000))
    more = await ask(first, first.request(Kind.UPGRADE), lowered, 2001)
    assert more.reached == limit(tenant, "storage", 3000, 2000, 2001)
    await second.settle(Status.UNINSTALLED, Kind.UNINSTALL)
    assert (await ask(second, second.request(Kind.PROVISION), lowered, 1000)).verdict is Verdict.CLAIMED
    other = {"big": lowered, "starter": Allowed()}
    wanted = claim_of(first.request(Kind.UPGRADE, plan="big"), f"instance/{first.name}", "run", 10)
    refused = await first.database.claim(wanted.model_copy(update={"limits": other}))
    assert refused.reached is not None
    assert refused.reached.what == "instances"


async def test_volumes_that_are_there_count_although_less_is_asked_for(desk: Desk, tenant: str) -> None:
    first, second = another(desk, tenant), another(desk, tenant)
    await first.finish(await first.claim(Kind.PROVISION), Status.RUNNING, sizes=Sizes(storage_mib=2000))
    await second.finish(await second.claim(Kind.PROVISION, plan="other"), Status.RUNNING, sizes=Sizes(storage_mib=2000))
    moved = await ask(second, second.request(Kind.UPGRADE, plan="starter"), Allowed(storage_mib=3000), 500)
    assert moved.reached == limit(tenant, "storage", 3000, 2000, 2000)


async def test_what_was_reported_keeps_from_running_on_until_the_period_ends(
    desk: Desk, tenant: str, meters: Meters
) -> None:
    assert isinstance(meters, MemoryUsage | SupabaseUsage)
    mine, now = another(desk, tenant), datetime.now(UTC)
    await mine.settle(Status.STOPPED)
    reports = [(9, now - timedelta(days=40)), (4, now.replace(day=1, hour=0, minute=0)), (5, now)]
    await meters.record_usage(
        [UsageReport.of(mine.name, "calls", amount, key=secrets.token_hex(8), at=at) for amount, at in reports]
    )
    start = mine.request(Kind.START)
    refused = await ask(mine, start, Allowed(reported={"calls": {"month": Decimal(9)}}))
    assert refused.reached == limit(tenant, "calls", 9, 9, period="month")
    day = Decimal(9 if now.day == 1 else 5)
    refused = await ask(mine, start, Allowed(reported={"calls": {"day": day, "month": Decimal(9)}}))
    assert refused.reached == limit(tenant, "calls", float(day), float(day), period="day")
    assert (await ask(mine, start, Allowed(reported={"other": {"day": Decimal(1)}}))).verdict is Verdict.CLAIMED


async def test_a_request_that_was_claimed_is_never_limited_afterwards(desk: Desk, tenant: str) -> None:
    mine = another(desk, tenant)
    request = mine.request(Kind.PROVISION)
    claim = await ask(mine, request, Allowed(instances=1))
    assert await ask(mine, request, Allowed(instances=0)) == claim.model_copy(update={"instance": await mine.row()})
    await mine.finish(claim, Status.RUNNING)
    assert (await ask(mine, request, Allowed(instances=0))).verdict is Verdict.FINISHED


async def test_a_plan_without_limits_is_claimed_as_ever(desk: Desk, tenant: str, database: Database) -> None:
    mine = another(desk, tenant)
    request = mine.request(Kind.PROVISION, plan="unlimited")
    assert (await ask(mine, request, Allowed(instances=0))).verdict is Verdict.CLAIMED
    nobody = another(desk, tenant)
    assert (await ask(nobody, nobody.request(Kind.START), Allowed(instances=0))).verdict is Verdict.ABSENT
