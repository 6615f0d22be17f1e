"""When a plan wants an instance stopped."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from innkeeper.model import catalog, names
from innkeeper.model.errors import BadInput
from innkeeper.model.expiry import stop_of
from innkeeper.model.instance import Kind
from innkeeper.model.usage_ports import Running

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def plan(**told: str) -> catalog.Plan:
    return catalog.parse({"plans": {"trial": {"chart": {"path": "room"}, **told}}}, folder="").plans["trial"]


def running(*, first: timedelta, since: timedelta | None = None, active: timedelta | None = None) -> Running:
    """An instance by how long ago things were."""
    return Running(
        instance="acme",
        tenant="t1",
        plan="trial",
        generation=7,
        now=NOW,
        first_ran=NOW - first,
        runs_since=NOW - (first if since is None else since),
        active_at=None if active is None else NOW - active,
    )


@pytest.mark.parametrize(
    ("written", "length"),
    [("90s", timedelta(seconds=90)), ("30m", timedelta(minutes=30)), ("2h", timedelta(hours=2)), ("14d", 14 * DAY)],
)
def test_a_duration_is_a_number_with_its_unit(written: str, length: timedelta) -> None:
    assert plan(stop_after=written).stop_after == length
    assert plan(idle_stop_after=written).idle_stop_after == length


@pytest.mark.parametrize("written", ["", "0d", "14", "2 h", "1w", "-1d", "1.5h", "1234567s", "d"])
def test_what_is_no_duration_is_refused(written: str) -> None:
    with pytest.raises(BadInput, match=r"plans.trial.stop_after: '.*' is wrong: it is no duration such as"):
        plan(stop_after=written)


def test_a_plan_that_says_nothing_stops_nothing() -> None:
    assert stop_of(running(first=999 * DAY), plan()) is None


def test_a_trial_is_stopped_when_it_first_ran_so_long_ago_however_often_it_was_started() -> None:
    trial = plan(stop_after="14d")
    assert stop_of(running(first=14 * DAY - timedelta(microseconds=1)), trial) is None
    stop = stop_of(running(first=14 * DAY, since=timedelta(), active=timedelta()), trial)
    assert stop is not None
    assert (stop.kind, stop.instance, stop.tenant, stop.request_id) == (Kind.STOP, "acme", "t1", "expiry-acme-7")
    assert stop.asked_by == ("trial: first ran at 2026-03-01 12:00:00 UTC, and plan trial stops after 14 days, 0:00:00")


@pytest.mark.parametrize(
    ("idle", "told"),
    [
        (running(first=99 * DAY, since=timedelta(hours=2)), "2026-03-15 10:00:00"),
        (running(first=99 * DAY, active=timedelta(hours=3)), "2026-03-15 09:00:00"),
        (running(first=99 * DAY, since=timedelta(hours=2), active=timedelta(hours=3)), "2026-03-15 10:00:00"),
    ],
)
def test_an_instance_is_idle_when_it_runs_and_nothing_is_reported(idle: Running, told: str) -> None:
    stop = stop_of(idle, plan(idle_stop_after="2h"))
    assert stop is not None
    assert stop.asked_by == f"idle: nothing since {told} UTC, and plan trial stops after 2:00:00"


@pytest.mark.parametrize(
    "busy",
    [
        running(first=99 * DAY, since=timedelta(minutes=119)),
        running(first=99 * DAY, active=timedelta(minutes=119)),
        running(first=99 * DAY, active=-timedelta(hours=1)),
    ],
)
def test_an_instance_that_was_just_started_or_used_is_not_idle(busy: Running) -> None:
    assert stop_of(busy, plan(idle_stop_after="2h")) is None


def test_the_ids_of_such_stops_are_nobody_elses() -> None:
    with pytest.raises(BadInput, match="'expiry-acme-7' is the metering's"):
        names.check_new_request_id("expiry-acme-7")
