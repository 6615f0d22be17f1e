"""Repair: an instance whose operation was lost, or whose cluster was changed by hand, is brought where it should be."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from ..activities.namespaces import Namespaces
    from ..activities.releases import Releases
    from ..activities.workloads import Workloads
    from ..model import repair
    from ..model.instance import Status
    from ..model.messages import OperationResult, Request

from .adopt import take_over
from .operation import Operation
from .purge import delete_all
from .saga import Saga
from .stop import hold_stopped
from .uninstall import take_down


@workflow.defn(name="Repair")
class Repair(Operation):
    """Finishes what a lost operation began; where none was lost, holds the instance to its row."""

    @workflow.run
    async def run(self, request: Request) -> OperationResult:
        """Claim, then the steps of the operation that leads to the goal, record."""
        async with self.saga as saga:
            await saga.claim()
            goal = repair.goal(saga.found, saga.former)
            match goal:
                case Status.RUNNING if saga.found is Status.ADOPTING:
                    await take_over(saga)
                case Status.STOPPED:
                    await hold_stopped(saga)
                case Status.UNINSTALLED:
                    await take_down(saga)
                case Status.PURGED:
                    # What is purged already is left alone: only a purge deletes data, this one or one that was lost.
                    if saga.found is not Status.PURGED:
                        await delete_all(saga)
                case _:
                    await _bring_up(saga)
            await saga.record(goal)
        return self.saga.result


async def _bring_up(saga: Saga) -> None:
    time = saga.deadlines
    saga.settles()
    saga.observed(await saga.step("prepare", Namespaces.prepare, undo=Namespaces.undo_prepare, within=time.prepare))
    if saga.work.former_revision is None or saga.upgrade_pending or repair.changes_release(saga.found):
        await saga.step("release", Releases.release, undo=Releases.undo_release, within=time.release, lasts=2)
    # Where nothing was lost, what was changed by hand is put back, too; a lost start brings back what ran before it.
    settled = saga.found is Status.RUNNING and workflow.patched("repair-reapplies")
    # What this brings back belongs there: it is not taken away again, whatever comes after it.
    await saga.wait_for("restore", Releases.reapply if settled else Releases.restore, within=time.release)
    saga.point_of_no_return(await saga.wait_for("ready", Workloads.ready, within=time.ready))
