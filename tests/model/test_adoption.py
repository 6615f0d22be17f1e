"""What an adoption marks, makes and leaves, decided from what stands in the namespace."""

from __future__ import annotations

import json
from typing import Any

import pytest
from works import work

from innkeeper.model import fence, marks
from innkeeper.model.adoption import (
    Found,
    demand_free,
    deployed,
    has_binding,
    mark_patch,
    missing,
    outline,
    secrets_to_mark,
    unmark_patch,
)
from innkeeper.model.catalog import Plan
from innkeeper.model.errors import BadInput
from innkeeper.model.instance import Kind
from innkeeper.model.manifests import write_yaml
from innkeeper.model.preview import Planned
from innkeeper.model.release import STORAGE_TYPE, pack
from innkeeper.model.surroundings import release_binding

WORK = work(kind=Kind.ADOPT, namespace="shop", release="web", request_id="r1")
OURS = {marks.MANAGED_BY: "innkeeper", marks.INSTANCE: "acme", marks.TENANT: "t1", marks.PLAN: "starter"}
SET: dict[str, Any] = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"}, "spec": {}}
FORGETFUL = {**SET, "spec": {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete"}}}
CONFIG: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}}


def plan(**told: Any) -> Plan:
    return Plan.model_validate({"chart": {"path": "room"}, **told})


def an_object(kind: str, name: str, version: str = "v1", **meta: Any) -> dict[str, Any]:
    place = {} if kind == "Namespace" else {"namespace": "shop"}
    told = {"name": name, "resourceVersion": "7", "uid": f"uid-{name}", **place, **meta}
    return {"apiVersion": version, "kind": kind, "metadata": told}


def record(version: int, state: str = "deployed", release: str = "web", *objects: Any) -> dict[str, Any]:
    """A revision as Helm stores it."""
    labels = {"owner": "helm", "name": release, "version": str(version), "status": state}
    chart = {"metadata": {"name": "room", "version": "0.1.0"}}
    manifest = "".join(f"---\n{write_yaml(each)}\n" for each in objects or (SET,))
    data = {"release": pack({"manifest": manifest, "chart": chart})}
    found = an_object("Secret", f"sh.helm.release.v1.{release}.v{version}", labels=labels)
    return {**found, "type": STORAGE_TYPE, "data": data}


def found(*secrets: Any, namespace: Any = None, **told: Any) -> Found:
    usual: dict[str, Any] = {"around": [], "workloads": [], "pods": [], "claims": []}
    space = namespace or an_object("Namespace", "shop")
    return Found(namespace=space, secrets=secrets or (record(1),), **{**usual, **told})


@pytest.mark.parametrize(
    "labels", [None, {}, {"team": "a", marks.MANAGED_BY: "argocd"}, OURS, {**OURS, marks.PLAN: "another"}]
)
def test_a_namespace_of_nobodys_or_of_this_instance_is_free(labels: dict[str, str] | None) -> None:
    demand_free(an_object("Namespace", "shop", labels=labels), WORK)


@pytest.mark.parametrize(
    "labels",
    [{marks.MANAGED_BY: "innkeeper"}, {marks.INSTANCE: "acme"}, {marks.TENANT: "t1"}, {**OURS, marks.TENANT: "t2"}],
)
def test_a_namespace_with_other_marks_is_not_free(labels: dict[str, str]) -> None:
    with pytest.raises(BadInput, match="carries the marks of another instance") as told:
        demand_free(an_object("Namespace", "shop", labels=labels), WORK)
    assert told.value.cause.code == "NotOurs"


def test_a_namespace_that_is_going_is_not_free() -> None:
    with pytest.raises(BadInput, match="is being deleted"):
        demand_free(an_object("Namespace", "shop", deletionTimestamp="2026-01-01T00:00:00Z"), WORK)


def test_the_one_deployed_revision_is_what_is_adopted() -> None:
    secrets = (record(1, "superseded"), record(2), record(9, "uninstalled", "other"))
    assert deployed(found(*secrets), WORK).version == 2


@pytest.mark.parametrize(
    ("secrets", "said"),
    [
        ((an_object("Secret", "credentials"),), "'web' is no release in namespace shop."),
        ((record(1, "uninstalled"),), "'web' is no release in namespace shop."),
        (
            (record(1, "deployed", "b"), record(1, "failed", "a")),
            "'web' is no release in namespace shop; there is a, b.",
        ),
        ((record(1), record(1, "failed", "other")), "'shop' holds other releases, too: other."),
        ((record(1), record(2, "failed")), "'web' is not settled: its newest is revision 2 (failed)."),
        ((record(1), record(2)), "'web' is not settled: its newest is revision 2 (deployed)."),
        (
            (record(1, "deployed", "web", {**CONFIG, "metadata": {"name": "settings", "namespace": "default"}}),),
            "'web' has ConfigMap default/settings, outside its namespace.",
        ),
    ],
)
def test_a_release_that_cannot_be_an_instances_is_refused(secrets: tuple[Any, ...], said: str) -> None:
    with pytest.raises(BadInput) as told:
        deployed(found(*secrets), WORK)
    assert told.value.cause.message.endswith(said)


