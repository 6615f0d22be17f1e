"""The operations that meet an outage: where each starts, in the middle of what it is met, and what it must leave."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from innkeeper.model.instance import Kind, Status

STARTER, BIGGER = "starter", "bigger"
WEB = {STARTER: 1, BIGGER: 3}
"""Replicas of the web server by plan: what tells one plan's release from the other's."""
TENANT = "t1"


class Did(NamedTuple):
    """An operation that was done before."""

    kind: Kind
    plan: str | None = None
    lost: bool = False
    """It was claimed, and then lost: no workflow is at it any more."""


class Operation(NamedTuple):
    """One operation that meets an outage."""

    start: tuple[Did, ...]
    kind: Kind
    middle: str
    """The write in its middle: the outage begins just before."""
    ends: Status
    plan: str | None = None
    runs: str = STARTER
    """The plan of the instance afterwards."""
    waits: bool = False
    """That plan waits for the next start."""


class Moment(StrEnum):
    """When an operation meets the outage."""

    BEGIN = "begin"
    """Just before it is claimed."""
    MIDDLE = "middle"
    """Just before the write that is its middle."""
    END = "end"
    """Just before its end is written."""


PROVISIONED = Did(Kind.PROVISION, STARTER)
STOPPED = Did(Kind.STOP)
UPGRADED = Did(Kind.UPGRADE, BIGGER)
UNINSTALLED = Did(Kind.UNINSTALL)

OPERATIONS = {
    "provision": Operation((), Kind.PROVISION, "create Secret", Status.RUNNING, STARTER),
    "re-provision": Operation((PROVISIONED, UNINSTALLED), Kind.PROVISION, "helm upgrade", Status.RUNNING, STARTER),
    "stop": Operation((PROVISIONED,), Kind.STOP, "patch Deployment", Status.STOPPED),
    "start": Operation((PROVISIONED, STOPPED), Kind.START, "patch StatefulSet", Status.RUNNING),
    "restart": Operation((PROVISIONED,), Kind.RESTART, "patch StatefulSet", Status.RUNNING),
    "restart-stopped": Operation((PROVISIONED, STOPPED), Kind.RESTART, "patch Deployment", Status.RUNNING),
    "upgrade": Operation((PROVISIONED,), Kind.UPGRADE, "helm upgrade", Status.RUNNING, BIGGER, BIGGER),
    "upgrade-stopped": Operation(
        (PROVISIONED, STOPPED), Kind.UPGRADE, "finish", Status.STOPPED, BIGGER, BIGGER, waits=True
    ),
    "start-upgraded": Operation(
        (PROVISIONED, STOPPED, UPGRADED), Kind.START, "helm upgrade", Status.RUNNING, None, BIGGER
    ),
    "uninstall": Operation((PROVISIONED,), Kind.UNINSTALL, "helm uninstall", Status.UNINSTALLED),
    "purge": Operation((PROVISIONED, UNINSTALLED), Kind.PURGE, "delete Namespace", Status.PURGED),
    "repair": Operation((PROVISIONED,), Kind.REPAIR, "apply Namespace", Status.RUNNING),
    "repair-stop": Operation((PROVISIONED, Did(Kind.STOP, lost=True)), Kind.REPAIR, "patch Deployment", Status.STOPPED),
    "repair-uninstall": Operation(
        (PROVISIONED, Did(Kind.UNINSTALL, lost=True)), Kind.REPAIR, "helm uninstall", Status.UNINSTALLED
    ),
}
"""By name."""


def label_of(operation: Operation, moment: Moment) -> str:
    """The write before which the outage begins."""
    return {Moment.BEGIN: "claim", Moment.MIDDLE: operation.middle, Moment.END: "finish"}[moment]
