"""What a freeze holds, and what is said of it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from drift_facts import row

from innkeeper.model.freezes import Freeze, Scope, on, refusal

AT = datetime(2026, 3, 1, 9, 5, tzinfo=UTC)


def freeze(scope: Scope = Scope.INSTANCE, name: str = "acme", **more: object) -> Freeze:
    return Freeze.model_validate({"scope": scope, "name": name, "frozen_at": AT, **more})


def test_a_freeze_holds_the_instance_its_plans_or_its_clusters() -> None:
    mine = [freeze(), freeze(Scope.PLAN, "starter"), freeze(Scope.CLUSTER, "default")]
    others = [freeze(name="other"), freeze(Scope.PLAN, "acme"), freeze(Scope.CLUSTER, "acme"), freeze(name="starter")]
    assert on([*others, *mine], row()) == mine
    assert on([], row()) == []


@pytest.mark.parametrize(
    ("scope", "name", "thaw"),
    [
        (Scope.INSTANCE, "acme", "innkeeper unfreeze acme"),
        (Scope.PLAN, "starter", "innkeeper unfreeze --plan starter"),
        (Scope.CLUSTER, "default", "innkeeper unfreeze --cluster"),
    ],
)
def test_a_freeze_names_the_command_that_ends_it(scope: Scope, name: str, thaw: str) -> None:
    assert freeze(scope, name).thaw == thaw


def test_a_freeze_says_since_when_by_whom_and_why() -> None:
    assert str(freeze()) == ("instance acme is frozen since 2026-03-01 09:05 UTC, no repair is asked for by itself")
    whole = freeze(Scope.CLUSTER, "default", everything=True, operator="ann", note="etcd moves")
    assert str(whole) == (
        "cluster default is frozen since 2026-03-01 09:05 UTC by ann, no operation begins: etcd moves"
    )


def test_a_refusal_says_what_ends_it() -> None:
    refused = refusal(freeze(everything=True), "acme")
    assert (refused.cause.code, refused.cause.fix) == ("Freeze", "innkeeper unfreeze acme")
    assert refused.cause.message.startswith("name: 'acme' cannot be changed now: instance acme is frozen since")
