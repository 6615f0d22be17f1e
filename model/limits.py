"""A plan's limits on what a tenant has in all, and how a request that would pass one is refused."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal

from pydantic import Field

from .catalog import Plan
from .errors import BadInput, Cause
from .instance import Kind
from .messages import Message
from .sizes import amount_of

LIMITED = frozenset({Kind.PROVISION, Kind.ADOPT, Kind.UPGRADE, Kind.START, Kind.RESTART})
"""Requests that limits are held against: what lets an instance run, and nothing that takes it away or mends it."""

GROWING = frozenset({Kind.PROVISION, Kind.ADOPT, Kind.UPGRADE})
"""Those that may need another instance, or more storage."""


class Allowed(Message):
    """A plan's limits as the database holds them against what it knows."""

    instances: int | None = None
    storage_mib: int | None = None
    reported: dict[str, dict[str, Decimal]] = Field(default_factory=dict)
    """Metric → `day` or `month` → quantity."""


class Reached(Message):
    """The limit that a request would pass."""

    what: str
    """`instances`, `storage`, or a reported metric."""
    period: str = ""
    """`day` or `month` of a metric."""
    tenant: str
    plan: str
    allowed: Decimal
    used: Decimal
    """By the tenant, without what is asked for; MiB of storage."""
    asked: Decimal = Decimal(0)
    """By the request, likewise."""


def allowed(plans: Mapping[str, Plan]) -> dict[str, Allowed]:
    """What each plan that has limits allows."""
    found: dict[str, Allowed] = {}
    for name, plan in plans.items():
        limits = plan.limits
        if limits is None:
            continue
        found[name] = Allowed(
            instances=limits.instances,
            storage_mib=None if limits.storage is None else math.floor(amount_of(limits.storage) / 2**20),
            reported={metric: rates.by_period for metric, rates in limits.reported.items()},
        )
    return found


def refusal_of(limit: Reached) -> Cause:
    """Why the request is refused, with what to do."""
    allows = f"plan {limit.plan} allows"
    if limit.what == "instances":
        told = f"has {limit.used:,f} instances, and {allows} {limit.allowed:,f}"
        fix = "purge an instance that is not needed, or choose a plan that allows more"
    elif limit.what == "storage":
        told = f"has {_gib(limit.used)} of storage, asks for {_gib(limit.asked)}, and {allows} {_gib(limit.allowed)}"
        fix = "purge an instance that is not needed, or choose a plan that allows more"
    else:
        when = "today" if limit.period == "day" else "this month"
        told = f"has used {limit.used:,f} {limit.what} {when}, and {allows} {limit.allowed:,f}"
        fix = f"wait for the next {limit.period} (UTC), or upgrade to a plan that allows more"
    return BadInput("tenant", limit.tenant, told, fix=fix, code="LimitReached").cause


def _gib(mib: Decimal) -> str:
    return f"{(mib / 1024).normalize():,f} GiB"
