"""What a plan says of drift: which findings are none for it."""

from __future__ import annotations

import pytest
from drift_facts import PLANS

from innkeeper.model import catalog
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
