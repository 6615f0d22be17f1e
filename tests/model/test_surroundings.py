"""What is made around a release is what the plan asks for, and no more."""

from __future__ import annotations

from typing import Any

import pytest
from attempts import work_on

from innkeeper.model import catalog, surroundings
from innkeeper.model.surroundings import KINDS


@pytest.mark.parametrize(
    ("asked", "kinds"),
    [
        ({"network": "open"}, []),
        ({}, ["NetworkPolicy"]),
        ({"network": "open", "quota": {"pods": 3}}, ["ResourceQuota"]),
        ({"network": "open", "container_defaults": {"default": {"cpu": "1"}}}, ["LimitRange"]),
        (
            {"quota": {"pods": 3}, "container_defaults": {"default": {"cpu": "1"}}},
            ["ResourceQuota", "LimitRange", "NetworkPolicy"],
        ),
    ],
)
def test_a_plan_gets_around_its_release_what_it_asks_for(asked: dict[str, Any], kinds: list[str]) -> None:
    plan = catalog.parse({"plans": {"p": {"chart": {"path": "room"}, **asked}}}, folder="").plan("p")
    made = surroundings.around(work_on("acme", "p"), plan)
    assert [item["kind"] for item in made] == kinds
    assert {item["metadata"]["namespace"] for item in made} <= {"inn-acme"}
    assert {(item["apiVersion"], item["kind"]) for item in made} <= set(KINDS), "what is made is also taken away"
