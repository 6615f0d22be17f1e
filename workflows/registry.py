"""Every workflow a worker must register, by the kind of operation it is."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from ..model.instance import Kind

from .operation import Operation
from .provision import Provision
from .purge import Purge
from .restart import Restart
from .start import Start
from .stop import Stop
from .uninstall import Uninstall

WORKFLOWS: dict[Kind, type[Operation]] = {
    Kind.PROVISION: Provision,
    Kind.STOP: Stop,
    Kind.START: Start,
    Kind.RESTART: Restart,
    Kind.UNINSTALL: Uninstall,
    Kind.PURGE: Purge,
}
