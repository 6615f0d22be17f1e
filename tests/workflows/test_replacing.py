"""What may replace a running operation: only a request that could begin then, and that has not had its outcome yet."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from following import Followed, failed
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.update.v1 import UpdateRef
from temporalio.api.workflowservice.v1 import PollWorkflowExecutionUpdateRequest
from temporalio.client import WorkflowUpdateFailedError
from temporalio.service import RPCError, RPCStatusCode

from innkeeper.client import OperationHandle
from innkeeper.model.errors import BadInput, OperationFailed, Refused
from innkeeper.model.instance import Kind, Status
from innkeeper.model.messages import Outcome, Request
from innkeeper.model.names import workflow_id_of

from .conftest import World


async def test_another_tenants_request_stops_nothing_and_displaces_nobody(world: World) -> None:
    await world.provisioned("not-theirs")
    hang = world.faults.hang("not-theirs scale-down cluster.patch")
    stop = await world.innkeeper.stop("not-theirs")
    await hang.reached.wait()
    waits = await world.innkeeper.start("not-theirs", on_conflict="wait")
    for on_conflict in ("replace", "wait"):
        with pytest.raises(BadInput, match="is no instance of this tenant"):
            await world.innkeeper.uninstall("not-theirs", tenant="t2", on_conflict=on_conflict)
    with pytest.raises(BadInput, match="is taken"):
        await world.innkeeper.provision("not-theirs", tenant="t2", plan="starter", on_conflict="replace")
    hang.release()
    assert (await stop.result()).outcome is Outcome.DONE
    assert (await waits.result()).status is Status.RUNNING


async def test_a_request_that_could_not_begin_afterwards_stops_nothing(world: World) -> None:
    await world.provisioned("not-legal")
    hang = world.faults.hang("not-legal roll cluster.patch")
    restart = await world.innkeeper.restart("not-legal")
    await hang.reached.wait()
    with pytest.raises(BadInput, match="exists already and is running"):
        await world.innkeeper.provision("not-legal", tenant="t1", plan="starter", on_conflict="replace")
    with pytest.raises(BadInput, match="purge needs it to be"):
        await world.innkeeper.purge("not-legal", on_conflict="replace")
    hang.release()
    assert (await restart.result()).outcome is Outcome.DONE


async def test_a_provision_may_replace_what_leaves_an_error_behind(world: World) -> None:
    await world.provisioned("half-gone")
    hang = world.faults.hang("half-gone uninstall helm.uninstall")
    uninstall = await world.innkeeper.uninstall("half-gone")
    await hang.reached.wait()
    again = await world.innkeeper.provision("half-gone", tenant="t1", plan="starter", on_conflict="replace")
    hang.release()
    assert (await failed(uninstall)).status is Status.ERROR
    assert (await again.result()).status is Status.RUNNING


async def test_before_the_owner_is_known_a_request_that_names_a_tenant_waits(world: World) -> None:
    await world.provisioned("owner-later")
    hang = world.faults.hang("owner-later claim db.claim")
    stop = await world.innkeeper.stop("owner-later")
    await hang.reached.wait()
    theirs = await world.innkeeper.uninstall("owner-later", tenant="t2")
    hang.release()
    assert (await stop.result()).outcome is Outcome.DONE
    with pytest.raises(Refused, match="is no instance of this tenant"):
        await theirs.result()
    assert (await world.row("owner-later")).status is Status.STOPPED


async def test_a_request_that_has_its_outcome_stops_nothing_for_it(world: World) -> None:
    await world.provisioned("redelivered")
    await (await world.innkeeper.uninstall("redelivered", request_id="redelivered-9")).result()
    hang = world.faults.hang("redelivered release helm.upgrade")
    provision = await world.innkeeper.provision("redelivered", tenant="t1", plan="starter")
    await hang.reached.wait()
    # As Temporal hears it when it has forgotten the first: asked through the client it would still be found.
    request = Request.of(Kind.UNINSTALL, "redelivered", request_id="redelivered-9")
    await Followed(world, provision).take_next(request, replace=True)
    hang.release()
    assert (await provision.result()).outcome is Outcome.DONE
    assert (await world.row("redelivered")).status is Status.RUNNING


async def test_a_request_that_has_its_outcome_displaces_nobody(world: World) -> None:
    await world.provisioned("outcome-had", request_id="outcome-had-1")
    hang = world.faults.hang("outcome-had scale-down cluster.patch")
    stop = await world.innkeeper.stop("outcome-had")
    await hang.reached.wait()
    waits = await world.innkeeper.uninstall("outcome-had", on_conflict="wait")
    first = Request.of(Kind.UNINSTALL, "outcome-had", request_id="outcome-had-1")
    with pytest.raises(WorkflowUpdateFailedError) as busy:
        await Followed(world, stop).take_next(first, replace=True)
    assert "waits already" in str(busy.value.cause)
    hang.release()
    assert (await stop.result()).outcome is Outcome.DONE
    assert (await waits.result()).status is Status.UNINSTALLED


async def held_by_temporal(world: World, handle: OperationHandle, update_id: str) -> None:
    """Wait until Temporal has an update of the operation, for which no worker has come yet."""
    execution = WorkflowExecution(workflow_id=workflow_id_of(handle.instance), run_id=handle.run_id or "")
    reference = UpdateRef(workflow_execution=execution, update_id=update_id)
    # Asked for without a stage to wait for: it answers with what is known now.
    asked = PollWorkflowExecutionUpdateRequest(namespace=world.client.namespace, update_ref=reference)
    async with asyncio.timeout(60):
        while True:
            try:
                await world.client.workflow_service.poll_workflow_execution_update(asked)
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise
                await asyncio.sleep(0.05)
            else:
                return


async def test_a_request_that_comes_with_the_first_task_replaces_too(idle_world: World) -> None:
    world = idle_world
    provision = await world.innkeeper.provision("first-task", tenant="t1", plan="starter")
    uninstall = asyncio.create_task(world.innkeeper.uninstall("first-task", request_id="first-task-2"))
    # Temporal holds the update until a worker comes.
    await held_by_temporal(world, provision, "first-task-2")
    async with world.worker():
        handle = await uninstall
        with pytest.raises((Refused, OperationFailed), match="cancelled during"):
            await provision.result()
        # Where nothing was claimed, there is no instance to uninstall.
        with contextlib.suppress(Refused):
            assert (await handle.result()).status is Status.UNINSTALLED
        await world.end()
    assert world.faults.count("helm.upgrade") == 0
