"""Lives of the reconcile, for its histories."""

from __future__ import annotations

from innkeeper.model.findings import RECONCILE_WORKFLOW
from innkeeper.model.instance import Kind
from innkeeper.model.messages import TASK_QUEUE
from innkeeper.model.ports import Ref

from .conftest import World
from .scenarios import done, over, provision, scenario
from .scenarios_too_late import SCENARIOS

__all__ = ["SCENARIOS"]


@scenario
async def reconcile_of_all(world: World, name: str) -> str:
    await over(await provision(world, name))
    await world.cluster.patch(Ref("apps/v1", "Deployment", f"{name}-web", f"inn-{name}"), {"spec": {"replicas": 3}})
    # As the schedule starts it.
    await world.client.execute_workflow(RECONCILE_WORKFLOW, id=name, task_queue=TASK_QUEUE)
    return name


@scenario
async def repair_of_what_was_scaled_by_hand(world: World, name: str) -> str:
    await over(await provision(world, name))
    await world.cluster.patch(Ref("apps/v1", "Deployment", f"{name}-web", f"inn-{name}"), {"spec": {"replicas": 3}})
    return await done(world, Kind.REPAIR, name)


@scenario
async def reconcile_of_one(world: World, name: str) -> str:
    await over(await provision(world, name))
    await world.innkeeper.reconcile(name)
    return f"reconcile/{name}"
