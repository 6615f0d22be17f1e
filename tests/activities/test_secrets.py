"""Secrets are generated once, copied anew by each provision, and reach a chart that insists only through Helm."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from attempts import OPERATORS, Steps, attempt, work_on

from innkeeper.activities.secrets import Secrets
from innkeeper.gateways.faults import Faults
from innkeeper.gateways.memory_cluster import MemoryCluster
from innkeeper.gateways.memory_helm import MemoryHelm
from innkeeper.model import catalog, marks, surroundings
from innkeeper.model.catalog import Plan
from innkeeper.model.errors import AlreadyExists, NotOurs, Pending, Permanent
from innkeeper.model.ports import Manifest, Ref
from innkeeper.worker import settle_in

WORK = work_on("acme", "p")


def plan_with(**parts: Any) -> Plan:
    return catalog.parse({"plans": {"p": {"chart": {"path": "room"}, **parts}}}, folder="").plan("p")


def generating(*keys: str) -> Plan:
    return plan_with(secrets=[{"name": "made", "generate": dict.fromkeys(keys, 24)}])


COPYING = plan_with(secrets=[{"name": "pull", "copy": "registry"}])


def registry(content: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"name": "registry", "namespace": OPERATORS},
        "data": {".dockerconfigjson": content},
    }


@pytest.fixture
async def cluster() -> MemoryCluster:
    cluster = MemoryCluster()
    await settle_in(cluster, OPERATORS)
    await cluster.create(surroundings.namespace(WORK, COPYING))
    return cluster


async def secret(cluster: MemoryCluster, name: str) -> Manifest:
    found = await cluster.get(Ref("v1", "Secret", name, "inn-acme"))
    assert found is not None
    return found


async def test_a_key_that_a_plan_wants_since_is_added_and_the_others_stay_as_they_are(cluster: MemoryCluster) -> None:
    secrets = Secrets(cluster, OPERATORS)
    await secrets.have(WORK, generating("password"))
    before = await secret(cluster, "made")
    await secrets.have(WORK, generating("password"))
    assert await secret(cluster, "made") == before
    await secrets.have(WORK, generating("password", "token"))
    after = await secret(cluster, "made")
    assert after["data"]["password"] == before["data"]["password"]
    assert len(base64.b64decode(after["data"]["token"])) == 24
    await secrets.have(WORK, generating("token"))
    assert await secret(cluster, "made") == after, "what a plan no longer asks for is the customer's all the same"


async def test_a_generated_secret_is_marked_as_data_and_a_copied_one_is_not(cluster: MemoryCluster) -> None:
    secrets = Secrets(cluster, OPERATORS)
    await cluster.create(registry("b25l"))
    await secrets.have(WORK, generating("password"))
    await secrets.have(WORK, COPYING)
    assert marks.DATA in (await secret(cluster, "made"))["metadata"]["labels"]
    assert marks.DATA not in (await secret(cluster, "pull"))["metadata"]["labels"]


async def test_a_copy_follows_what_it_is_copied_from(cluster: MemoryCluster) -> None:
    secrets = Secrets(cluster, OPERATORS)
    await cluster.create(registry("b25l"))
    await secrets.have(WORK, COPYING)
    copied = await secret(cluster, "pull")
    assert (copied["type"], copied["data"]) == ("kubernetes.io/dockerconfigjson", {".dockerconfigjson": "b25l"})
    await cluster.patch(Ref("v1", "Secret", "registry", OPERATORS), {"data": {".dockerconfigjson": "dHdv"}})
    await secrets.have(WORK, COPYING)
    assert (await secret(cluster, "pull"))["data"] == {".dockerconfigjson": "dHdv"}


async def test_a_secret_to_copy_that_is_not_there_is_named_with_its_namespace(cluster: MemoryCluster) -> None:
    with pytest.raises(Permanent, match="innkeeper-system/registry, which plan p copies, is not there") as refused:
        await Secrets(cluster, OPERATORS).have(WORK, COPYING)
    assert (refused.value.cause.code, refused.value.cause.fix) == (
        "SecretMissing",
        "create it in the operator's namespace",
    )


@pytest.mark.parametrize("plan", [generating("password"), COPYING], ids=["generated", "copied"])
async def test_a_secret_of_somebody_else_is_refused_and_left_as_it_is(cluster: MemoryCluster, plan: Plan) -> None:
    await cluster.create(registry("b25l"))
    meta = {"name": plan.secrets[0].name, "namespace": "inn-acme"}
    foreign = await cluster.create({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": {"a": "Yg=="}})
    with pytest.raises(NotOurs):
        await Secrets(cluster, OPERATORS).have(WORK, plan)
    assert await secret(cluster, meta["name"]) == foreign


async def test_a_secret_that_goes_while_it_is_looked_at_is_tried_again() -> None:
    faults = Faults()
    faults.fail("cluster.create", AlreadyExists("secrets already exists"))
    with pytest.raises(Pending, match="Secret inn-acme/made was deleted a moment ago"):
        await Secrets(MemoryCluster(faults=faults), OPERATORS).have(WORK, generating("password"))


class Gone(MemoryCluster):
    """A cluster in which what is to be changed has just been deleted."""

    async def patch(self, ref: Ref, patch: Manifest) -> Manifest | None:
        """See `ports.Cluster.patch`."""
        found = await self.get(ref)
        assert found is not None
        assert await self.delete(ref, uid=found["metadata"]["uid"])
        return await super().patch(ref, patch)


async def test_a_secret_that_goes_while_it_is_changed_is_tried_again() -> None:
    cluster = Gone()
    await settle_in(cluster, OPERATORS)
    await cluster.create(surroundings.namespace(WORK, COPYING))
    await cluster.create(registry("b25l"))
    secrets = Secrets(cluster, OPERATORS)
    await secrets.have(WORK, generating("password"))
    with pytest.raises(Pending, match="Secret inn-acme/made was deleted a moment ago"):
        await secrets.have(WORK, generating("password", "token"))
    await secrets.have(WORK, COPYING)
    with pytest.raises(Pending, match="Secret inn-acme/pull was deleted a moment ago"):
        await secrets.have(WORK, COPYING)


async def test_a_generated_secret_is_never_overwritten_by_a_copy_of_its_name(cluster: MemoryCluster) -> None:
    secrets = Secrets(cluster, OPERATORS)
    await cluster.create(registry("b25l"))
    await secrets.have(WORK, generating("password"))
    before = await secret(cluster, "made")
    with pytest.raises(Permanent, match="Secret inn-acme/made was generated, and a copy would over") as refused:
        await secrets.have(WORK, plan_with(secrets=[{"name": "made", "copy": "registry"}]))
    assert (refused.value.cause.code, refused.value.cause.object) == ("SecretIsData", "Secret inn-acme/made")
    assert await secret(cluster, "made") == before


VALUED = {
    "chart": {"path": "room"},
    "secrets": [{"name": "made", "generate": {"password": 24, "user": 8}}],
    "secret_values": [
        {"value": "note", "secret": "made", "key": "user"},
        {"value": "auth.admin.password", "secret": "made", "key": "password"},
        {"value": "auth.user", "secret": "made", "key": "user"},
    ],
}


async def test_a_chart_that_insists_on_a_value_gets_it_and_the_release_says_which(cluster: MemoryCluster) -> None:
    plans = catalog.parse({"plans": {"p": VALUED}}, folder="")
    steps = Steps(cluster, MemoryHelm(cluster), plans)
    await attempt(steps.namespaces.prepare, WORK)
    await attempt(steps.releases.release, WORK)
    made = {key: base64.b64decode(text).decode() for key, text in (await secret(cluster, "made"))["data"].items()}
    shown = await cluster.get(Ref("v1", "ConfigMap", "acme-config", "inn-acme"))
    assert shown is not None
    assert shown["data"]["note"] == made["user"]
    assert await Secrets(cluster, OPERATORS).values(WORK, plans.plan("p")) == {
        "note": made["user"],
        "auth": {"admin": {"password": made["password"]}, "user": made["user"]},
    }


async def test_a_value_whose_secret_or_key_is_gone_is_named(cluster: MemoryCluster) -> None:
    plan = catalog.parse({"plans": {"p": VALUED}}, folder="").plan("p")
    secrets = Secrets(cluster, OPERATORS)
    with pytest.raises(Permanent, match="Secret inn-acme/made has no key user, which note needs"):
        await secrets.values(WORK, plan)
    await secrets.have(WORK, plan)
    await cluster.patch(Ref("v1", "Secret", "made", "inn-acme"), {"data": {"password": None}})
    with pytest.raises(Permanent, match=r"has no key password, which auth\.admin\.password needs") as refused:
        await secrets.values(WORK, plan)
    assert refused.value.cause.fix == "correct the plan's secrets, or restore the Secret"
