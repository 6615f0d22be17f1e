"""Names: what people write becomes one name or one clear refusal."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from innkeeper.model import names
from innkeeper.model.errors import BadInput, Cause
from innkeeper.model.instance import Kind
from innkeeper.model.messages import Request


@pytest.mark.parametrize(
    ("written", "name"),
    [("acme", "acme"), ("  Acme ", "acme"), ("Acme Corp", "acme-corp"), ("a_b", "a-b"), ("x9", "x9")],
)
def test_a_persons_spelling_becomes_a_dns_label(written: str, name: str) -> None:
    assert names.normalise(written) == name


@pytest.mark.parametrize("written", ["", "-a", "a-", "9lives", "ünit", "a.b", "a/b", "a\x00b"])
def test_what_is_no_label_is_refused_with_field_value_and_fix(written: str) -> None:
    with pytest.raises(BadInput) as refused:
        names.normalise(written)
    assert refused.value.cause == Cause(
        code="BadInput",
        message=f"name: {written!r} is not a DNS label.",
        fix="use letters, digits and hyphens; start with a letter and end with a letter or digit",
    )


def test_a_name_that_is_too_long_says_how_long_it_is() -> None:
    with pytest.raises(BadInput) as refused:
        names.normalise("a" * 41)
    assert refused.value.cause == Cause(
        code="BadInput", message=f"name: '{'a' * 41}' has 41 characters.", fix="use 40 characters at the most"
    )
    assert names.normalise("a" * 40) == "a" * 40


@given(st.text(max_size=60))
def test_every_name_that_passes_fits_kubernetes_and_helm(written: str) -> None:
    try:
        name = names.normalise(written)
    except BadInput:
        return
    assert names.normalise(name) == name
    assert len(names.release_of(name)) <= 53
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", names.namespace_of(name))


@given(st.text(max_size=50), st.text(max_size=50))
def test_two_names_share_a_namespace_only_if_they_are_one(first: str, second: str) -> None:
    try:
        one, other = names.normalise(first), names.normalise(second)
    except BadInput:
        return
    assert (names.namespace_of(one) == names.namespace_of(other)) == (one == other)
    assert (names.workflow_id_of(one) == names.workflow_id_of(other)) == (one == other)


@pytest.mark.parametrize("tenant", ["t1", "Acme.Inc", "0b6e1f5e-8a0f-4a86-9a7e-000000000001", "a" * 63])
def test_a_tenant_that_can_be_a_label_passes(tenant: str) -> None:
    assert names.check_tenant(tenant) == tenant


@pytest.mark.parametrize("tenant", ["", "-t", "t-", "a b", "a" * 64, "ä"])
def test_a_tenant_that_cannot_be_a_label_is_refused(tenant: str) -> None:
    with pytest.raises(BadInput) as refused:
        names.check_tenant(tenant)
    assert refused.value.cause == Cause(
        code="BadInput",
        message=f"tenant: {tenant!r} is not a tenant id.",
        fix="use 1 to 63 letters, digits, '-', '_' or '.', with a letter or digit at both ends (a UUID fits)",
    )


@pytest.mark.parametrize("request_id", ["", "a b", "a\n", "é", "x" * 201, "it's", 'say"', "a\\b"])
def test_a_request_id_that_cannot_be_printed_is_refused(request_id: str) -> None:
    with pytest.raises(BadInput) as refused:
        names.check_request_id(request_id)
    shown = repr(request_id) if len(request_id) <= 198 else f"'{'x' * 196}..."
    assert refused.value.cause == Cause(
        code="BadInput",
        message=f"request_id: {shown} is not a request id.",
        fix="use 1 to 200 printable ASCII characters, without spaces, quotes or backslashes",
    )


@pytest.mark.parametrize("request_id", ["r", "order-42", "a/b:c#d~", "x" * 200])
def test_a_request_id_that_can_be_printed_passes(request_id: str) -> None:
    assert names.check_request_id(request_id) == request_id


def test_every_name_of_an_instance_is_told_by_its_own() -> None:
    assert names.namespace_of("acme") == "inn-acme"
    assert names.release_of("acme") == "acme"
    assert names.workflow_id_of("acme") == "instance/acme"
    assert names.handover_id_of("order-42") == "handover/order-42"


def test_a_sweeps_request_ids_are_nobody_elses() -> None:
    with pytest.raises(BadInput) as refused:
        names.check_new_request_id("sweep-acme-4")
    assert refused.value.cause == Cause(
        code="BadInput",
        message="request_id: 'sweep-acme-4' is the sweep's.",
        fix="use one that does not begin with 'sweep-'",
    )
    assert names.check_new_request_id("sweeping") == "sweeping"
    with pytest.raises(BadInput, match="is not a request id"):
        names.check_new_request_id("a b")
    with pytest.raises(BadInput, match="is the sweep's"):
        Request.of(Kind.REPAIR, "acme", request_id="sweep-acme-4")
    assert names.check_request_id("sweep-acme-4") == "sweep-acme-4", "it can be asked after"


@pytest.mark.parametrize("name", ["a", "shop", "1-2", "a" * 63, "defaults", "kube"])
def test_a_namespace_that_an_instance_can_have_passes(name: str) -> None:
    assert names.check_namespace(name) == name


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a.b", "a" * 64, "a b"])
def test_what_is_no_namespaces_name_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="is not a namespace's name") as told:
        names.check_namespace(name)
    assert told.value.cause.fix == "use the name as kubectl shows it"


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-public"])
def test_the_clusters_own_namespaces_are_refused(name: str) -> None:
    with pytest.raises(BadInput, match="is the cluster's own, and an instance is stopped and purged with its") as told:
        names.check_namespace(name)
    assert told.value.cause.fix == "install the release in a namespace of its own"


@pytest.mark.parametrize("name", ["a", "web", "web.v1", "1-a.b-2", "a" * 53])
def test_a_releases_name_passes(name: str) -> None:
    assert names.check_release(name) == name


@pytest.mark.parametrize("name", ["", "Web", "-a", "a-", "a..b", ".a", "a" * 54])
def test_what_is_no_releases_name_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="is not a release's name") as told:
        names.check_release(name)
    assert told.value.cause.fix == "use the name as `helm list` shows it"


def test_drifts_request_ids_are_nobody_elses() -> None:
    with pytest.raises(BadInput, match="is kept for drift") as refused:
        names.check_new_request_id("drift-acme-17")
    assert refused.value.cause.fix == "use one that does not begin with 'drift-'"
    assert names.check_new_request_id("drifting") == "drifting"


def test_a_look_for_drift_is_one_of_an_instance_or_of_all() -> None:
    assert (names.reconcile_id_of("acme"), names.reconcile_id_of(None)) == ("reconcile/acme", "reconcile/*")