def test_an_object_that_names_the_releases_namespace_is_no_hindrance() -> None:
    named = {**CONFIG, "metadata": {"name": "settings", "namespace": "shop"}}
    assert deployed(found(record(1, "deployed", "web", named)), WORK).version == 1


def test_a_binding_of_others_is_refused_and_an_own_one_found() -> None:
    own = {**release_binding(WORK), "apiVersion": fence.RBAC}
    assert has_binding(found(), WORK) is False
    assert has_binding(found(around=[an_object("RoleBinding", "theirs"), own]), WORK) is True
    with pytest.raises(BadInput, match="so nobody can be given the right to run Helm there") as told:
        has_binding(found(around=[an_object("RoleBinding", fence.BINDING)]), WORK)
    assert told.value.cause.code == "FenceNotOurs"


def merged(manifest: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """The object after a merge patch of its labels and annotations."""
    meta = {**manifest["metadata"]}
    for part in ("labels", "annotations"):
        changed = {**(meta.get(part) or {}), **patch["metadata"][part]}
        meta[part] = {name: value for name, value in changed.items() if value is not None}
    return {**manifest, "metadata": meta}


@pytest.mark.parametrize("data", [False, True])
@pytest.mark.parametrize("before", [{}, {"team": "a"}, {marks.MANAGED_BY: "argocd", marks.DATA: "no"}])
def test_marks_go_on_and_come_off_exactly(before: dict[str, str], data: bool) -> None:
    thing = an_object("Secret", "credentials", labels=before, annotations={"note": "x"})
    patch = mark_patch(thing, WORK, data=data)
    assert patch is not None
    assert patch["metadata"]["resourceVersion"] == "7"
    marked = merged(thing, patch)
    assert marks.is_ours(marked, "acme", "t1")
    assert (marked["metadata"]["labels"].get(marks.DATA) == "true") is data
    assert json.loads(marked["metadata"]["annotations"][marks.BEFORE_ADOPTION]) == {
        name: before.get(name) for name in ({**OURS, marks.DATA: "true"} if data else OURS)
    }
    assert mark_patch(marked, WORK, data=data) is None
    assert unmark_patch(marked, WORK.model_copy(update={"request_id": "r2"})) is None
    off = unmark_patch(marked, WORK)
    assert off is not None
    assert off["metadata"]["resourceVersion"] == "7"
    assert merged(marked, off) == thing
    assert unmark_patch(thing, WORK) is None


def test_what_has_no_labels_at_all_is_marked_like_any_other() -> None:
    patch = mark_patch(an_object("Namespace", "shop"), WORK)
    assert patch is not None
    assert json.loads(patch["metadata"]["annotations"][marks.BEFORE_ADOPTION]) == dict.fromkeys(OURS)
    assert unmark_patch(an_object("Namespace", "shop"), WORK) is None


OWN: dict[str, Any] = {"annotations": {"meta.helm.sh/release-name": "web"}}


def test_secrets_of_the_plans_names_are_marked_but_for_the_releases_own() -> None:
    secrets = [
        an_object("Secret", "made"),
        an_object("Secret", "pull"),
        an_object("Secret", "chart", **OWN),
        an_object("Secret", "others"),
    ]
    wanted = plan(
        secrets=[
            {"name": "made", "generate": {"password": 20}},
            {"name": "pull", "copy": "registry"},
            {"name": "chart", "generate": {"password": 20}},
            {"name": "absent", "generate": {"password": 20}},
        ]
    )
    there = found(*secrets)
    assert [each["metadata"]["name"] for each in secrets_to_mark(there, WORK, wanted)] == ["made", "pull"]
    left = {each.object: each.what for each in outline(there, WORK, wanted, deployed(found(), WORK)).left}
    assert left["Secret shop/chart"].startswith("is the release's own, and not marked")
    assert left["Secret shop/pull"].startswith("is kept as it is: an upgrade that would copy over it is refused")
    assert left["Secret shop/absent"] == "is not there: the next upgrade makes it"
    assert "Secret shop/made" not in left


ALL = {"quota": {"pods": "2"}, "container_defaults": {"default": {"cpu": "1"}}}
POD = {"metadata": {"name": "web-0"}, "spec": {"containers": [{"name": "main"}]}, "status": {"phase": "Running"}}
ENDED = {**POD, "status": {"phase": "Succeeded"}}


def kinds(there: Found, wanted: Plan) -> list[str]:
    return [each["kind"] for each in missing(there, WORK, wanted)]


def test_what_the_plan_asks_for_is_made_where_the_pods_fit() -> None:
    assert kinds(found(pods=[POD, POD, ENDED]), plan(**ALL)) == ["ResourceQuota", "LimitRange", "NetworkPolicy"]
    assert kinds(found(pods=[POD, POD, POD]), plan(**ALL)) == ["LimitRange", "NetworkPolicy"]
    assert kinds(found(), plan(network="open")) == []


@pytest.mark.parametrize("kind", ["ResourceQuota", "LimitRange", "NetworkPolicy"])
def test_a_kind_that_others_have_put_there_is_left_to_them(kind: str) -> None:
    there = found(around=[an_object(kind, "theirs")])
    assert kind not in kinds(there, plan(**ALL))
    told = [each.what for each in outline(there, WORK, plan(**ALL), deployed(found(), WORK)).left]
    assert "is not made: theirs of others stands there" in told
    own = found(around=[an_object(kind, "innkeeper", labels=OURS)])
    assert kind in kinds(own, plan(**ALL))


def test_the_defaults_count_only_where_they_will_be_set() -> None:
    wanted = plan(quota={"limits.cpu": "1"}, container_defaults={"default": {"cpu": "1"}}, network="open")
    assert kinds(found(pods=[POD]), wanted) == ["ResourceQuota", "LimitRange"]
    assert kinds(found(pods=[POD], around=[an_object("LimitRange", "theirs")]), wanted) == []


def test_an_outline_tells_object_by_object() -> None:
    of_web = an_object("Deployment", "web", "apps/v1", **OWN)
    of_cron = an_object("Job", "nightly-1", "batch/v1", ownerReferences=[{"controller": True}])
    there = found(
        record(3, "deployed", "web", FORGETFUL),
        an_object("Secret", "made", labels={marks.MANAGED_BY: "sealed-secrets"}),
        namespace=an_object("Namespace", "shop", labels={"pod-security.kubernetes.io/enforce": "privileged"}),
        around=[an_object("ResourceQuota", "innkeeper", labels=OURS)],
        workloads=[of_web, of_cron, an_object("CronJob", "nightly", "batch/v1")],
        pods=[POD, ENDED],
    )
    wanted = plan(**ALL, secrets=[{"name": "made", "generate": {"password": 20}}])
    seen = outline(there, WORK, wanted, deployed(there, WORK))
    told = seen.model_dump(include={"instance", "tenant", "plan", "namespace", "release", "revision", "chart", "pods"})
    assert tuple(told.values()) == ("acme", "t1", "starter", "shop", "web", 3, "room-0.1.0", 1)
    labels = [f"{name}={value}" for name, value in OURS.items()]
    assert seen.marked == [
        Planned(object="Namespace shop", what=", ".join(labels)),
        Planned(
            object="Secret shop/made",
            what=", ".join([f"{labels[0]} (was sealed-secrets)", *labels[1:], "innkeeper.dev/data=true"]),
        ),
    ]
    assert seen.made == [
        Planned(object="LimitRange shop/innkeeper", what="what containers get that ask for nothing"),
        Planned(object="NetworkPolicy shop/innkeeper-isolated", what="pods of other instances cannot reach this one's"),
        Planned(object="RoleBinding shop/innkeeper-release", what="says whose Helm may work here"),
    ]
    assert seen.left == [
        Planned(object="Namespace shop", what="Pod Security stays privileged: the next upgrade sets baseline"),
        Planned(
            object="StatefulSet shop/db",
            what="forgets to keep its volumes: an uninstall asks first (WouldLoseData) until the instance was upgraded",
        ),
    ]
    assert seen.beside == ["CronJob shop/nightly"]
    assert seen.asked_before is False


def test_what_is_as_the_plan_wants_it_is_not_told() -> None:
    labels = {**OURS, "pod-security.kubernetes.io/enforce": "baseline"}
    around = [{**release_binding(WORK), "apiVersion": fence.RBAC}]
    there = found(namespace=an_object("Namespace", "shop", labels=labels), around=around)
    seen = outline(there, WORK, plan(network="open"), deployed(there, WORK))
    assert (seen.marked, seen.made, seen.left, seen.beside) == ([], [], [], [])


def test_a_quota_says_what_it_allows() -> None:
    seen = outline(found(), WORK, plan(quota={"pods": "2", "limits.cpu": "4"}), deployed(found(), WORK))
    assert seen.made[0] == Planned(object="ResourceQuota shop/innkeeper", what="pods 2, limits.cpu 4")
