"""Whose an object is: only what carries all three marks is this instance's."""

from __future__ import annotations

from typing import Any

import pytest

from innkeeper.model import marks
from innkeeper.model.errors import NotOurs

OURS = marks.labels(instance="acme", tenant="t1", plan="starter")


def secret(labels: dict[str, str] | None, **meta: Any) -> dict[str, Any]:
    return {"kind": "Secret", "metadata": {"name": "credentials", "namespace": "inn-acme", "labels": labels, **meta}}


def test_everything_made_for_an_instance_names_it_its_tenant_and_its_plan() -> None:
    assert OURS == {
        "app.kubernetes.io/managed-by": "innkeeper",
        "innkeeper.dev/instance": "acme",
        "innkeeper.dev/tenant": "t1",
        "innkeeper.dev/plan": "starter",
    }


def test_what_carries_the_marks_is_ours_on_whichever_plan() -> None:
    assert marks.is_ours(secret({**OURS, marks.PLAN: "team", "more": "x"}), "acme", "t1")
    marks.demand_ours(secret(OURS), "acme", "t1")


@pytest.mark.parametrize(
    "labels",
    [
        None,
        {},
        {**OURS, marks.MANAGED_BY: "Helm"},
        {**OURS, marks.INSTANCE: "globex"},
        {**OURS, marks.TENANT: "t2"},
        *({key: value for key, value in OURS.items() if key != gone} for gone in OURS if gone != marks.PLAN),
    ],
)
def test_one_mark_that_is_missing_or_another_is_enough_to_be_foreign(labels: dict[str, str] | None) -> None:
    assert not marks.is_ours(secret(labels), "acme", "t1")
    with pytest.raises(NotOurs):
        marks.demand_ours(secret(labels), "acme", "t1")


@pytest.mark.parametrize(
    ("labels", "manager"), [(None, "nobody named"), ({"a": "b"}, "nobody named"), ({marks.MANAGED_BY: "Helm"}, "Helm")]
)
def test_what_is_foreign_is_named_with_who_manages_it(labels: dict[str, str] | None, manager: str) -> None:
    with pytest.raises(NotOurs) as refused:
        marks.demand_ours(secret(labels), "acme", "t1")
    cause = refused.value.cause
    assert cause.message == f"Secret inn-acme/credentials exists and is not this instance's (managed by {manager})"
    assert (cause.code, cause.object) == ("ObjectNotOurs", "Secret inn-acme/credentials")
    assert (
        cause.fix == "use another name for the instance, or remove the object if it is not needed; it was not touched"
    )


def test_nobody_is_told_to_remove_what_is_another_customers() -> None:
    theirs = marks.labels(instance="acme", tenant="t2", plan="starter")
    with pytest.raises(NotOurs) as refused:
        marks.demand_ours(secret(theirs), "acme", "t1")
    assert refused.value.cause.fix == (
        "use another name for the instance: this is part of another one, maybe of another tenant's"
    )


def test_what_has_neither_namespace_nor_kind_is_named_as_far_as_it_can_be() -> None:
    with pytest.raises(NotOurs) as refused:
        marks.demand_ours({"metadata": {"name": "inn-acme"}}, "acme", "t1")
    assert (refused.value.cause.code, refused.value.cause.object) == ("NotOurs", "Object inn-acme")
    assert refused.value.cause.message.startswith("Object inn-acme exists")


@pytest.mark.parametrize(
    ("annotations", "by"), [(None, None), ({}, None), ({"other": "x"}, None), ({marks.CREATED_BY: "r7"}, "r7")]
)
def test_who_made_an_object_is_told_by_its_annotation(annotations: dict[str, str] | None, by: str | None) -> None:
    assert marks.created_by(secret(OURS, annotations=annotations)) == by


def test_marks_are_of_one_domain() -> None:
    own = (marks.INSTANCE, marks.TENANT, marks.PLAN, marks.DATA, marks.CREATED_BY, marks.STOPPED, marks.RESTARTED_BY)
    assert all(mark.startswith("innkeeper.dev/") for mark in own)
    assert len({*own, marks.RESTARTED_BEFORE}) == len(own) + 1
