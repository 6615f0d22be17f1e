"""What is wanted of a release: the plan's values filled for one instance, under a mark that changes with the wish."""

from __future__ import annotations

from typing import Any

import pytest
from works import work

from innkeeper.model.catalog import ChartRef, Plan, mark_of
from innkeeper.model.wishes import nested, url_of, wanted_release

VALUES = {
    "name": "${instance.name}",
    "tenant": "${instance.tenant}",
    "namespace": "${instance.namespace}",
    "release": "${instance.release}",
    "plan": "${instance.plan}",
    "at": "${instance.url}",
    "secret": "${secret.credentials}",
}


def plan(**told: Any) -> Plan:
    usual = {
        "chart": {"path": "room"},
        "values": VALUES,
        "secrets": [{"name": "credentials", "generate": {"password": 24}}],
        "url": "https://${instance.name}.rooms.example/${instance.tenant}",
    }
    return Plan.model_validate({**usual, **told})


def mark(name: str = "acme", *, digest: str = "d1", secret_values: dict[str, Any] | None = None, **told: Any) -> str:
    return wanted_release(work(name), plan(**told), chart_digest=digest, secret_values=secret_values or {}).mark


def test_an_instance_answers_where_its_plan_says() -> None:
    assert url_of(work(), plan()) == "https://acme.rooms.example/t1"
    assert url_of(work(), plan(url=None)) is None


def test_a_release_is_the_plan_filled_for_its_instance() -> None:
    wanted = wanted_release(work(), plan(), chart_digest="d1", secret_values={"auth": {"password": "x"}})
    assert (wanted.name, wanted.namespace, wanted.chart) == ("acme", "inn-acme", ChartRef(path="room"))
    assert wanted.values == {
        "name": "acme",
        "tenant": "t1",
        "namespace": "inn-acme",
        "release": "acme",
        "plan": "starter",
        "at": "https://acme.rooms.example/t1",
        "secret": "credentials",
    }
    assert wanted.secret_values == {"auth": {"password": "x"}}
    assert wanted.keep_volumes is False


def test_where_no_address_is_planned_the_chart_gets_an_empty_one() -> None:
    wanted = wanted_release(work(), plan(url=None), chart_digest="d1", secret_values={})
    assert wanted.values["at"] == ""


def test_the_same_wish_has_the_same_mark() -> None:
    assert mark() == mark() != ""


@pytest.mark.parametrize("told", [{"digest": "d2"}, {"values": {}}, {"name": "globex"}, {"url": "https://elsewhere"}])
def test_another_chart_or_other_values_are_another_wish(told: dict[str, Any]) -> None:
    assert mark(**told) != mark()


def test_what_is_secret_has_no_part_in_the_mark() -> None:
    assert mark(secret_values={"auth": {"password": "x"}}) == mark()


PASSWORD = {"value": "auth.password", "secret": "credentials", "key": "password"}


def mark_from(*sources: dict[str, str]) -> str:
    """Of a chart that is given these of the plan's secrets as values."""
    wanted = plan(secret_values=sources, secrets=[{"name": "credentials", "generate": {"password": 24, "seed": 24}}])
    return wanted_release(work(), wanted, chart_digest="d1", secret_values={}).mark


def test_where_a_secret_comes_from_and_where_it_goes_have() -> None:
    marks = {
        mark(),
        mark_from(PASSWORD),
        mark_from({**PASSWORD, "value": "auth.pass"}),
        mark_from({**PASSWORD, "key": "seed"}),
        mark_from(PASSWORD, {**PASSWORD, "value": "auth.again"}),
    }
    assert len(marks) == 5


def test_a_plan_that_gives_no_secret_as_a_value_has_the_mark_of_its_chart_and_values_alone() -> None:
    wanted = wanted_release(work(), plan(), chart_digest="d1", secret_values={})
    assert mark_from() == mark() == mark_of("d1", wanted.values)


def test_values_are_put_where_their_paths_lead() -> None:
    assert nested([]) == {}
    given = [("note", "n"), ("auth.admin.password", "p"), ("auth.user", "u"), ("auth.admin.name", "a")]
    assert nested(given) == {"note": "n", "auth": {"admin": {"password": "p", "name": "a"}, "user": "u"}}
