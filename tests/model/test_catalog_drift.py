"""What a plan says of drift: which findings are none for it, and what is to be done about the others."""

from __future__ import annotations

import pytest
from drift_facts import PLANS

from innkeeper.model import catalog
from innkeeper.model.drift_kinds import Policy, What
from innkeeper.model.errors import BadInput


def plan(**keys: object) -> catalog.Plan:
    return catalog.parse({"plans": {"p": {**PLANS["starter"], **keys}}}, folder="").plan("p")


@pytest.mark.parametrize("pattern", ["replicas-changed Deployment *", "*-changed *", "* StatefulSet inn-*/db"])
def test_findings_are_ignored_by_kind_and_object(pattern: str) -> None:
    assert plan(ignore_drift=[pattern]).ignore_drift == [pattern]
    assert plan().ignore_drift == []


@pytest.mark.parametrize("pattern", ["replicas-changed", "replicas Deployment *", "", "Deployment inn-acme/web"])
def test_what_names_no_finding_cannot_be_ignored(pattern: str) -> None:
    with pytest.raises(BadInput, match=r"plans.p.ignore_drift.0: .* it names no finding: write a kind and an object"):
        plan(ignore_drift=[pattern])


def test_what_is_to_be_done_is_said_by_kind() -> None:
    policies = plan(drift={"replicas-changed": "repair", "image-changed": "ask", "plan-outdated": "report"}).drift
    assert policies == {
        What.REPLICAS_CHANGED: Policy.REPAIR,
        What.IMAGE_CHANGED: Policy.ASK,
        What.PLAN_OUTDATED: Policy.REPORT,
    }
    assert plan().drift == {}


@pytest.mark.parametrize("what", ["secret-missing", "namespace-missing", "plan-outdated", "volume-unowned"])
def test_what_no_repair_mends_can_only_be_reported(what: str) -> None:
    for policy in ("repair", "ask"):
        with pytest.raises(BadInput, match=f"plans.p.drift: .* no repair mends {what} without a person's judgement"):
            plan(drift={what: policy})
    assert plan(drift={what: "report"}).drift == {What(what): Policy.REPORT}


@pytest.mark.parametrize("drift", [{"replicas": "repair"}, {"replicas-changed": "mend"}])
def test_unknown_kinds_and_policies_are_refused(drift: dict[str, str]) -> None:
    with pytest.raises(BadInput, match=r"plans.p.drift.replicas"):
        plan(drift=drift)
