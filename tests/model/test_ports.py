"""What ports carry: references as people read them, and secret values that come last."""

from __future__ import annotations

from typing import Any

import pytest

from innkeeper.model.catalog import ChartRef
from innkeeper.model.ports import Ref, Release


@pytest.mark.parametrize(
    ("ref", "told"),
    [
        (Ref("v1", "Pod", "web-0", "inn-acme"), "Pod inn-acme/web-0"),
        (Ref("v1", "Namespace", "inn-acme"), "Namespace inn-acme"),
    ],
)
def test_a_reference_reads_as_kind_namespace_and_name(ref: Ref, told: str) -> None:
    assert str(ref) == told


def test_an_object_is_referred_to_as_it_was_rendered() -> None:
    pod: dict[str, Any] = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}
    assert Ref.to(pod) == Ref("v1", "Pod", "p", None)
    pod["metadata"]["namespace"] = "n"
    assert Ref.to(pod) == Ref("v1", "Pod", "p", "n")


def release(values: dict[str, Any], secret_values: dict[str, Any]) -> Release:
    return Release(
        name="acme",
        namespace="inn-acme",
        chart=ChartRef(path="room"),
        values=values,
        secret_values=secret_values,
        mark="m",
    )


@pytest.mark.parametrize(
    ("values", "secret_values", "merged"),
    [
        ({}, {}, {}),
        ({"a": 1}, {}, {"a": 1}),
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": 1}, {"a": 2}, {"a": 2}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}, {"a": {"b": 3, "c": 2}}),
        ({"a": {"b": {"c": 1, "d": 2}}}, {"a": {"b": {"c": 3}}}, {"a": {"b": {"c": 3, "d": 2}}}),
        ({"a": 1}, {"a": {"b": 3}}, {"a": {"b": 3}}),
        ({"a": {"b": 1}}, {"a": 3}, {"a": 3}),
    ],
)
def test_secret_values_are_laid_over_the_others_at_any_depth(
    values: dict[str, Any], secret_values: dict[str, Any], merged: dict[str, Any]
) -> None:
    found = release(values, secret_values)
    assert found.all_values == merged
    assert (found.values, found.secret_values) == (values, secret_values)


def test_secret_values_are_not_shown_where_a_release_is_printed() -> None:
    assert "hunter2" not in repr(release({}, {"password": "hunter2"}))
