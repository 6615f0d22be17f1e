"""Operations take a release in turn: what a killed Helm left is recovered at once, and what is foreign stays."""

from __future__ import annotations

import pytest

from innkeeper.model import fence
from innkeeper.model.errors import OperationFailed, Unreachable
from innkeeper.model.instance import Status
from innkeeper.model.messages import Outcome
from innkeeper.model.ports import Manifest
from innkeeper.model.release import revisions_of, storage_labels

from .conftest import World


async def binding(world: World, name: str) -> Manifest | None:
    return await world.cluster.get(fence.binding_ref(f"inn-{name}"))


async def remove_binding(world: World, name: str) -> None:
    found = await binding(world, name)
    assert found is not None
    assert await world.cluster.delete(fence.binding_ref(f"inn-{name}"), uid=found["metadata"]["uid"])


async def states(world: World, name: str) -> list[str]:
    found = await world.cluster.list_objects("v1", "Secret", namespace=f"inn-{name}", labels=storage_labels(name))
    return [each.state.value for each in revisions_of(found)]


async def test_a_helm_that_is_killed_again_and_again_is_recovered_without_waiting(world: World) -> None:
    for effect in ("pending", "objects", "deployed"):
        world.faults.fail(f"helm.upgrade.{effect}", Unreachable("Helm was killed"), when="after")
    result = await world.provisioned("fence-killed")
    assert result.outcome is Outcome.DONE
    assert world.faults.unplayed == []
    assert await states(world, "fence-killed") == ["deployed"]


async def test_operations_that_run_helm_take_the_release_and_others_do_not(world: World) -> None:
    holders = []
    await world.provisioned("fence-turns")
    for kind in ("stop", "start", "uninstall"):
        holders.append(fence.holder_of(await binding(world, "fence-turns") or {}))
        await (await getattr(world.innkeeper, kind)("fence-turns")).result()
    holders.append(fence.holder_of(await binding(world, "fence-turns") or {}))
    assert holders[0] == holders[1] == holders[2] != holders[3]


async def test_a_binding_of_somebody_else_ends_an_uninstall_with_its_name_and_nothing_is_touched(world: World) -> None:
    await world.provisioned("fence-foreign")
    await remove_binding(world, "fence-foreign")
    foreign = {
        "apiVersion": fence.RBAC,
        "kind": "RoleBinding",
        "metadata": {"name": fence.BINDING, "namespace": "inn-fence-foreign"},
        "roleRef": fence.role_ref(),
    }
    made = await world.cluster.create(foreign)
    with pytest.raises(OperationFailed) as told:
        await (await world.innkeeper.uninstall("fence-foreign")).result()
    assert told.value.cause.code == "FenceNotOurs"
    assert "RoleBinding inn-fence-foreign/innkeeper-release" in told.value.cause.message
    assert await binding(world, "fence-foreign") == made
    assert await states(world, "fence-foreign") == ["deployed"]
    assert (await world.row("fence-foreign")).status is Status.ERROR


async def test_uninstall_and_purge_work_although_somebody_deleted_the_binding(world: World) -> None:
    await world.provisioned("fence-gone")
    await remove_binding(world, "fence-gone")
    assert (await (await world.innkeeper.uninstall("fence-gone")).result()).status is Status.UNINSTALLED
    await remove_binding(world, "fence-gone")
    assert (await (await world.innkeeper.purge("fence-gone")).result()).status is Status.PURGED
    assert await world.namespace("fence-gone") is None
