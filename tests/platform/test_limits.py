"""On real parts: what a plan allows a tenant is held against requests before anything is touched."""

from __future__ import annotations

import asyncio
import secrets

import pytest

from innkeeper.client import Innkeeper, OperationHandle, Refused, Status
from innkeeper.gateways.database import SupabaseDatabase
from innkeeper.gateways.kubernetes import KubernetesCluster
from innkeeper.model.ports import Ref


@pytest.fixture
def tenant() -> str:
    return f"t-{secrets.token_hex(4)}"


async def test_a_tenant_gets_no_more_instances_and_no_more_storage_than_its_plan_allows(
    innkeeper: Innkeeper, cluster: KubernetesCluster, database: SupabaseDatabase, tenant: str
) -> None:
    async def ask(number: int, plan: str = "limited") -> OperationHandle:
        return await innkeeper.provision(f"{tenant}-{number}", tenant=tenant, plan=plan)

    handles = [await ask(number) for number in range(4)]
    ends = await asyncio.gather(*(handle.result() for handle in handles), return_exceptions=True)
    refused = [end for end in ends if isinstance(end, Refused)]
    assert len(refused) == 2
    assert {end.cause.message for end in refused} == {f"tenant: '{tenant}' has 2 instances, and plan limited allows 2."}
    made = [handle.instance for handle, end in zip(handles, ends, strict=True) if not isinstance(end, Refused)]
    for name in {handle.instance for handle in handles} - set(made):
        assert await database.instance(name) is None
        assert await cluster.get(Ref("v1", "Namespace", f"inn-{name}")) is None

    # What is uninstalled keeps its place and its volume; what is purged leaves both to others.
    await (await innkeeper.uninstall(made[0])).result()
    with pytest.raises(Refused, match="has 2 instances"):
        await (await ask(9)).result()
    await (await innkeeper.purge(made[0])).result()
    await (await ask(9, "suite")).result()
    await (await innkeeper.uninstall(f"{tenant}-9")).result()
    # The volume that it has kept counts, whatever its new plan asks for.
    with pytest.raises(Refused, match=r"has 1 GiB of storage, asks for \d GiB, and plan limited allows 2.5 GiB"):
        await (await ask(9)).result()
    row = await database.instance(f"{tenant}-9")
    assert row is not None
    assert (row.status, row.plan, row.generation) == (Status.UNINSTALLED, "suite", 2)
    # Who is above a limit may upgrade what needs no more.
    assert (await (await innkeeper.upgrade(made[1])).result()).status is Status.RUNNING


async def test_who_has_used_up_what_the_plan_allows_in_a_day_cannot_start(innkeeper: Innkeeper, tenant: str) -> None:
    await (await innkeeper.provision(tenant, tenant=tenant, plan="limited")).result()
    await innkeeper.record_usage(tenant, "api_calls", 99, key=f"{tenant}/1")
    await (await innkeeper.restart(tenant)).result()
    assert await innkeeper.record_usage(tenant, "api_calls", 2, key=f"{tenant}/2"), "it is counted all the same"
    await (await innkeeper.stop(tenant)).result()
    with pytest.raises(Refused, match="has used 101 api_calls today, and plan limited allows 100") as told:
        await (await innkeeper.start(tenant)).result()
    assert told.value.cause.fix == "wait for the next day (UTC), or upgrade to a plan that allows more"
    await (await innkeeper.upgrade(tenant, plan="starter")).result()
    assert (await (await innkeeper.start(tenant)).result()).status is Status.RUNNING
