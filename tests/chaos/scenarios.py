"""The operations of the crash matrix: from which state each starts, what is asked, and what is refused on the way."""

from __future__ import annotations

from typing import NamedTuple

from innkeeper.model.instance import Kind

STARTER, BIGGER = "starter", "bigger"
TENANT = "t1"


class Done(NamedTuple):
    """An operation that led to the state in which the one under test starts."""

    kind: Kind
    plan: str | None = None
    lost_after: int | None = None
    """It was claimed, did so many of its steps, and was lost; None: it came to its end."""


class Scenario(NamedTuple):
    """One operation under test."""

    start: tuple[Done, ...]
    kind: Kind
    plan: str | None = None
    refused: str = ""
    """The effect whose refusal (once it has happened) has the operation undone; faults are played in the undoing."""
    by_hand: bool = False
    """Before all else, somebody has installed a release by scripts of theirs."""


PROVISIONED = Done(Kind.PROVISION, STARTER)
STOPPED = Done(Kind.STOP)
UPGRADED = Done(Kind.UPGRADE, BIGGER)
UNINSTALLED = Done(Kind.UNINSTALL)

LAST_MARK = "cluster.create RoleBinding innkeeper-release"
LAST_PATCH = "cluster.patch StatefulSet db"

SCENARIOS: dict[str, Scenario] = {
    "provision": Scenario((), Kind.PROVISION, STARTER),
    "re-provision": Scenario((PROVISIONED, UNINSTALLED), Kind.PROVISION, STARTER),
    "adopt": Scenario((), Kind.ADOPT, STARTER, by_hand=True),
    "stop": Scenario((PROVISIONED,), Kind.STOP),
    "start": Scenario((PROVISIONED, STOPPED), Kind.START),
    "restart": Scenario((PROVISIONED,), Kind.RESTART),
    "restart-stopped": Scenario((PROVISIONED, STOPPED), Kind.RESTART),
    "upgrade": Scenario((PROVISIONED,), Kind.UPGRADE, BIGGER),
    "upgrade-stopped": Scenario((PROVISIONED, STOPPED), Kind.UPGRADE, BIGGER),
    "start-upgraded": Scenario((PROVISIONED, STOPPED, UPGRADED), Kind.START),
    "uninstall": Scenario((PROVISIONED,), Kind.UNINSTALL),
    "uninstall-stopped": Scenario((PROVISIONED, STOPPED), Kind.UNINSTALL),
    "purge": Scenario((PROVISIONED, UNINSTALLED), Kind.PURGE),
    "repair": Scenario((PROVISIONED,), Kind.REPAIR),
    "repair-stopped": Scenario((PROVISIONED, STOPPED), Kind.REPAIR),
    "repair-provision": Scenario((Done(Kind.PROVISION, STARTER, lost_after=1),), Kind.REPAIR),
    "repair-adopt": Scenario((Done(Kind.ADOPT, STARTER, lost_after=0),), Kind.REPAIR, by_hand=True),
    "repair-upgrade": Scenario((PROVISIONED, Done(Kind.UPGRADE, BIGGER, lost_after=1)), Kind.REPAIR),
    "repair-stop": Scenario((PROVISIONED, Done(Kind.STOP, lost_after=0)), Kind.REPAIR),
    "repair-start": Scenario((PROVISIONED, STOPPED, Done(Kind.START, lost_after=0)), Kind.REPAIR),
    "repair-uninstall": Scenario((PROVISIONED, Done(Kind.UNINSTALL, lost_after=0)), Kind.REPAIR),
    "repair-purge": Scenario((PROVISIONED, UNINSTALLED, Done(Kind.PURGE, lost_after=0)), Kind.REPAIR),
    "provision-undone": Scenario((), Kind.PROVISION, STARTER, refused="helm.upgrade"),
    "re-provision-undone": Scenario((PROVISIONED, UNINSTALLED), Kind.PROVISION, STARTER, refused="helm.upgrade"),
    "adopt-undone": Scenario((), Kind.ADOPT, STARTER, refused=LAST_MARK, by_hand=True),
    "stop-undone": Scenario((PROVISIONED,), Kind.STOP, refused=LAST_PATCH),
    "start-undone": Scenario((PROVISIONED, STOPPED), Kind.START, refused=LAST_PATCH),
    "restart-undone": Scenario((PROVISIONED,), Kind.RESTART, refused=LAST_PATCH),
    "upgrade-undone": Scenario((PROVISIONED,), Kind.UPGRADE, BIGGER, refused="helm.upgrade"),
    "start-upgraded-undone": Scenario((PROVISIONED, STOPPED, UPGRADED), Kind.START, refused="helm.upgrade"),
}
"""By name. What a name says after its operation is the state it starts in, or that it is undone."""


class Offer(NamedTuple):
    """What distinguishes a plan, as both catalogs (in memory, on the platform) and the model have it."""

    web: int
    """Replicas."""
    pods: int
    """Its quota."""
    container_defaults: dict[str, dict[str, str]]
    pod_security: str


CATALOG = {
    STARTER: Offer(2, 20, {}, "baseline"),
    BIGGER: Offer(3, 30, {"default": {"cpu": "500m"}, "defaultRequest": {"cpu": "50m"}}, "restricted"),
}
"""The two plans."""
