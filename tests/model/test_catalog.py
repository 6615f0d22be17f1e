"""A catalog is accepted only if every plan in it can work, and a mistake is named by its path, value and fix."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from innkeeper.model import catalog, manifests
from innkeeper.model.catalog import Catalog, ChartRef, Copied, Deadlines, Generated, Plan, fill, mark_of
from innkeeper.model.errors import BadInput

CATALOG = Path(__file__).parents[2] / "catalog.yaml"
FACTS = {key: f"<{key}>" for key in ("name", "tenant", "namespace", "release", "plan", "url")}
MADE = [{"name": "made", "generate": {"password": 24}}]
UNPINNED = "version is missing: an unpinned chart would change under running instances"


def read(**plan: Any) -> Plan:
    document = {"plans": {"p": {"chart": {"path": "chart"}, **plan}}}
    return catalog.parse(document, folder="/srv").plan("p")


def refusal(**plan: Any) -> str:
    with pytest.raises(BadInput) as refused:
        read(**plan)
    return str(refused.value)


def shipped() -> Catalog:
    return catalog.parse(manifests.read_yaml(CATALOG.read_text()), folder="/srv")


def test_the_catalog_that_is_shipped_sells_two_plans_of_different_sizes() -> None:
    plans = shipped().plans
    assert set(plans) == {"starter", "team"}
    assert plans["starter"].quota != plans["team"].quota
    assert plans["starter"].values["web"]["replicas"] < plans["team"].values["web"]["replicas"]


@pytest.mark.parametrize("name", ["starter", "team"])
def test_a_shipped_plan_is_restricted_and_limited_and_makes_its_own_secret(name: str) -> None:
    plan = shipped().plan(name)
    assert plan.pod_security == "restricted"
    assert plan.quota["pods"]
    assert set(plan.container_defaults) == {"default", "defaultRequest"}
    assert [type(secret) for secret in plan.secrets] == [Generated]
    assert plan.url == "https://${instance.name}.rooms.example"


def test_a_plan_needs_nothing_but_a_chart() -> None:
    plan = read()
    assert plan.chart == ChartRef(path="/srv/chart")
    assert (plan.pod_security, plan.network, plan.quota, plan.url) == ("baseline", "isolated", {}, None)


@pytest.mark.parametrize(
    ("path", "anchored"), [("chart", "/srv/chart"), ("../chart", "/srv/../chart"), ("/abs/chart", "/abs/chart")]
)
def test_a_relative_chart_counts_from_the_catalogs_folder(path: str, anchored: str) -> None:
    assert read(chart={"path": path}).chart.path == anchored


@pytest.mark.parametrize(
    ("chart", "label"),
    [
        ({"path": "/charts/room"}, "/charts/room"),
        ({"oci": "oci://host/chart", "version": "1.2.0"}, "oci://host/chart 1.2.0"),
        ({"repository": "https://host/", "name": "chart", "version": "1.2.0"}, "https://host/ chart 1.2.0"),
    ],
)
def test_a_chart_is_known_by_where_it_comes_from(chart: dict[str, str], label: str) -> None:
    assert read(chart=chart).chart.label == label


@pytest.mark.parametrize(
    ("chart", "said"),
    [
        ({}, "give exactly one of path, oci, repository (found: none)"),
        ({"path": ""}, "give exactly one of path, oci, repository (found: none)"),
        ({"path": "a", "oci": "oci://a"}, "give exactly one of path, oci, repository (found: path, oci)"),
        ({"oci": "https://a", "version": "1"}, "oci must start with oci://"),
        ({"oci": "oci://a"}, UNPINNED),
        ({"repository": "https://a", "name": "b"}, UNPINNED),
        ({"repository": "https://a", "version": "1"}, "name goes with repository, and repository needs name"),
        ({"path": "a", "name": "b"}, "name goes with repository, and repository needs name"),
    ],
)
def test_a_chart_has_exactly_one_pinned_source(chart: dict[str, str], said: str) -> None:
    assert refusal(chart=chart) == (
        f"catalog.yaml: plans.p.chart: {chart!r} is wrong: {said}. Fix: correct it in the catalog"
    )


def test_a_chart_has_no_key_that_nobody_knows() -> None:
    assert refusal(chart={"path": "a", "branch": "b"}).startswith("catalog.yaml: plans.p.chart.branch: 'b' is wrong: ")


@pytest.mark.parametrize(
    "chart",
    [
        {"repository": "https://user:s3cr3t@charts.example", "name": "room", "version": "1"},
        {"repository": "https://s3cr3t@charts.example/a", "name": "room", "version": "1"},
        {"repository": "https://user:s3cr3t@charts.example"},
        {"oci": "oci://user:s3cr3t@registry.example/room", "version": "1"},
    ],
)
def test_a_password_in_a_charts_address_is_refused_and_not_repeated(chart: dict[str, str]) -> None:
    said = refusal(chart=chart)
    assert "plans.p.chart: '(not shown: it holds a password)' is wrong: its address holds a user or a password" in said
    assert "s3cr3t" not in said


@pytest.mark.parametrize("host", ["charts.example", "charts.example:8443/a@b"])
def test_an_address_without_a_password_may_hold_any_path(host: str) -> None:
    chart = {"repository": f"https://{host}", "name": "room", "version": "1"}
    plan = catalog.parse({"plans": {"p": {"chart": chart}}}, folder="").plan("p")
    assert plan.chart.repository == f"https://{host}"


@pytest.mark.parametrize(
    ("document", "path"),
    [
        (None, "(top level)"),
        ([], "(top level)"),
        ({}, "plans"),
        ({"plans": {}}, "plans"),
        ({"plans": None}, "plans"),
        ({"plans": {"p": None}}, "plans.p"),
        ({"plans": {"p": {}}}, "plans.p.chart"),
        ({"plans": {"Big": {"chart": {"path": "a"}}}}, "plans.Big"),
        ({"plans": {1: {"chart": {"path": "a"}}}}, "plans.1"),
        ({"plans": {"p": {"chart": {"path": "a"}, "valeus": {}}}}, "plans.p.valeus"),
        ({"plans": {"p": {"chart": {"path": "a"}, "deadlines": {"ready": 0}}}}, "plans.p.deadlines.ready"),
        ({"plans": {"p": {"chart": {"path": "a"}, "deadlines": {"ready": float("nan")}}}}, "plans.p.deadlines.ready"),
        ({"plans": {"p": {"chart": {"path": "a"}, "deadlines": {"ready": float("inf")}}}}, "plans.p.deadlines.ready"),
        ({"plans": {"p": {"chart": {"path": "a"}, "pod_security": "none"}}}, "plans.p.pod_security"),
        ({"plans": {"p": {"chart": {"path": "a"}, "quota": {"pods": "many"}}}}, "plans.p.quota.pods"),
        ({"plans": {"p": {"chart": {"path": "a"}, "quota": {"pods": -1}}}}, "plans.p.quota.pods"),
        ({"plans": {"p": {"chart": {"path": "a"}, "quota": {"pods": True}}}}, "plans.p.quota.pods"),
        ({"plans": {"p": {"chart": {"path": "a"}, "container_defaults": {"x": {}}}}}, "plans.p.container_defaults.x"),
        ({"plans": {"p": {"chart": {"path": "a"}, "secrets": [{"name": "s"}]}}}, "plans.p.secrets.0.generate"),
        ({"plans": {"p": {"chart": {"path": "a"}, "secrets": [{"copy": "s"}]}}}, "plans.p.secrets.0.name"),
    ],
)
def test_a_mistake_is_named_by_its_path(document: object, path: str) -> None:
    with pytest.raises(BadInput) as refused:
        catalog.parse(document, folder="/srv", source="/etc/catalog.yaml")
    assert str(refused.value).startswith(f"/etc/catalog.yaml: {path}: ")
    assert refused.value.cause.fix


def test_of_many_mistakes_the_first_is_named_and_the_others_are_counted() -> None:
    assert "or 10 (2 more to mend)." in refusal(quota={"pods": "x", "cpu": "y"}, network="none")
    assert "or 10 (1 more to mend)." in refusal(quota={"pods": "x", "cpu": "y"})
    assert "or 10." in refusal(quota={"pods": "x"})


def test_an_unknown_plan_is_answered_with_those_there_are() -> None:
    with pytest.raises(BadInput) as refused:
        shipped().plan("enterprise")
    assert str(refused.value) == "plan: 'enterprise' is not in the catalog. Fix: use one of: starter, team"


@pytest.mark.parametrize("good", ["10", 10, "500m", "1.5", 1.5, "1Gi", "0"])
def test_a_quantity_may_be_written_as_text_or_number(good: object) -> None:
    assert read(quota={"pods": good}).quota == {"pods": str(good)}


@pytest.mark.parametrize(
    "placeholder", ["instance", "instance.", "instance.nam", "secret", "secret.", "env.HOME", "", " "]
)
def test_an_unknown_placeholder_is_refused_wherever_it_stands(placeholder: str) -> None:
    said = refusal(values={"a": [{"b": f"x-${{{placeholder}}}"}]})
    assert (
        f"is wrong: unknown placeholder ${{{placeholder}}}; known are ${{instance.name}}, ${{instance.namespace}}, "
        "${instance.plan}, ${instance.release}, ${instance.tenant}, ${instance.url} and ${secret.NAME}." in said
    )


def test_a_placeholder_in_a_key_is_refused_since_it_would_not_be_replaced() -> None:
    assert "a.${instance.name} is a key with a placeholder" in refusal(values={"a": {"${instance.name}": 1}})


@pytest.mark.parametrize("placeholder", ["instance.url", "secret.made", "instance.nam"])
def test_a_url_can_be_made_of_the_instances_own_names_only(placeholder: str) -> None:
    said = refusal(url=f"https://${{{placeholder}}}", secrets=MADE)
    if placeholder == "instance.nam":
        assert "unknown placeholder ${instance.nam}" in said
    else:
        assert f"${{{placeholder}}} cannot be a part of the url; use ${{instance.name}} or another of its names" in said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"when": dt.date(2026, 1, 2)}, "when is a date (2026-01-02)"),
        ({"a": {"b": [float("nan")]}}, "a.b.0 is a float (nan)"),
        ({"a": {1: "x"}}, "a.1 is a key that is no text"),
        ({"a": b"bytes"}, "a is a bytes"),
        ({"a.": b"bytes"}, "a. is a bytes"),
    ],
)
def test_a_value_that_json_cannot_say_is_refused_by_its_path(value: dict[str, Any], said: str) -> None:
    assert f" is wrong: {said}" in refusal(values=value)


def test_a_secret_that_is_used_has_to_be_listed() -> None:
    assert "secret 'other' is used and not listed" in refusal(values={"a": "${secret.other}"}, secrets=MADE)
    assert "secret 'made.x' is used and not listed" in refusal(values={"a": "${secret.made.x}"}, secrets=MADE)
    assert "secret 'other' is used and not listed" in refusal(
        secret_values=[{"value": "a", "secret": "other", "key": "k"}], secrets=MADE
    )


def test_a_key_that_is_not_generated_cannot_be_a_value() -> None:
    said = refusal(secrets=MADE, secret_values=[{"value": "auth.password", "secret": "made", "key": "pasword"}])
    assert "secret 'made' has no key 'pasword'" in said


def test_a_copied_secrets_keys_are_not_known_beforehand() -> None:
    plan = read(
        secrets=[{"name": "pull", "copy": "registry"}],
        secret_values=[{"value": "auth.password", "secret": "pull", "key": "anything"}],
    )
    assert plan.secrets == [Copied(name="pull", copy_from="registry")]


@pytest.mark.parametrize(
    ("other", "both"),
    [
        ("auth", "auth and auth.password"),
        ("auth.password", "auth.password and auth.password"),
        ("auth.password.hash", "auth.password and auth.password.hash"),
    ],
)
def test_a_values_path_cannot_lead_through_another_or_be_given_twice(other: str, both: str) -> None:
    given = [
        {"value": path, "secret": "made", "key": "password"} for path in ("auth.password", "auth-mode", "zone", other)
    ]
    assert f"secret_values: {both} cannot both have a value." in refusal(secrets=MADE, secret_values=given)
    assert len(read(secrets=MADE, secret_values=given[:-1]).secret_values) == 3


@pytest.mark.parametrize("path", ["", ".", "a.", ".a", "a..b", "a b"])
def test_a_values_path_has_no_empty_part(path: str) -> None:
    said = refusal(secrets=MADE, secret_values=[{"value": path, "secret": "made", "key": "password"}])
    assert "plans.p.secret_values.0.value" in said


@pytest.mark.parametrize(
    "secrets",
    [
        [{"name": "Made", "generate": {"k": 8}}],
        [{"name": "made", "generate": {}}],
        [{"name": "made", "generate": {"k": 7}}],
        [{"name": "made", "generate": {"k": 257}}],
        [{"name": "made", "generate": {"a key": 8}}],
        [{"name": "made", "generate": {"k": 8}, "copy": "x"}],
        [{"name": "made", "copy": "X"}],
    ],
)
def test_a_secret_that_could_not_be_made_is_refused(secrets: list[dict[str, Any]]) -> None:
    assert "plans.p" in refusal(secrets=secrets)


def test_two_secrets_of_one_name_are_refused_however_they_are_made() -> None:
    said = refusal(secrets=[*MADE, {"name": "made", "copy": "x"}])
    assert " is wrong: secrets: two have the same name. Fix: " in said


def test_placeholders_are_filled_at_any_depth_and_nothing_else_is_changed() -> None:
    values = {
        "url": "${instance.url}",
        "deep": [{"names": "${instance.name}/${instance.tenant}", "count": 3, "on": True, "none": None}],
        "secret": "${secret.made}",
        "plain": "$instance.name {instance.name} ${",
    }
    assert fill(values, instance=FACTS, secrets={"made": "made-1"}) == {
        "url": "<url>",
        "deep": [{"names": "<name>/<tenant>", "count": 3, "on": True, "none": None}],
        "secret": "made-1",
        "plain": "$instance.name {instance.name} ${",
    }


def test_what_a_placeholder_brings_is_not_filled_again() -> None:
    assert fill({"a": "${instance.name}"}, instance={**FACTS, "name": "${instance.url}"}, secrets={}) == {
        "a": "${instance.url}"
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=8), JSON, max_size=4))
def test_values_that_are_accepted_can_always_be_filled(values: dict[str, Any]) -> None:
    try:
        plan = read(values=values)
    except BadInput:
        assert "${" in repr(values)
        return
    fill(plan.values, instance=FACTS, secrets={})


@given(JSON, JSON)
def test_marks_are_equal_exactly_where_wishes_are(one: object, other: object) -> None:
    assert (mark_of(one) == mark_of(other)) == (repr_of(one) == repr_of(other))


def repr_of(value: object) -> str:
    """Equality as JSON has it: the order of keys means nothing, and 1 is not 1.0 and not true."""
    if isinstance(value, dict):
        return f"{{{sorted((key, repr_of(item)) for key, item in value.items())}}}"
    return repr([repr_of(item) for item in value]) if isinstance(value, list) else repr(value)


@pytest.mark.parametrize("bad", ["many", "1 Gi", "Gi", "1.", "", True, -1, None])
def test_what_is_no_quantity_is_told_what_one_looks_like(bad: object) -> None:
    assert "is wrong: it is no quantity such as 500m, 1Gi or 10." in refusal(quota={"pods": bad})


def test_the_order_in_which_values_are_written_is_no_part_of_a_wish() -> None:
    assert mark_of({"a": 1, "b": {"c": 2, "d": 3}}) == mark_of({"b": {"d": 3, "c": 2}, "a": 1})


def test_a_mark_fits_a_label() -> None:
    assert len(mark_of("anything", {"at": 1})) == 40
    assert mark_of("a", "b") != mark_of("b", "a")


@pytest.mark.parametrize("step", ["prepare", "release", "ready", "gone"])
def test_an_undo_is_given_the_time_of_the_longest_step_and_not_that_of_a_decision(step: str) -> None:
    short = {"prepare": 1, "release": 1, "ready": 1, "gone": 1, "decision": 99}
    assert Deadlines.model_validate({**short, step: 7}).longest == 7
