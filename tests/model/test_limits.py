"""Limits of plans: how they are written, and how a request that would pass one is refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from innkeeper.model import catalog
from innkeeper.model.claim import refusal
from innkeeper.model.errors import BadInput
from innkeeper.model.instance import Kind
from innkeeper.model.limits import Allowed, Reached, allowed, refusal_of
from innkeeper.model.messages import Request
from innkeeper.model.record_messages import Claim, Verdict
from innkeeper.model.sizes import storage_asked


def plans(**limits: Any) -> dict[str, catalog.Plan]:
    told = {"bare": {"chart": {"path": "room"}}, "small": {"chart": {"path": "room"}, "limits": limits}}
    return catalog.parse({"plans": told}, folder="").plans


def reached(what: str, allowed: float, used: float, **more: Any) -> Reached:
    told: dict[str, Any] = {"allowed": Decimal(str(allowed)), "used": Decimal(str(used))}
    return Reached(what=what, tenant="t1", plan="small", **told, **more)


def test_only_plans_with_limits_are_held_against_anything() -> None:
    assert allowed(plans(instances=2)) == {"small": Allowed(instances=2)}


def test_limits_are_told_in_the_units_of_what_is_counted() -> None:
    written = plans(storage="1.5Gi", reported={"api_calls": {"day": 10, "month": "99.5"}, "messages": {}})
    assert allowed(written)["small"] == Allowed(
        storage_mib=1536, reported={"api_calls": {"day": Decimal(10), "month": Decimal("99.5")}, "messages": {}}
    )
    assert allowed(plans(storage=1_000_000))["small"].storage_mib == 0, "less than a MiB is none"


@pytest.mark.parametrize(
    ("limits", "path"),
    [
        ({"instances": -1}, "limits.instances"),
        ({"storage": "much"}, "limits.storage"),
        ({"reported": {"Api": {"day": 1}}}, "limits.reported.Api"),
        ({"reported": {"calls": {"day": -1}}}, "limits.reported.calls.day"),
        ({"reported": {"calls": {"month": -1}}}, "limits.reported.calls.month"),
        ({"reported": {"calls": {"week": 1}}}, "limits.reported.calls.week"),
        ({"pods": 1}, "limits.pods"),
    ],
)
def test_a_limit_that_cannot_be_is_refused_by_its_path(limits: dict[str, Any], path: str) -> None:
    with pytest.raises(BadInput, match=rf"plans.small.{path}"):
        plans(**limits)


@pytest.mark.parametrize(
    ("limit", "told", "fix"),
    [
        (
            reached("instances", 3, 3, asked=Decimal(1)),
            "tenant: 't1' has 3 instances, and plan small allows 3.",
            "purge an instance that is not needed, or choose a plan that allows more",
        ),
        (
            reached("storage", 10240, 9728, asked=Decimal(1024)),
            "tenant: 't1' has 9.5 GiB of storage, asks for 1 GiB, and plan small allows 10 GiB.",
            "purge an instance that is not needed, or choose a plan that allows more",
        ),
        (
            reached("api_calls", 10_000, 10_001, period="month"),
            "tenant: 't1' has used 10,001 api_calls this month, and plan small allows 10,000.",
            "wait for the next month (UTC), or upgrade to a plan that allows more",
        ),
        (
            reached("api_calls", 0.5, 0.5, period="day"),
            "tenant: 't1' has used 0.5 api_calls today, and plan small allows 0.5.",
            "wait for the next day (UTC), or upgrade to a plan that allows more",
        ),
    ],
)
def test_a_refusal_names_limit_value_and_fix(limit: Reached, told: str, fix: str) -> None:
    cause = refusal_of(limit)
    assert (cause.code, cause.message, cause.fix) == ("LimitReached", told, fix)
    request = Request.of(Kind.PROVISION, "acme", request_id="r", tenant="t1", plan="small")
    assert refusal(Claim(verdict=Verdict.LIMITED, reached=limit), request) == cause


def test_what_a_chart_asks_for_is_added_up_before_it_is_there() -> None:
    def claim(size: str) -> dict[str, Any]:
        return {"resources": {"requests": {"storage": size}}}

    templates = [{"spec": claim("1Gi")}, {"spec": claim("512Mi")}]
    rendered: list[dict[str, Any]] = [
        {"kind": "PersistentVolumeClaim", "spec": claim("2Gi")},
        {"kind": "StatefulSet", "spec": {"replicas": 3, "volumeClaimTemplates": templates}},
        {"kind": "StatefulSet", "spec": {"volumeClaimTemplates": templates}},
        {"kind": "StatefulSet", "spec": {}},
        {"kind": "Deployment", "spec": {"replicas": 3}},
        {"kind": "ConfigMap"},
    ]
    assert storage_asked(rendered) == 2048 + 4 * 1536
    assert storage_asked([{"kind": "PersistentVolumeClaim", "spec": claim("1k")}]) == 1
