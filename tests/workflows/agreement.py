"""Whether row, cluster and Helm's storage of an instance say the same, read without asking any operation's result."""

from __future__ import annotations

from innkeeper.embedded import demo_proof as proof
from innkeeper.model import marks
from innkeeper.model.instance import Status
from innkeeper.model.ports import Ref

from .conftest import World


async def agree(world: World, name: str, status: Status) -> None:
    """Row, cluster and Helm's storage all say that the instance is so."""
    row, kinds = await world.row(name), await world.kinds(name)
    assert row.status is row.settled is status
    stop_quota = await world.cluster.get(Ref("v1", "ResourceQuota", marks.STOP_QUOTA, f"inn-{name}"))
    match status:
        case Status.RUNNING:
            await proof.demand_running(world.cluster, world.database, name)
            assert len(await world.pods(name)) == sum((await world.replicas(name)).values())
            assert stop_quota is None
        case Status.STOPPED:
            await proof.demand_stopped(world.cluster, world.database, name)
            assert set((await world.replicas(name)).values()) <= {0}
            assert stop_quota is not None
        case Status.UNINSTALLED:
            assert not {"Deployment", "StatefulSet", "Pod"} & kinds
            assert await proof.deployed(world.cluster, name) == []
        case _:
            assert await world.namespace(name) is None


async def data_of(world: World, name: str) -> list[tuple[str, object]]:
    """What only purge may delete, by identity and content."""
    namespace = f"inn-{name}"
    claims = await world.cluster.list_objects("v1", "PersistentVolumeClaim", namespace=namespace)
    made = await world.cluster.list_objects("v1", "Secret", namespace=namespace, labels={marks.DATA: "true"})
    return [(item["metadata"]["uid"], item.get("data")) for item in [*claims, *made]]
