"""What an adoption would do is shown object by object before it is asked for, and is what it then does."""

from __future__ import annotations

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError

from innkeeper.model import fence, marks
from innkeeper.model.catalog import ChartRef
from innkeeper.model.errors import Refused
from innkeeper.model.instance import Kind
from innkeeper.model.messages import PREVIEW_WORKFLOW, TASK_QUEUE, Request

from .conftest import World
from .test_adopt import SHOP, adopted, around, everything, previewed, shop


async def test_a_preview_shows_object_by_object_what_will_be_done(world: World) -> None:
    await shop(world, chart=ChartRef(path="claims"), labels={marks.MANAGED_BY: "argocd"})
    job = {"template": {"spec": {"containers": [{"name": "main", "image": "example/main:1"}]}}}
    meta = {"name": "nightly", "namespace": SHOP}
    cron = {"schedule": "0 0 * * *", "jobTemplate": {"spec": job}}
    await world.cluster.create({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": meta, "spec": cron})
    before = await everything(world)
    seen = await previewed(world)
    assert await everything(world) == before
    assert (seen.revision, seen.chart, seen.pods, seen.beside) == (1, "claims-0.1.0", 2, ["CronJob shop/nightly"])
    told = {each.object: each.what for each in seen.marked}
    assert set(told) == {"Namespace shop", "Secret shop/credentials"}
    assert "app.kubernetes.io/managed-by=innkeeper (was argocd)" in told["Namespace shop"]
    assert "innkeeper.dev/data=true" in told["Secret shop/credentials"]
    assert {each.object: each.what for each in seen.made} == {
        "ResourceQuota shop/innkeeper": "pods 20",
        "NetworkPolicy shop/innkeeper-isolated": "pods of other instances cannot reach this one's",
        "RoleBinding shop/innkeeper-release": "says whose Helm may work here",
    }
    left = {each.object: each.what for each in seen.left}
    assert left["Namespace shop"] == "Pod Security stays as the cluster has it: the next upgrade sets baseline"
    assert "forgets to keep its volumes" in left["StatefulSet shop/web-db"]
    assert await world.database.instance("acme") is None


async def test_a_refused_preview_is_told_in_temporal_as_a_refused_request_is(world: World) -> None:
    request = Request.of(
        Kind.ADOPT, "acme", request_id="look", tenant="t1", plan="starter", namespace="nowhere", release="web"
    )
    with pytest.raises(WorkflowFailureError) as told:
        await world.client.execute_workflow(PREVIEW_WORKFLOW, request, id="preview/acme/1", task_queue=TASK_QUEUE)
    assert isinstance(told.value.cause, ApplicationError)
    assert (told.value.cause.type, told.value.cause.non_retryable) == ("Refused", True)


async def test_what_was_previewed_is_what_is_done(world: World) -> None:
    await shop(world)
    seen = await previewed(world)
    await adopted(world)
    assert {f"{kind} shop/{name}" for kind, name in await around(world)} == {each.object for each in seen.made}
    with pytest.raises(Refused, match="exists already and is running"):
        await previewed(world)


async def test_a_preview_of_what_was_asked_before_says_so(world: World) -> None:
    await shop(world)
    await adopted(world, request_id="once")
    assert (await previewed(world, request_id="once")).asked_before is True
    assert (await adopted(world, request_id="once")).generation == 1


async def test_what_would_be_in_the_way_of_what_runs_is_left_out(world: World) -> None:
    await shop(world)
    meta = {"name": "theirs", "namespace": SHOP}
    policy = {"podSelector": {}, "policyTypes": ["Ingress"]}
    await world.cluster.create(
        {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta, "spec": policy}
    )
    left = {each.object: each.what for each in (await previewed(world, plan="cramped")).left}
    assert left["ResourceQuota shop/innkeeper"] == "is not made: pods: 2 are used, and the plan allows 1"
    assert left["NetworkPolicy shop/innkeeper-isolated"] == "is not made: theirs of others stands there"
    await adopted(world, plan="cramped")
    assert await around(world) == {("NetworkPolicy", "theirs"), ("RoleBinding", fence.BINDING)}
