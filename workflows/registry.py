"""Every workflow a worker must register: the operations by their kind, and what serves them."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from ..model.instance import Kind

from .adopt import Adopt, PreviewAdoption
from .handover import HandingOver
from .metering import Metering
from .operation import Operation
from .provision import Provision
from .purge import Purge
from .reconcile import Reconcile
from .repair import Repair
from .restart import Restart
from .start import Start
from .stop import Stop
from .sweep import Sweep
from .uninstall import Uninstall
from .upgrade import Upgrade

WORKFLOWS: dict[Kind, type[Operation]] = {
    Kind.PROVISION: Provision,
    Kind.ADOPT: Adopt,
    Kind.STOP: Stop,
    Kind.START: Start,
    Kind.RESTART: Restart,
    Kind.UPGRADE: Upgrade,
    Kind.REPAIR: Repair,
    Kind.UNINSTALL: Uninstall,
    Kind.PURGE: Purge,
}

SERVICES: tuple[type, ...] = (HandingOver, PreviewAdoption, Sweep, Metering, Reconcile)
"""Workflows that are no operations."""
