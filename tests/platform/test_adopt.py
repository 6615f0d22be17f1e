"""A release that bare Helm installed is adopted on real parts: its pods run on, and it lives like any other then."""

from __future__ import annotations

import asyncio
from typing import Any

import jsonschema
import pytest

from innkeeper.cli.documents import schema
from innkeeper.client import Innkeeper
from innkeeper.embedded.options import Addresses
from innkeeper.gateways.database import SupabaseDatabase
from innkeeper.gateways.kubernetes import KubernetesCluster
from innkeeper.model import marks
from innkeeper.model.errors import OperationFailed, Refused
from innkeeper.model.instance import Status
from innkeeper.model.messages import Outcome
from innkeeper.model.ports import Ref
from innkeeper.model.release import State

from ..cli.terminal import ended, on_terminal, run
from .scripts import PASSWORD, SECRET, Scripts


async def test_a_release_that_bare_helm_installed_is_adopted_and_its_pods_run_on(
    innkeeper: Innkeeper, cluster: KubernetesCluster, database: SupabaseDatabase, addresses: Addresses
) -> None:
    scripts = Scripts(cluster, addresses, "shop")
    await scripts.install("web", "web.replicas=2")
    pods, templates, volumes = await scripts.pods(), await scripts.templates(), await scripts.volumes()
    assert len(pods) == 3
    told: dict[str, Any] = {"namespace": "shop", "release": "web", "tenant": "t1", "plan": "starter"}
    seen = await innkeeper.preview_adoption("acme", **told)
    assert (seen.pods, seen.revision, seen.beside) == (3, 1, [])
    assert {each.object for each in seen.marked} == {"Namespace shop", f"Secret shop/{SECRET}"}
    assert "ResourceQuota shop/innkeeper" in {each.object for each in seen.made}

    # What came between the preview and the deed is not taken over unseen.
    guest = await scripts.beside()
    with pytest.raises(Refused, match="'shop' is not what it was when its adoption was confirmed"):
        await (await innkeeper.adopt("acme", **told, confirmed=seen.digest)).result()
    await cluster.delete(Ref.to(guest), uid=guest["metadata"]["uid"])

    result = await (await innkeeper.adopt("acme", **told, confirmed=seen.digest, request_id="a1")).result()
    assert (result.outcome, result.status, result.revision) == (Outcome.DONE, Status.RUNNING, 1)
    assert (await scripts.pods(), await scripts.templates()) == (pods, templates)
    assert await scripts.states("web") == [State.DEPLOYED]
    row = await database.instance("acme")
    assert row is not None
    assert (row.namespace, row.release, row.url) == ("shop", "web", "https://acme.rooms.example")
    ours = marks.labels(instance="acme", tenant="t1", plan="starter")
    assert (await scripts.labels()).items() >= ours.items()
    secret = await cluster.get(Ref("v1", "Secret", SECRET, "shop"))
    assert secret is not None
    assert secret["data"] == {"password": PASSWORD}
    assert secret["metadata"]["labels"][marks.DATA] == "true"
    assert (await (await innkeeper.adopt("acme", **told, request_id="a1")).result()).generation == 1

    # What the first upgrade brings is what there is of drift, and the Secret is taken as it was.
    assert set((await innkeeper.reconcile("acme")).found) == {"release-by-hand", "policy-changed"}
    assert (await (await innkeeper.stop("acme")).result()).status is Status.STOPPED
    assert await scripts.pods() == {}
    assert (await (await innkeeper.start("acme")).result()).status is Status.RUNNING
    assert len(await scripts.pods()) == 3
    assert (await (await innkeeper.repair("acme")).result()).revision == 1
    upgraded = await (await innkeeper.upgrade("acme", plan="wide")).result()
    assert (upgraded.outcome, upgraded.revision) == (Outcome.DONE, 2)
    await scripts.come_to(4)
    assert (await innkeeper.reconcile("acme")).found == {}
    assert (await (await innkeeper.uninstall("acme")).result()).status is Status.UNINSTALLED
    assert (await scripts.pods(), await scripts.volumes()) == ({}, volumes)
    assert await cluster.get(Ref("v1", "Secret", SECRET, "shop")) is not None
    assert (await (await innkeeper.purge("acme")).result()).status is Status.PURGED
    assert await cluster.get(Ref("v1", "Namespace", "shop")) is None


