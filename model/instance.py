"""What an instance is, the statuses it can have, and which operation may start from which."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from .errors import Cause
from .sizes import Sizes


class Status(StrEnum):
    """An instance's status as its row shows it. The database holds the same list as an enum."""

    PROVISIONING = "provisioning"
    ADOPTING = "adopting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    STARTING = "starting"
    RESTARTING = "restarting"
    UPGRADING = "upgrading"
    REPAIRING = "repairing"
    UNINSTALLING = "uninstalling"
    UNINSTALLED = "uninstalled"
    PURGING = "purging"
    PURGED = "purged"
    ERROR = "error"

    @property
    def settled(self) -> bool:
        """No operation is under way, or was when the row was last written."""
        return self in _SETTLED


_SETTLED = frozenset({Status.RUNNING, Status.STOPPED, Status.UNINSTALLED, Status.PURGED, Status.ERROR})


class Kind(StrEnum):
    """The operations. A kind's value is also its command and, capitalised, its workflow's type name."""

    PROVISION = "provision"
    ADOPT = "adopt"
    STOP = "stop"
    START = "start"
    RESTART = "restart"
    UPGRADE = "upgrade"
    REPAIR = "repair"
    UNINSTALL = "uninstall"
    PURGE = "purge"

    @property
    def workflow_type(self) -> str:
        """The name under which Temporal knows the operation's workflow."""
        return self.value.capitalize()


class Transition(NamedTuple):
    """From where an operation may start, and what the row says during and after it."""

    allowed_from: frozenset[Status]
    during: Status
    after: Status
    creates: bool = False
    """An instance that does not exist is made, rather than refused."""


_LIVE = frozenset({Status.RUNNING, Status.STOPPED, Status.ERROR})

TRANSITIONS: dict[Kind, Transition] = {
    Kind.PROVISION: Transition(
        frozenset({Status.ERROR, Status.UNINSTALLED, Status.PURGED}),
        Status.PROVISIONING,
        Status.RUNNING,
        creates=True,
    ),
    Kind.ADOPT: Transition(
        frozenset({Status.ERROR, Status.UNINSTALLED, Status.PURGED}),
        Status.ADOPTING,
        Status.RUNNING,
        creates=True,
    ),
    Kind.STOP: Transition(_LIVE, Status.STOPPING, Status.STOPPED),
    Kind.START: Transition(_LIVE, Status.STARTING, Status.RUNNING),
    Kind.RESTART: Transition(_LIVE, Status.RESTARTING, Status.RUNNING),
    Kind.UPGRADE: Transition(_LIVE, Status.UPGRADING, Status.RUNNING),
    # Any settled status: whatever was lost, a repair can take it up.
    Kind.REPAIR: Transition(_LIVE | {Status.UNINSTALLED, Status.PURGED}, Status.REPAIRING, Status.RUNNING),
    Kind.UNINSTALL: Transition(_LIVE | {Status.UNINSTALLED}, Status.UNINSTALLING, Status.UNINSTALLED),
    Kind.PURGE: Transition(frozenset({Status.UNINSTALLED, Status.PURGED, Status.ERROR}), Status.PURGING, Status.PURGED),
}
"""The table of legal transitions. It speaks of settled statuses: a transitional one that no workflow stands
behind any more counts as the settled status before it, since exclusion is the workflow ID's, not the row's.
An upgrade of a stopped instance ends stopped, and a repair where `model.repair` says."""


class Instance(BaseModel):
    """An instance's row: the read model that the backend and its users see."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    tenant: str
    plan: str
    """The plan that is wanted; with `upgrade_pending`, what runs next rather than what ran last."""
    upgrade_pending: bool = False
    """The instance was upgraded while it was stopped, or what it went back to is not known: the next start brings the
    release to the plan."""
    cluster: str = "default"
    namespace: str
    """Where the release is; what was adopted keeps the name it had there, and its release, too."""
    release: str
    status: Status
    settled: Status | None = None
    """The last settled status, None before the first."""
    generation: int
    """Raised by every claim; a write of an operation must match the generation of its claim."""
    url: str | None = None
    revision: int | None = None
    """Helm's revision that runs, None where nothing does."""
    sizes: Sizes | None = None
    """What it asked of the cluster when it was last found ready, None before that and once it is purged."""
    cause: Cause | None = None
    """Why the status is `error`."""
    created_at: datetime
    updated_at: datetime
