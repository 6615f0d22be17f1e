"""Who may run Helm is one user of one binding, which nobody was before and nobody else can be."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from innkeeper.model import fence, marks, surroundings
from innkeeper.model.errors import Cause, NotOurs
from innkeeper.model.instance import Kind
from innkeeper.model.manifests import Manifest
from innkeeper.model.messages import Work
from innkeeper.model.ports import Ref

NAMESPACE = "inn-acme"
WORK = Work(
    request_id="r1",
    kind=Kind.PROVISION,
    instance="acme",
    tenant="t1",
    plan="starter",
    namespace=NAMESPACE,
    release="acme",
    generation=1,
)
FIRST = "innkeeper:inn-acme:1:0a"


def held_by(*names: str, **annotations: str) -> Manifest:
    binding = surroundings.release_binding(WORK)
    binding["metadata"]["annotations"] |= {
        f"{marks.PREFIX}{key.replace('_', '-')}": annotations[key] for key in annotations
    }
    return {**binding, "subjects": [fence.subject(name) for name in names]}


def test_a_new_binding_is_marked_and_held_by_nobody() -> None:
    binding = surroundings.release_binding(WORK)
    assert fence.holder_of(binding) is None
    assert marks.created_by(binding) == "r1"
    assert fence.binding_ref(NAMESPACE) == (
        "rbac.authorization.k8s.io/v1",
        "RoleBinding",
        "innkeeper-release",
        NAMESPACE,
    )
    fence.demand_ours(binding, "acme", "t1")


@given(st.text("0123456789abcdef", min_size=1), st.integers(1, 50))
def test_no_two_users_of_a_binding_are_the_same_and_each_reads_back(life: str, times: int) -> None:
    users = [fence.successor(NAMESPACE, None, life)]
    for _ in range(times):
        users.append(fence.successor(NAMESPACE, fence.holder_of(held_by(users[-1])), "f00"))
    assert users[0] == f"innkeeper:inn-acme:1:{life}"
    assert users[-1] == f"innkeeper:inn-acme:{times + 1}:{life}"
    assert len(set(users)) == times + 1


@pytest.mark.parametrize(
    "binding",
    [
        held_by(),
        held_by(FIRST, FIRST),
        held_by("somebody"),
        held_by("innkeeper:inn-other:1:0a"),
        held_by("innkeeper:inn-acme:0:0a"),
        {**held_by(), "subjects": None},
        {**held_by(), "subjects": [{"kind": "ServiceAccount", "name": FIRST}]},
        {**held_by(), "subjects": [{"kind": "User"}]},
    ],
)
def test_who_is_not_named_as_we_do_holds_nothing_and_a_new_life_begins(binding: Manifest) -> None:
    assert fence.holder_of(binding) is None
    assert fence.successor(NAMESPACE, fence.holder_of(binding), "0b") == "innkeeper:inn-acme:1:0b"


@pytest.mark.parametrize(
    "binding",
    [
        {**held_by(FIRST), "roleRef": {**fence.role_ref(), "name": "edit"}},
        {**held_by(FIRST), "roleRef": {**fence.role_ref(), "kind": "Role"}},
        {**held_by(FIRST), "metadata": {"name": "innkeeper-release", "namespace": NAMESPACE}},
    ],
)
def test_a_binding_of_somebody_else_is_named_by_a_code_of_its_own(binding: Manifest) -> None:
    with pytest.raises(NotOurs) as foreign:
        fence.demand_ours(binding, "acme", "t1")
    assert foreign.value.cause == Cause(
        code="FenceNotOurs",
        message="RoleBinding inn-acme/innkeeper-release is not this instance's, so nobody can be given the right to "
        "run Helm there",
        object="RoleBinding inn-acme/innkeeper-release",
        fix="remove it if it is not needed, then ask again; it was not touched",
    )


@pytest.mark.parametrize(
    ("noted", "until"),
    [
        ({}, None),
        ({"unfenced_until": "2026-03-01T12:00:00+00:00"}, datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ({"unfenced_until": "2026-03-01T12:00:00"}, datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ({"unfenced_until": "2026-03-01T12:00:00+02:00"}, datetime(2026, 3, 1, 10, tzinfo=UTC)),
        ({"unfenced_until": "soon"}, datetime.max.replace(tzinfo=UTC)),
    ],
)
def test_until_when_a_helm_may_be_at_work_that_no_binding_names(noted: dict[str, str], until: datetime | None) -> None:
    assert fence.unfenced_until(held_by(FIRST, **noted)) == until


def test_the_widest_role_is_everything() -> None:
    assert fence.widest_role() == {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "innkeeper-release", "labels": {"app.kubernetes.io/managed-by": "innkeeper"}},
        "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}],
    }
    assert fence.role_ref()["name"] == "innkeeper-release"


def test_a_user_is_named_as_rbac_wants_it() -> None:
    assert fence.subject(FIRST) == {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": FIRST}


def test_what_lies_outside_the_namespace_is_read_as_it_was_noted() -> None:
    refs = [Ref(fence.RBAC, "ClusterRole", "wide"), Ref("v1", "Namespace", "more")]
    binding = held_by(FIRST)
    assert fence.outside_of(binding) == []
    binding["metadata"]["annotations"] = {fence.OUTSIDE: fence.noted(refs)}
    assert fence.outside_of(binding) == refs


@pytest.mark.parametrize("text", ["", "soon", "7", '[["v1"]]', "[7]"])
def test_what_somebody_else_wrote_about_what_lies_outside_is_nothing(text: str) -> None:
    binding = held_by(FIRST)
    binding["metadata"]["annotations"] = {fence.OUTSIDE: text}
    assert fence.outside_of(binding) == []
