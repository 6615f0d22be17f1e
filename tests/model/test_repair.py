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


@pytest.mark.parametrize(
    ("found", "changes"),
    [
        (None, True),
        (Status.PROVISIONING, True),
        (Status.UPGRADING, True),
        (Status.REPAIRING, True),
        (Status.ERROR, True),
        (Status.RUNNING, False),
        (Status.STARTING, False),
        (Status.RESTARTING, False),
        (Status.STOPPED, False),
    ],
)
def test_a_repair_upgrades_only_where_what_was_lost_was_about_the_release(found: Status | None, changes: bool) -> None:
    assert changes_release(found) is changes
