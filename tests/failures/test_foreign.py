"""What is not, or no longer, this instance's is neither touched nor written."""

from __future__ import annotations

import pytest
from following import failed
from in_memory import World

from innkeeper.model.catalog import ChartRef
from innkeeper.model.errors import Refused
from innkeeper.model.instance import Status
from innkeeper.model.messages import Outcome
from innkeeper.model.ports import Ref, Release


def foreign_release(name: str) -> Release:
    """Somebody else's release that happens to have the instance's name."""
    return Release(name=name, namespace=f"inn-{name}", chart=ChartRef(path="room"), values={}, mark="theirs")


async def test_an_operation_whose_instance_was_claimed_by_another_writes_nothing_more(world: World) -> None:
    hang = world.faults.hang("helm.upgrade")
    first = await world.innkeeper.provision("overtaken", tenant="t1", plan="starter")
    await hang.reached.wait()
    row = await world.row("overtaken")
    workflow = world.client.get_workflow_handle("instance/overtaken", run_id=first.run_id)
    await workflow.terminate()
    hang.release()
    await (await world.innkeeper.uninstall("overtaken")).result()
    after = await world.row("overtaken")
    assert (after.generation, after.status) == (row.generation + 1, Status.UNINSTALLED)
    record = (await world.innkeeper.operations("overtaken")).items[-1]
    assert record.outcome is Outcome.SUPERSEDED


@pytest.mark.parametrize("kind", ["stop", "start", "restart", "uninstall"])
async def test_a_namespace_that_others_made_anew_under_the_same_name_is_not_touched(world: World, kind: str) -> None:
    name = f"anew-{kind}"
    await world.provisioned(name)
    namespace = await world.namespace(name)
    assert namespace is not None
    await world.cluster.delete(Ref("v1", "Namespace", f"inn-{name}"), uid=namespace["metadata"]["uid"])
    await world.cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"inn-{name}"}})
    await world.helm.upgrade(foreign_release(name), limit=10)
    before = await world.cluster.contents(f"inn-{name}")
    result = await failed(await getattr(world.innkeeper, kind)(name))
    assert result.cause is not None
    assert (result.cause.code, result.outcome) == ("NotOurs", Outcome.UNDONE)
    assert await world.cluster.contents(f"inn-{name}") == before


@pytest.mark.parametrize("kind", ["stop", "start", "restart"])
async def test_a_namespace_that_is_gone_is_named(world: World, kind: str) -> None:
    name = f"homeless-{kind}"
    await world.provisioned(name)
    namespace = await world.namespace(name)
    assert namespace is not None
    await world.cluster.delete(Ref("v1", "Namespace", f"inn-{name}"), uid=namespace["metadata"]["uid"])
    result = await failed(await getattr(world.innkeeper, kind)(name))
    assert result.cause is not None
    assert (result.cause.code, result.outcome) == ("NamespaceMissing", Outcome.UNDONE)
    assert (await (await world.innkeeper.uninstall(name)).result()).status is Status.UNINSTALLED


async def test_a_namespace_of_another_tenant_is_never_handed_over(world: World) -> None:
    await world.provisioned("handed")
    del world.database.rows["handed"]
    handle = await world.innkeeper.provision("handed", tenant="t2", plan="starter")
    with pytest.raises(Refused, match="not this instance's"):
        await handle.result()
    assert await world.database.instance("handed") is None
