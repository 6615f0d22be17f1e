"""A repair finishes what was lost, and else brings the instance to what its row says."""

from __future__ import annotations

import pytest

from innkeeper.model.instance import TRANSITIONS, Kind, Status
from innkeeper.model.repair import changes_release, goal


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind not in (Kind.UPGRADE, Kind.REPAIR)])
def test_a_lost_operation_is_finished(kind: Kind) -> None:
    assert goal(TRANSITIONS[kind].during, Status.RUNNING) is TRANSITIONS[kind].after


@pytest.mark.parametrize("status", [status for status in Status if status.settled and status is not Status.ERROR])
def test_a_settled_status_is_held(status: Status) -> None:
    assert goal(status, status) is status


def test_an_instance_in_error_is_brought_up() -> None:
    assert goal(Status.ERROR, Status.ERROR) is Status.RUNNING


@pytest.mark.parametrize("found", [Status.UPGRADING, Status.REPAIRING, None])
def test_a_lost_upgrade_of_a_stopped_instance_leaves_it_stopped(found: Status | None) -> None:
    assert goal(found, Status.STOPPED) is Status.STOPPED
    assert goal(found, Status.RUNNING) is Status.RUNNING


@pytest.mark.parametrize("found", [Status.PROVISIONING, Status.UPGRADING, Status.REPAIRING, Status.ERROR, None])
def test_what_was_about_the_release_brings_it_to_its_plan(found: Status | None) -> None:
    assert changes_release(found)


@pytest.mark.parametrize("found", [Status.RUNNING, Status.STARTING, Status.RESTARTING])
def test_no_other_repair_is_an_upgrade_that_nobody_asked_for(found: Status) -> None:
    assert not changes_release(found)
