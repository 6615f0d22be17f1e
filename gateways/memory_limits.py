"""Limits of plans, held against what the database in memory knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal

from innkeeper.model.instance import Instance, Status
from innkeeper.model.limits import GROWING, Reached
from innkeeper.model.record_messages import ClaimRequest

Reports = Iterable[tuple[str, str, datetime, Decimal]]


def reached(
    claim: ClaimRequest, rows: Mapping[str, Instance], asked: Mapping[str, int], reports: Reports, now: datetime
) -> Reached | None:
    """The first limit of its plan that a claim would pass; None where there is none."""
    held = rows.get(claim.request.instance)
    tenant = claim.request.tenant or (held.tenant if held else "")
    plan = claim.request.plan or (held.plan if held else "")
    mine = claim.limits.get(plan)
    if mine is None:
        return None

    def limit(what: str, allowed: Decimal | int, used: Decimal | int, asks: int = 0, period: str = "") -> Reached:
        told = {"allowed": Decimal(allowed), "used": Decimal(used), "asked": Decimal(asks)}
        return Reached(what=what, period=period, tenant=tenant, plan=plan, **told)

    if claim.request.kind in GROWING:
        others = [
            row
            for row in rows.values()
            if row.tenant == tenant and row.name != claim.request.instance and row.status is not Status.PURGED
        ]
        stored = sum(_storage(row, asked.get(row.name, 0)) for row in others)
        has = held if held and held.tenant == tenant and held.status is not Status.PURGED else None
        stays = has is not None and has.plan == plan
        own = has.sizes.storage_mib if has and has.sizes else 0
        wanted = max(own, claim.storage_mib)
        if mine.instances is not None and len(others) >= mine.instances and not stays:
            return limit("instances", mine.instances, len(others), 1)
        if mine.storage_mib is not None and stored + wanted > mine.storage_mib and not (stays and wanted == own):
            return limit("storage", mine.storage_mib, stored, wanted)
    for metric, rates in sorted(mine.reported.items()):
        for period, allowed in sorted(rates.items()):
            begun = now.replace(hour=0, minute=0, second=0, microsecond=0)
            since = begun if period == "day" else begun.replace(day=1)
            used = sum((each[3] for each in reports if each[:2] == (tenant, metric) and each[2] >= since), Decimal(0))
            if used >= allowed:
                return limit(metric, allowed, used, period=period)
    return None


def _storage(row: Instance, asked: int) -> int:
    """What an instance has, or its operation will have made."""
    observed = row.sizes.storage_mib if row.sizes else 0
    return observed if row.status is row.settled else max(observed, asked)
