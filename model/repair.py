"""Where a repair is to bring an instance: what the lost operation was asked for, else what the row says it is."""

from __future__ import annotations

from .instance import Status

_GOALS = {
    Status.PROVISIONING: Status.RUNNING,
    Status.ADOPTING: Status.RUNNING,
    Status.STARTING: Status.RUNNING,
    Status.RESTARTING: Status.RUNNING,
    Status.RUNNING: Status.RUNNING,
    Status.ERROR: Status.RUNNING,
    Status.STOPPING: Status.STOPPED,
    Status.STOPPED: Status.STOPPED,
    Status.UNINSTALLING: Status.UNINSTALLED,
    Status.UNINSTALLED: Status.UNINSTALLED,
    Status.PURGING: Status.PURGED,
    Status.PURGED: Status.PURGED,
}


def goal(found: Status | None, former: Status | None) -> Status:
    """The settled status that a repair works towards.

    Args:
        found: the row's status when the repair claimed it; a transitional one names what was lost.
        former: the last settled status before that, which says whether a lost upgrade was one of a stopped instance.
    """
    if found in (None, Status.UPGRADING, Status.REPAIRING):
        return Status.STOPPED if former is Status.STOPPED else Status.RUNNING
    return _GOALS[found]


def changes_release(found: Status | None) -> bool:
    """Whether what was lost was about the release itself, so that the release must be brought to its plan.

    Elsewhere a release that is there is left as it is: a repair is no upgrade that nobody asked for.
    """
    return found in (None, Status.PROVISIONING, Status.UPGRADING, Status.REPAIRING, Status.ERROR)
