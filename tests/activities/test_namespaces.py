"""A namespace whose plan changes, and changes back."""

from __future__ import annotations

from innkeeper.model.messages import Work
from innkeeper.model.ports import Ref

from .conftest import WORK, Bench

ENFORCED = "pod-security.kubernetes.io/enforce"


def under(plan: str, request_id: str, former: str | None = None) -> Work:
    return WORK.model_copy(update={"plan": plan, "request_id": request_id, "former_plan": former})


async def level(bench: Bench) -> str:
    found = await bench.world.get(Ref("v1", "Namespace", "inn-acme"))
    assert found is not None
    return str(found["metadata"]["labels"][ENFORCED])


async def test_taking_back_another_plan_gives_the_namespace_its_former_pod_security_level(bench: Bench) -> None:
    assert await level(bench) == "baseline"
    stricter = under("strict", "r-2", "starter")
    await bench.attempt(bench.namespaces.prepare, stricter)
    assert await level(bench) == "restricted"
    await bench.attempt(bench.namespaces.undo_prepare, stricter)
    assert await level(bench) == "baseline"
