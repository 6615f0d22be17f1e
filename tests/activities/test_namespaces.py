"""A namespace whose plan changes, and changes back, and what an undo takes of what was made around its release."""

from __future__ import annotations

import pytest
from attempts import work_on

from innkeeper.model import surroundings
from innkeeper.model.errors import Forbidden, Permanent
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


async def test_a_former_plan_that_left_the_catalog_is_named_where_its_surroundings_cannot_be_given_back(
    bench: Bench,
) -> None:
    stricter = under("strict", "r-2", "given-up")
    await bench.attempt(bench.namespaces.prepare, stricter)
    with pytest.raises(Permanent, match="plan given-up is in the catalog no more, so namespace inn-acme") as refused:
        await bench.attempt(bench.namespaces.undo_prepare, stricter)
    assert (refused.value.cause.code, refused.value.cause.object) == ("FormerPlanGone", "Namespace inn-acme")
    assert await level(bench) == "restricted"


async def test_an_undo_takes_the_copied_secrets_that_its_own_operation_made_and_no_others(bench: Bench) -> None:
    before, own = under("starter", "r-1"), under("starter", "r-2")
    for work, name, data in ((before, "earlier", False), (own, "pull", False), (own, "made", True)):
        await bench.world.create(surroundings.secret(work, name, {"key": "dmFsdWU="}, data=data))
    theirs = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "theirs", "namespace": "inn-acme"}}
    await bench.world.create(theirs)
    await bench.attempt(bench.namespaces.undo_prepare, own)
    left = await bench.world.list_objects("v1", "Secret", namespace="inn-acme")
    assert sorted(item["metadata"]["name"] for item in left) == ["earlier", "made", "theirs"]


@pytest.mark.parametrize("made", range(5))
async def test_whatever_is_refused_in_a_new_namespace_nothing_of_it_is_left_once_it_is_taken_back(
    bench: Bench, made: int
) -> None:
    work = work_on("other", "full")
    bench.faults.fail("cluster.create", Forbidden("no"), skip=1 + made)
    with pytest.raises(Forbidden):
        await bench.attempt(bench.namespaces.prepare, work)
    assert await bench.world.list_objects("v1", "Secret", namespace="inn-other") == []
    await bench.attempt(bench.namespaces.undo_prepare, work)
    assert await bench.world.get(Ref("v1", "Namespace", "inn-other")) is None
    assert bench.faults.unplayed == []
