"""Requests are checked while they are built, and their digest tells equal arguments from others."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from innkeeper.model.errors import BadInput, Cause
from innkeeper.model.instance import Kind
from innkeeper.model.messages import Choice, Question, Request


def ask(kind: Kind = Kind.PROVISION, name: str = "acme", **changed: str | None) -> Request:
    told: dict[str, str | None] = {"request_id": "r1", "tenant": "t1", "plan": "starter", **changed}
    return Request.of(kind, name, **told)  # type: ignore[arg-type]  # None is what some tests give


@pytest.mark.parametrize(
    ("missing", "given", "fix"),
    [
        ("tenant", None, "name the tenant who owns the instance"),
        ("plan", None, "name a plan of the catalog"),
        ("plan", "", "name a plan of the catalog"),
    ],
)
def test_provision_names_what_is_missing(missing: str, given: str | None, fix: str) -> None:
    with pytest.raises(BadInput) as refused:
        ask(**{missing: given})  # type: ignore[arg-type]  # which of the two is the parameter
    assert refused.value.cause == Cause(code="BadInput", message=f"{missing}: {given!r} is missing.", fix=fix)


def test_who_asked_is_kept_as_far_as_it_fits() -> None:
    assert ask().asked_by == ""
    assert ask(asked_by="ops").asked_by == "ops"
    assert ask(asked_by="x" * 1_000).asked_by == "x" * 200


def test_other_operations_need_neither_tenant_nor_plan() -> None:
    assert ask(Kind.STOP, tenant=None, plan=None).tenant is None


@pytest.mark.parametrize("changed", [{"tenant": "t2"}, {"plan": "team"}, {"name": "globex"}, {"kind": Kind.UPGRADE}])
def test_another_argument_is_another_digest(changed: dict[str, str]) -> None:
    assert ask(**changed).digest != ask().digest  # type: ignore[arg-type]


def test_who_asks_and_under_which_id_is_no_part_of_the_digest() -> None:
    assert ask(request_id="r2", asked_by="ops").digest == ask().digest


def test_a_message_refuses_keys_it_does_not_know() -> None:
    with pytest.raises(ValidationError, match="extra"):
        Request.model_validate({**ask().model_dump(), "password": "x"})


def test_only_provision_and_upgrade_take_a_plan() -> None:
    assert ask(Kind.UPGRADE).plan == "starter"
    with pytest.raises(BadInput) as refused:
        ask(Kind.STOP)
    assert refused.value.cause == Cause(
        code="BadInput",
        message="plan: 'starter' has no meaning for stop.",
        fix="leave it out, or ask for an upgrade",
    )


def test_a_digest_is_short_enough_for_a_row() -> None:
    assert len(ask().digest) == 32


def test_a_question_says_what_cannot_go_on_and_what_each_answer_does() -> None:
    def question(*, undo: bool) -> Question:
        choices = list(Choice) if undo else [Choice.RETRY, Choice.ABORT]
        cause, now = Cause(code="x", message="x"), datetime.now(UTC)
        return Question(
            id="release-1",
            step="release",
            undo=undo,
            cause=cause,
            choices=choices,
            asked_at=now,
            answer_by=now,
            otherwise=Choice.ABORT,
        )

    assert [question(undo=undo).headline for undo in (False, True)] == [
        "release cannot go on",
        "the undo of release keeps failing",
    ]
    assert [question(undo=undo).meaning(Choice.RETRY) for undo in (False, True)] == [
        "try the step again",
        "try the undo again",
    ]
    for undo in (False, True):
        asked = question(undo=undo)
        assert len({asked.meaning(choice) for choice in asked.choices}) == len(asked.choices)


def adopting(**other: Any) -> Request:
    told: dict[str, Any] = {
        "request_id": "r1",
        "tenant": "t1",
        "plan": "starter",
        "namespace": "shop",
        "release": "web",
        **other,
    }
    return Request.of(Kind.ADOPT, "acme", **told)


def test_an_adoption_names_namespace_and_release_and_they_count() -> None:
    assert adopting().home == ("shop", "web")
    assert Request.model_validate_json(adopting().model_dump_json()) == adopting()
    digests = {adopting(**other).digest for other in ({}, {"namespace": "other"}, {"release": "other"})}
    assert len(digests) == 3


def test_an_adopted_release_has_the_instances_name_if_not_otherwise_told() -> None:
    told = Request.of(Kind.ADOPT, "Acme", request_id="r1", tenant="t1", plan="starter", namespace="shop")
    assert told.home == ("shop", "acme")


@pytest.mark.parametrize(
    ("missing", "said"),
    [("tenant", "tenant: None is missing"), ("plan", "plan: None is missing"), ("namespace", "is not a namespace's")],
)
def test_an_adoption_names_what_is_missing(missing: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        adopting(**{missing: None})


def test_workers_of_before_adoptions_read_every_other_request() -> None:
    told = json.loads(ask().model_dump_json())
    assert set(told) == {"kind", "instance", "request_id", "tenant", "plan", "asked_by"}
    assert ask().home == ("inn-acme", "acme")


def test_what_was_confirmed_is_an_adoptions_alone_and_no_part_of_its_digest() -> None:
    told = {"request_id": "r1", "tenant": "t1", "plan": "starter", "confirmed": "d1"}
    adopt = Request.of(Kind.ADOPT, "acme", namespace="shop", **told)
    assert (adopt.confirmed, adopt.digest) == ("d1", adopt.model_copy(update={"confirmed": None}).digest)
    assert "confirmed" not in Request.of(Kind.PROVISION, "acme", **told).model_dump()
