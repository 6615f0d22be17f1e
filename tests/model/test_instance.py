"""The table of legal transitions, row by row: what may start from where, and what the row says meanwhile and after."""

from __future__ import annotations

import pytest

from innkeeper.model.instance import TRANSITIONS, Kind, Status

SETTLED = {Status.RUNNING, Status.STOPPED, Status.UNINSTALLED, Status.PURGED, Status.ERROR}
LIVE = {Status.RUNNING, Status.STOPPED, Status.ERROR}


@pytest.mark.parametrize("status", list(Status))
def test_a_status_is_settled_or_an_operation_is_under_way(status: Status) -> None:
    assert status.settled is (status in SETTLED)
    assert (status in {transition.during for transition in TRANSITIONS.values()}) is not status.settled


@pytest.mark.parametrize(
    ("kind", "allowed_from", "during", "after"),
    [
        (Kind.PROVISION, SETTLED - {Status.RUNNING, Status.STOPPED}, "provisioning", "running"),
        (Kind.ADOPT, SETTLED - {Status.RUNNING, Status.STOPPED}, "adopting", "running"),
        (Kind.STOP, LIVE, "stopping", "stopped"),
        (Kind.START, LIVE, "starting", "running"),
        (Kind.RESTART, LIVE, "restarting", "running"),
        (Kind.UPGRADE, LIVE, "upgrading", "running"),
        (Kind.REPAIR, SETTLED, "repairing", "running"),
        (Kind.UNINSTALL, LIVE | {Status.UNINSTALLED}, "uninstalling", "uninstalled"),
        (Kind.PURGE, SETTLED - {Status.RUNNING, Status.STOPPED}, "purging", "purged"),
    ],
)
def test_each_operation_has_its_row_in_the_table(
    kind: Kind, allowed_from: set[Status], during: str, after: str
) -> None:
    transition = TRANSITIONS[kind]
    assert transition.allowed_from == allowed_from
    assert (transition.during, transition.after) == (during, after)
    assert transition.creates is (kind in (Kind.PROVISION, Kind.ADOPT))


def test_temporal_knows_an_operation_by_its_kinds_name() -> None:
    assert [kind.workflow_type for kind in Kind] == [
        "Provision",
        "Adopt",
        "Stop",
        "Start",
        "Restart",
        "Upgrade",
        "Repair",
        "Uninstall",
        "Purge",
    ]