async def test_an_adoption_that_fails_takes_its_marks_off_again(
    innkeeper: Innkeeper, cluster: KubernetesCluster, addresses: Addresses
) -> None:
    scripts = Scripts(cluster, addresses, "ill-shop")
    await scripts.install("ill")
    before = await scripts.labels()
    # A quota of nobody's that lets no pod be made any more: it runs, and is not as an instance should be.
    quota = {"name": marks.STOP_QUOTA, "namespace": "ill-shop"}
    no_pods = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": quota, "spec": {"hard": {"pods": "0"}}}
    await cluster.create(no_pods)
    pods = await scripts.pods()
    with pytest.raises(OperationFailed) as told:
        await (await innkeeper.adopt("ill", namespace="ill-shop", tenant="t1", plan="starter")).result()
    assert told.value.result is not None
    assert (told.value.result.outcome, told.value.cause.code) == (Outcome.UNDONE, "StillStopped")
    assert (await scripts.labels(), await scripts.pods()) == (before, pods)
    secret = await cluster.get(Ref("v1", "Secret", SECRET, "ill-shop"))
    assert secret is not None
    assert marks.PREFIX not in str(secret["metadata"].get("labels")) + str(secret["metadata"].get("annotations"))
    bindings = await cluster.list_objects("rbac.authorization.k8s.io/v1", "RoleBinding", namespace="ill-shop")
    assert bindings == []


async def test_storage_that_a_release_brings_along_counts_before_anything_is_marked(
    innkeeper: Innkeeper, cluster: KubernetesCluster, database: SupabaseDatabase, addresses: Addresses
) -> None:
    scripts = Scripts(cluster, addresses, "large-shop")
    await scripts.install("web", "database.storage.size=2Gi")
    told: dict[str, Any] = {"namespace": "large-shop", "release": "web", "tenant": "t-brings", "plan": "limited"}
    await (await innkeeper.provision("brings-one", tenant="t-brings", plan="limited")).result()
    before = await scripts.labels()
    with pytest.raises(Refused, match=r"has 1 GiB of storage, asks for 2 GiB, and plan limited allows 2\.5 GiB"):
        await (await innkeeper.adopt("brings-two", **told)).result()
    assert (await scripts.labels(), await database.instance("brings-two")) == (before, None)
    await (await innkeeper.uninstall("brings-one")).result()
    await (await innkeeper.purge("brings-one")).result()
    assert (await (await innkeeper.adopt("brings-two", **told)).result()).status is Status.RUNNING


@pytest.mark.usefixtures("worker")
async def test_the_command_shows_what_it_will_mark_and_asks(
    cluster: KubernetesCluster, addresses: Addresses, platform_env: dict[str, str], innkeeper: Innkeeper
) -> None:
    scripts = Scripts(cluster, addresses, "typed-shop")
    await scripts.install("web")
    words = ("adopt", "typed-shop", "--namespace", "typed-shop", "--release", "web", "-t", "t1", "-p", "starter")

    def typed() -> tuple[int, str]:
        terminal = on_terminal(*words, env=platform_env)
        terminal.expect(r"Adopt typed-shop\?")
        shown = str(terminal.before)
        terminal.sendline("n")
        return ended(terminal), shown

    dry = await asyncio.to_thread(run, *words, "--dry-run", env=platform_env)
    assert dry.code == 0, dry
    assert "2 pods run on untouched" in dry.out
    assert "mark   Namespace typed-shop" in dry.out
    document = (await asyncio.to_thread(run, *words, "--dry-run", "-o", "json", env=platform_env)).document
    jsonschema.validate(document, {**schema(), "$ref": "#/$defs/Adoption"})
    code, shown = await asyncio.to_thread(typed)
    assert (code, "ResourceQuota typed-shop/innkeeper" in shown) == (2, True)
    assert marks.PREFIX not in str(await scripts.labels())
    done = await asyncio.to_thread(run, *words, "--yes", env=platform_env)
    assert (done.code, done.out.splitlines()[-1]) == (0, "typed-shop is running at https://typed-shop.rooms.example")
    refused = await asyncio.to_thread(run, *words, "--dry-run", env=platform_env)
    assert (refused.code, "exists already and is running" in refused.err) == (2, True)
    with pytest.raises(Refused, match="carries the marks of another instance"):
        await innkeeper.preview_adoption("other", namespace="typed-shop", release="web", tenant="t1", plan="starter")
