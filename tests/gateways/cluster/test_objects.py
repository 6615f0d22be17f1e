"""What every cluster does with objects, in memory and on a real API server: the same tests, so neither can lie."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from cluster_objects import (
    PATIENCE,
    config_map,
    gone,
    settled,
    stateful_set,
    workload,
)

from innkeeper.model import health
from innkeeper.model.errors import AlreadyExists, BadInput, Conflict, Permanent
from innkeeper.model.ports import Cluster, Ref


async def test_what_was_created_is_read_back_with_uid_version_and_labels(cluster: Cluster, namespace: str) -> None:
    manifest = config_map(namespace, colour="red")
    manifest["metadata"]["labels"] = {"part": "one"}
    made = await cluster.create(manifest)
    found = await cluster.get(Ref.to(manifest))
    assert found == made
    assert found["metadata"]["uid"]
    assert int(found["metadata"]["resourceVersion"]) > 0
    assert found["metadata"]["creationTimestamp"].endswith("Z")
    assert (found["data"], found["metadata"]["labels"]) == ({"colour": "red"}, {"part": "one"})


async def test_what_is_not_there_is_none(cluster: Cluster, namespace: str) -> None:
    ref = Ref("v1", "ConfigMap", "nothing", namespace)
    assert await cluster.get(ref) is None
    assert await cluster.patch(ref, {"data": {"a": "b"}}) is None
    assert await cluster.delete(ref, uid="00000000-0000-0000-0000-000000000000") is False


async def test_a_kind_that_nobody_knows_is_nothing_to_read_and_an_error_to_write(
    cluster: Cluster, namespace: str
) -> None:
    ref = Ref("stable.example.com/v1", "Guest", "one", namespace)
    assert await cluster.is_namespaced(ref.api_version, ref.kind) is None
    assert await cluster.get(ref) is None
    assert await cluster.patch(ref, {}) is None
    assert await cluster.delete(ref, uid="x") is False
    manifest = {"apiVersion": ref.api_version, "kind": ref.kind, "metadata": {"name": "one", "namespace": namespace}}
    for act in (cluster.create(manifest), cluster.apply(manifest), cluster.list_objects(ref.api_version, ref.kind)):
        with pytest.raises(Permanent, match="Guest") as refused:
            await act
        assert refused.value.cause.code == "UnknownKind"


async def test_kinds_are_namespaced_or_not(cluster: Cluster) -> None:
    assert await cluster.is_namespaced("v1", "Pod") is True
    assert await cluster.is_namespaced("apps/v1", "StatefulSet") is True
    assert await cluster.is_namespaced("v1", "Namespace") is False
    assert await cluster.is_namespaced("v1", "Nonsense") is None
    assert await cluster.is_namespaced("rbac.authorization.k8s.io/v1", "ClusterRole") is False


async def test_what_the_server_knows_is_told_as_charts_ask_for_it(cluster: Cluster) -> None:
    known = await cluster.api_versions()
    assert {"v1", "v1/Pod", "apps/v1", "apps/v1/Deployment", "policy/v1/PodDisruptionBudget"} <= set(known)
    assert "apps/v1/Nonsense" not in known


async def test_a_namespaced_object_without_a_namespace_is_bad_input(cluster: Cluster) -> None:
    with pytest.raises(BadInput, match="namespace"):
        await cluster.get(Ref("v1", "ConfigMap", "settings"))


async def test_creating_a_name_that_is_taken_is_refused(cluster: Cluster, namespace: str) -> None:
    await cluster.create(config_map(namespace, colour="red"))
    with pytest.raises(AlreadyExists) as refused:
        await cluster.create(config_map(namespace, colour="blue"))
    assert refused.value.cause.object == f"ConfigMap {namespace}/settings"
    with pytest.raises(AlreadyExists):
        await cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})


async def test_a_dry_run_changes_nothing_and_refuses_what_a_create_would(cluster: Cluster, namespace: str) -> None:
    shown = await cluster.create(config_map(namespace), dry_run=True)
    assert shown["metadata"]["name"] == "settings"
    assert await cluster.get(Ref.to(shown)) is None
    await cluster.create(config_map(namespace))
    with pytest.raises(AlreadyExists):
        await cluster.create(config_map(namespace), dry_run=True)


@pytest.mark.parametrize("act", ["create", "apply"])
async def test_nothing_can_be_made_in_a_namespace_that_is_missing(cluster: Cluster, act: str) -> None:
    with pytest.raises(Permanent, match="not found") as refused:
        await getattr(cluster, act)(config_map("inn-nowhere"))
    assert refused.value.cause.code == "NotFound"
    assert "namespace" in refused.value.cause.fix


async def test_what_is_invalid_is_refused_with_its_reason(cluster: Cluster, namespace: str) -> None:
    with pytest.raises(Permanent, match="RFC 1123") as refused:
        await cluster.create(config_map(namespace, name="Not_A_Name"))
    assert refused.value.cause.code == "Invalid"
    broken = workload(namespace, "Deployment", "web")
    del broken["spec"]["template"]["spec"]
    with pytest.raises(Permanent, match="containers"):
        await cluster.create(broken)


async def test_a_secret_is_stored_encoded_and_its_text_is_never_in_a_refusal(cluster: Cluster, namespace: str) -> None:
    made = await cluster.create(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "key", "namespace": namespace},
            "stringData": {"password": "hunter2"},
        }
    )
    assert made["data"] == {"password": "aHVudGVyMg=="}
    assert "stringData" not in made
    with pytest.raises(Permanent) as refused:
        await cluster.create(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "Key!", "namespace": namespace},
                "stringData": {"bad key hunter2": "hunter2"},
            }
        )
    assert refused.value.cause.code == "Invalid"
    assert "aHVudGVyMg" not in str(refused.value)


async def test_an_apply_makes_and_then_changes_an_object_and_keeps_what_others_wrote(
    cluster: Cluster, namespace: str
) -> None:
    made = await cluster.apply(config_map(namespace, colour="red", size="big"))
    ref = Ref.to(made)
    await cluster.patch(ref, {"metadata": {"annotations": {"seen": "yes"}}, "data": {"other": "kept"}})
    changed = await cluster.apply(config_map(namespace, colour="blue"))
    assert changed["data"] == {"colour": "blue", "other": "kept"}
    assert changed["metadata"]["uid"] == made["metadata"]["uid"]
    assert changed["metadata"]["annotations"]["seen"] == "yes"


async def test_an_apply_takes_over_a_field_that_another_wrote(cluster: Cluster, namespace: str) -> None:
    made = await cluster.create(config_map(namespace, colour="red"))
    await cluster.patch(Ref.to(made), {"data": {"colour": "green"}})
    changed = await cluster.apply(config_map(namespace, colour="blue"))
    assert changed["data"]["colour"] == "blue"


async def test_an_apply_with_a_uid_reaches_only_that_object(cluster: Cluster, namespace: str) -> None:
    meant = config_map(namespace, colour="blue")
    meant["metadata"]["uid"] = "11111111-1111-1111-1111-111111111111"
    with pytest.raises(Conflict):
        await cluster.apply(meant)
    assert await cluster.get(Ref.to(meant)) is None
    made = await cluster.create(config_map(namespace, colour="red"))
    with pytest.raises(Conflict):
        await cluster.apply(meant)
    meant["metadata"]["uid"] = made["metadata"]["uid"]
    assert (await cluster.apply(meant))["data"] == {"colour": "blue"}


async def test_a_merge_patch_adds_changes_and_removes(cluster: Cluster, namespace: str) -> None:
    made = await cluster.create(config_map(namespace, colour="red", size="big"))
    changed = await cluster.patch(Ref.to(made), {"data": {"colour": "blue", "size": None, "new": "one"}})
    assert changed is not None
    assert changed["data"] == {"colour": "blue", "new": "one"}
    assert changed["metadata"]["resourceVersion"] != made["metadata"]["resourceVersion"]


async def test_a_patch_that_changes_nothing_makes_no_new_version(cluster: Cluster, namespace: str) -> None:
    made = await cluster.create(config_map(namespace, colour="red"))
    same = await cluster.patch(Ref.to(made), {"data": {"colour": "red"}})
    assert same is not None
    assert same["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


async def test_a_patch_onto_an_older_version_is_a_conflict(cluster: Cluster, namespace: str) -> None:
    made = await cluster.create(config_map(namespace, colour="red"))
    ref, version = Ref.to(made), made["metadata"]["resourceVersion"]
    await cluster.patch(ref, {"data": {"colour": "green"}})
    with pytest.raises(Conflict) as refused:
        await cluster.patch(ref, {"metadata": {"resourceVersion": version}, "data": {"colour": "blue"}})
    assert refused.value.cause.object == str(ref)
    found = await cluster.get(ref)
    assert found is not None
    assert found["data"] == {"colour": "green"}


async def test_twenty_patches_onto_one_version_let_one_through(cluster: Cluster, namespace: str) -> None:
    made = await cluster.create(config_map(namespace, winner="none"))
    version = made["metadata"]["resourceVersion"]
    patches = [
        cluster.patch(Ref.to(made), {"metadata": {"resourceVersion": version}, "data": {"winner": str(number)}})
        for number in range(20)
    ]
    outcomes = await asyncio.gather(*patches, return_exceptions=True)
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 19


async def test_the_generation_counts_changes_of_the_spec_only(cluster: Cluster, namespace: str) -> None:
    made = await cluster.create(workload(namespace, "Deployment", "web", replicas=0))
    labelled = await cluster.patch(Ref.to(made), {"metadata": {"labels": {"a": "b"}}})
    scaled = await cluster.patch(Ref.to(made), {"spec": {"replicas": 1}})
    assert labelled is not None
    assert scaled is not None
    assert (labelled["metadata"]["generation"], scaled["metadata"]["generation"]) == (1, 2)


async def test_a_status_that_comes_with_a_patch_is_ignored(cluster: Cluster, namespace: str) -> None:
    made = await cluster.create(workload(namespace, "Deployment", "web", replicas=0))
    changed = await cluster.patch(Ref.to(made), {"status": {"readyReplicas": 7}})
    assert changed is not None
    assert changed.get("status", {}).get("readyReplicas") != 7


async def test_a_delete_takes_the_object_with_that_uid_only(cluster: Cluster, namespace: str) -> None:
    made = await cluster.create(config_map(namespace))
    ref = Ref.to(made)
    assert await cluster.delete(ref, uid="11111111-1111-1111-1111-111111111111") is False
    assert await cluster.get(ref) is not None
    assert await cluster.delete(ref, uid=made["metadata"]["uid"]) is True
    assert await cluster.get(ref) is None
    assert await cluster.delete(ref, uid=made["metadata"]["uid"]) is False


async def test_a_finalizer_holds_an_object_until_it_is_removed(cluster: Cluster, namespace: str) -> None:
    manifest = config_map(namespace)
    manifest["metadata"]["finalizers"] = ["example.com/hold"]
    made = await cluster.create(manifest)
    ref, uid = Ref.to(made), made["metadata"]["uid"]
    assert await cluster.delete(ref, uid=uid) is True
    found = await cluster.get(ref)
    assert found is not None
    assert found["metadata"]["deletionTimestamp"]
    await cluster.patch(ref, {"metadata": {"finalizers": None}})
    assert await cluster.get(ref) is None


async def test_dependents_go_with_their_owner(cluster: Cluster, namespace: str) -> None:
    made = await cluster.create(workload(namespace, "Deployment", "web"))
    assert await settled(cluster, namespace, Ref.to(made)) == health.Ready()
    await cluster.delete(Ref.to(made), uid=made["metadata"]["uid"])
    async with asyncio.timeout(PATIENCE), cluster.watch(namespace) as watch:
        while not health.is_stopped(watch.objects()):
            await watch.changed()
    assert await cluster.list_objects("v1", "Pod", namespace=namespace) == []


async def test_lists_are_by_namespace_and_labels_and_their_items_say_what_they_are(
    cluster: Cluster, namespace: str
) -> None:
    for name, part in (("a", "one"), ("b", "two"), ("c", "one")):
        manifest = config_map(namespace, name=name)
        manifest["metadata"]["labels"] = {"part": part, "of": namespace}
        await cluster.create(manifest)
    found = await cluster.list_objects("v1", "ConfigMap", namespace=namespace, labels={"part": "one"})
    assert [Ref.to(one) for one in found] == [Ref("v1", "ConfigMap", name, namespace) for name in ("a", "c")]
    everywhere = await cluster.list_objects("v1", "ConfigMap", labels={"of": namespace})
    assert len(everywhere) == 3
    assert await cluster.list_objects("v1", "Secret", namespace="inn-nowhere") == []


async def test_the_contents_of_a_namespace_name_every_kind(cluster: Cluster, namespace: str) -> None:
    await cluster.create(config_map(namespace, name="mine"))
    await cluster.create(workload(namespace, "Deployment", "web", replicas=0))
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "runner", "namespace": namespace}}
    await cluster.create(account)
    found = {(one["kind"], one["metadata"]["name"]) for one in await cluster.contents(namespace)}
    assert {("ConfigMap", "mine"), ("Deployment", "web"), ("ServiceAccount", "runner")} <= found
    assert "Event" not in {kind for kind, _ in found}
    assert await cluster.contents("inn-nowhere") == []


async def test_a_deleted_namespace_takes_its_content_along(cluster: Cluster, namespace: str) -> None:
    made = await cluster.create(stateful_set(namespace))
    assert await settled(cluster, namespace, Ref.to(made)) == health.Ready()
    ref = Ref("v1", "Namespace", namespace)
    found = await cluster.get(ref)
    assert found is not None
    await cluster.delete(ref, uid=found["metadata"]["uid"])
    assert await gone(cluster, ref)
    assert await cluster.contents(namespace) == []


async def test_a_namespace_that_something_holds_takes_nothing_new_and_names_what_holds_it(
    cluster: Cluster, namespace: str
) -> None:
    manifest = config_map(namespace, name="holder")
    manifest["metadata"]["finalizers"] = ["example.com/hold"]
    await cluster.create(manifest)
    ref = Ref("v1", "Namespace", namespace)
    found = await cluster.get(ref)
    assert found is not None
    assert await cluster.delete(ref, uid=found["metadata"]["uid"]) is True
    assert await cluster.delete(ref, uid=found["metadata"]["uid"]) is True
    with pytest.raises(Conflict, match="terminat") as refused:
        await cluster.create(config_map(namespace, name="late"))
    assert refused.value.cause.code == "NamespaceTerminating"
    async with asyncio.timeout(PATIENCE):
        while [one["metadata"]["name"] for one in await cluster.contents(namespace)] != ["holder"]:
            await asyncio.sleep(0.05)
    await cluster.patch(Ref.to(manifest), {"metadata": {"finalizers": None}})
    assert await gone(cluster, ref)


async def test_the_clock_is_the_servers_and_the_version_is_named(cluster: Cluster) -> None:
    before = datetime.now(UTC)
    now = await cluster.now()
    assert now.tzinfo is not None
    assert before - timedelta(seconds=5) < now < datetime.now(UTC) + timedelta(seconds=5)
    assert (await cluster.version()).startswith("v1.")
