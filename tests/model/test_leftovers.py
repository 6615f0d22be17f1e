"""What is named as left behind is what should not be there, and nothing that stays on purpose."""

from __future__ import annotations

from typing import Any

import pytest

from innkeeper.model import marks
from innkeeper.model.instance import Kind, Status
from innkeeper.model.leftovers import MOST_NAMED, leftovers
from innkeeper.model.messages import Work
from innkeeper.model.ports import Manifest
from innkeeper.model.revision import STORAGE_TYPE


def work(kind: Kind = Kind.UNINSTALL) -> Work:
    return Work(
        request_id="r1",
        kind=kind,
        instance="acme",
        tenant="t1",
        plan="starter",
        namespace="inn-acme",
        release="acme",
        generation=2,
    )


def made(kind: str, name: str, *, owner: str = "", **more: Any) -> Manifest:
    meta: dict[str, Any] = {"name": name, "namespace": "inn-acme", "uid": f"uid-{name}", **more.pop("meta", {})}
    if owner:
        meta["ownerReferences"] = [{"uid": f"uid-{owner}", "controller": True}]
    return {"apiVersion": "v1", "kind": kind, "metadata": meta, **more}


def marked(kind: str, name: str, by: str, **labels: str) -> Manifest:
    ours = marks.labels(instance="acme", tenant="t1", plan="starter")
    return made(kind, name, meta={"labels": {**ours, **labels}, "annotations": {marks.CREATED_BY: by}})


def released(kind: str, name: str, release: str = "acme") -> Manifest:
    return made(kind, name, meta={"annotations": {"meta.helm.sh/release-name": release}})


KEPT = {"annotations": {"helm.sh/resource-policy": "keep"}}

ON_PURPOSE = [
    made("ConfigMap", "kube-root-ca.crt"),
    made("ServiceAccount", "default"),
    made("Secret", "sh.helm.release.v1.acme.v1", type=STORAGE_TYPE),
    made("PersistentVolumeClaim", "data-0"),
    made("ConfigMap", "kept", meta=KEPT),
    marked("Secret", "credentials", "r1", **{marks.DATA: "true"}),
    marked("ResourceQuota", "innkeeper", "r0"),
]

SOMEBODY_ELSES = [
    made("ConfigMap", "by-hand"),
    released("ConfigMap", "of-another-release", "other"),
    made("Pod", "debugging"),
]


@pytest.mark.parametrize("item", ON_PURPOSE, ids=lambda item: item["metadata"]["name"])
def test_what_stays_on_purpose_is_not_named(item: Manifest) -> None:
    assert leftovers([item], work()) == []


@pytest.mark.parametrize("item", SOMEBODY_ELSES, ids=lambda item: item["metadata"]["name"])
def test_what_somebody_else_put_there_is_not_named(item: Manifest) -> None:
    assert leftovers([item], work()) == []


def test_what_a_hook_left_is_named() -> None:
    hook = made("Job", "migrate", meta={"annotations": {"helm.sh/hook": "pre-upgrade"}})
    assert leftovers([hook], work()) == ["Job inn-acme/migrate"]


def test_a_pod_is_named_only_where_what_made_it_is_gone() -> None:
    stateful, pod = released("StatefulSet", "db"), made("Pod", "db-0", owner="db")
    assert leftovers([stateful, pod], work()) == ["StatefulSet inn-acme/db"]
    assert leftovers([pod], work()) == ["Pod inn-acme/db-0"]


def test_what_this_operation_put_around_the_release_is_named() -> None:
    assert leftovers([marked("ResourceQuota", "innkeeper", "r1")], work()) == ["ResourceQuota inn-acme/innkeeper"]


def test_of_a_repair_that_finishes_a_lost_purge_data_is_named_too() -> None:
    told = leftovers(ON_PURPOSE, work(Kind.REPAIR).model_copy(update={"goal": Status.PURGED}))
    assert "PersistentVolumeClaim inn-acme/data-0" in told


def test_of_a_purge_data_is_named_too() -> None:
    told = leftovers(ON_PURPOSE, work(Kind.PURGE))
    assert told == [
        "PersistentVolumeClaim inn-acme/data-0",
        "ConfigMap inn-acme/kept",
        "Secret inn-acme/credentials",
        "ResourceQuota inn-acme/innkeeper",
    ]


def test_what_is_too_much_to_name_is_counted() -> None:
    exactly = [released("Service", f"p-{number}") for number in range(MOST_NAMED)]
    assert len(leftovers(exactly, work())) == MOST_NAMED
    assert leftovers([*exactly, released("Service", "last")], work())[-1] == "and 1 more objects"
