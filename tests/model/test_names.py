"""Names: what people write becomes one name or one clear refusal."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from innkeeper.model import names
from innkeeper.model.errors import BadInput


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
    cause = refused.value.cause
    assert cause.message.startswith(f"name: {written!r}")
    assert "letters" in cause.fix


def test_a_name_that_is_too_long_says_how_long_it_is() -> None:
    with pytest.raises(BadInput, match="has 41 characters"):
        names.normalise("a" * 41)
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
    with pytest.raises(BadInput, match="tenant"):
        names.check_tenant(tenant)


@pytest.mark.parametrize("request_id", ["", "a b", "a\n", "é", "x" * 201, "it's", 'say"', "a\\b"])
def test_a_request_id_that_cannot_be_printed_is_refused(request_id: str) -> None:
    with pytest.raises(BadInput, match="request_id"):
        names.check_request_id(request_id)
