"""How far workloads have come, a rule a line."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from workload_objects import (
    MADE,
    NAMESPACE,
    QUOTA,
    REVISION,
    STOPPED,
    claim,
    condition,
    daemon_set,
    deployment,
    job,
    obj,
    pod,
    refused,
    replica_set,
    stateful_set,
    waiting,
)

from innkeeper.model.health import Failed, Progressing, Ready, assess, is_stopped
from innkeeper.model.ports import Manifest, Ref


def using(claimed: str, **more: Any) -> Manifest:
    """A pod that uses a volume claim, and a volume of another kind."""
    volumes = [{"name": "settings", "configMap": {}}, {"persistentVolumeClaim": {"claimName": claimed}}]
    return pod(name="user", spec={"volumes": volumes}, **more)


def bare(kind: str, name: str) -> Manifest:
    """An object that no controller has looked at yet."""
    found = obj(kind, name)
    return {**found, "metadata": {key: found["metadata"][key] for key in ("name", "namespace", "uid")}}


READY: dict[str, tuple[Manifest, list[Manifest]]] = {
    "a Deployment with all counts": (deployment(), []),
    "a Deployment scaled to nothing": (deployment(0), []),
    "a StatefulSet with all counts": (stateful_set(), []),
    "a StatefulSet scaled to nothing while an update was under way": (stateful_set(0, currentRevision="db-1"), []),
    "a StatefulSet updated down to its partition": (
        stateful_set(3, spec={"updateStrategy": {"rollingUpdate": {"partition": 2}}}, updatedReplicas=1),
        [],
    ),
    "a StatefulSet that updates on delete, with old pods": (
        stateful_set(spec={"updateStrategy": {"type": "OnDelete"}}, updatedReplicas=0, currentRevision="db-1"),
        [],
    ),
    "a StatefulSet of an older API without availableReplicas": (stateful_set(availableReplicas=None), []),
    "a DaemonSet with all counts": (daemon_set(), []),
    "a DaemonSet that no node takes": (
        daemon_set(
            desiredNumberScheduled=0,
            currentNumberScheduled=0,
            updatedNumberScheduled=0,
            numberAvailable=0,
            numberReady=0,
        ),
        [],
    ),
    "a DaemonSet that updates on delete, with old pods": (
        daemon_set(spec={"updateStrategy": {"type": "OnDelete"}}, updatedNumberScheduled=0),
        [],
    ),
    "a ReplicaSet of its own": (replica_set(deployment()), []),
    "a Job that is complete": (job(conditions=[condition("Complete")]), []),
    "a Job that is suspended": (job(spec={"suspend": True}), []),
    "a volume claim that is bound": (claim("Bound"), []),
    "a volume claim that is bound, and used": (claim("Bound"), [using("data")]),
    "a volume claim that no pod uses": (claim("Pending"), [using("other"), obj("Pod", "bare")]),
    "a volume claim that no pod uses any more": (
        claim("Pending"),
        [{**using("data"), "status": {"phase": "Succeeded"}}],
    ),
    "a volume claim whose namesake elsewhere is used": (
        claim("Pending"),
        [using("data", metadata={"namespace": "inn-other"})],
    ),
    "a volume claim of which nothing is known": (obj("PersistentVolumeClaim", "data"), []),
    "a pod that is ready": (pod(), []),
    "a pod that has succeeded": (pod(status={"phase": "Succeeded"}), []),
    "a CronJob": (obj("CronJob", "nightly"), []),
}


PROGRESSING: dict[str, tuple[Manifest, list[Manifest], str]] = {
    "its controller has not seen the change": (
        deployment(observedGeneration=0),
        [],
        "its controller has not seen the change yet",
    ),
    "it is on its way out": (
        {**deployment(), "metadata": {**deployment()["metadata"], "deletionTimestamp": MADE}},
        [],
        "is being deleted",
    ),
    "pods are not updated": (deployment(updatedReplicas=1), [], "1 of 2 pods updated"),
    "old pods are still there": (
        {**deployment(), "status": {**deployment()["status"], "replicas": 3}},
        [],
        "1 old pods to go",
    ),
    "pods are not available": (deployment(availableReplicas=1), [], "1 of 2 pods available"),
    "pods are not ready": (deployment(readyReplicas=0), [], "0 of 2 pods ready"),
    "not available by its condition": (
        deployment(conditions=[condition("Available", "False")]),
        [],
        "not available",
    ),
    "its new ReplicaSet is not seen": (
        deployment(),
        [replica_set(deployment(), 1)],
        "its new ReplicaSet is not seen yet",
    ),
    "a Deployment is seen before its controller sees it": (bare("Deployment", "web"), [], "0 of 1 pods updated"),
    "its new ReplicaSet has no revision": (
        deployment(),
        [{**replica_set(deployment()), "metadata": {**replica_set(deployment())["metadata"], "annotations": None}}],
        "its new ReplicaSet is not seen yet",
    ),
    "a Deployment of a first revision has a ReplicaSet without any": (
        {**deployment(), "metadata": {**deployment()["metadata"], "annotations": {REVISION: "1"}}},
        [{**replica_set(deployment()), "metadata": {**replica_set(deployment())["metadata"], "annotations": {}}}],
        "its new ReplicaSet is not seen yet",
    ),
    "a ReplicaSet is seen before its controller sees it": (bare("ReplicaSet", "web-2"), [], "0 of 1 pods labelled"),
    "a ReplicaSet's pods are not labelled": (
        replica_set(deployment(), fullyLabeledReplicas=1),
        [],
        "1 of 2 pods labelled",
    ),
    "a ReplicaSet's pods are not available": (
        replica_set(deployment(), availableReplicas=1),
        [],
        "1 of 2 pods available",
    ),
    "a ReplicaSet scales down": (
        {**replica_set(deployment()), "spec": {"replicas": 1}},
        [],
        "1 old pods to go",
    ),
    "a StatefulSet is seen before its controller sees it": (bare("StatefulSet", "db"), [], "0 of 1 pods created"),
    "a DaemonSet is seen before its controller sees it": (
        bare("DaemonSet", "agent"),
        [],
        "its nodes are not counted yet",
    ),
    "a Job is seen before its controller sees it": (bare("Job", "setup"), [], "0 of 1 pods succeeded"),
    "a pod is seen before its node sees it": (bare("Pod", "web"), [], "not ready (no status yet)"),
    "a claim is used before its controller sees it": (
        bare("PersistentVolumeClaim", "data"),
        [using("data")],
        "not bound to a volume yet",
    ),
    "a StatefulSet makes its pods": (stateful_set(replicas=2, readyReplicas=1), [], "1 of 2 pods ready"),
    "a StatefulSet's pods wait minReadySeconds": (stateful_set(availableReplicas=0), [], "0 of 2 pods available"),
    "a StatefulSet updates": (stateful_set(updatedReplicas=1), [], "1 of 2 pods updated"),
    "a StatefulSet completes its update": (stateful_set(currentRevision="db-1"), [], "its update is being completed"),
    "a StatefulSet updates down to its partition": (
        stateful_set(3, spec={"updateStrategy": {"rollingUpdate": {"partition": 1}}}, updatedReplicas=1),
        [],
        "1 of 2 pods updated",
    ),
    "a StatefulSet that updates on delete lacks ready pods": (
        stateful_set(spec={"updateStrategy": {"type": "OnDelete"}}, readyReplicas=0),
        [],
        "0 of 2 pods ready",
    ),
    "a StatefulSet scales down": (
        {**stateful_set(), "spec": {"replicas": 1}},
        [],
        "1 old pods to go",
    ),
    "a DaemonSet's nodes are not counted": (
        obj("DaemonSet", "agent", spec={}, status={"observedGeneration": 1}),
        [],
        "its nodes are not counted yet",
    ),
    "a DaemonSet spreads": (daemon_set(currentNumberScheduled=1), [], "1 of 2 pods scheduled"),
    "a DaemonSet updates": (daemon_set(updatedNumberScheduled=1), [], "1 of 2 pods updated"),
    "a DaemonSet's pods are not available": (daemon_set(numberAvailable=1), [], "1 of 2 pods available"),
    "a DaemonSet's pods are not ready": (daemon_set(numberReady=1), [], "1 of 2 pods ready"),
    "a ReplicaSet makes its pods": (replica_set(deployment(), readyReplicas=1), [], "1 of 2 pods ready"),
    "a Job runs": (job(spec={"completions": 3}, succeeded=1, active=1), [], "1 of 3 pods succeeded"),
    "a Job has not begun": (job(), [], "0 of 1 pods succeeded"),
    "a Job's pod crashes: its backoffLimit decides": (
        job(active=1),
        [pod(job(), status=waiting("CrashLoopBackOff"))],
        "0 of 1 pods succeeded",
    ),
    "a volume claim that a pod uses is not bound": (
        claim("Pending"),
        [pod(spec={"volumes": [{"persistentVolumeClaim": {"claimName": "data"}}]})],
        "not bound to a volume yet",
    ),
    "a pod has not begun": (pod(status={}), [], "not ready (no status yet)"),
    "a pod is not ready": (pod(status={"phase": "Running"}), [], "not ready (Running)"),
    "a pod is created": (pod(status=waiting("ContainerCreating")), [], "not ready (Pending)"),
    "the quota of a stopped instance lingers": (
        {**stateful_set(), "status": {**stateful_set()["status"], "replicas": 0}},
        [refused(stateful_set(), STOPPED)],
        "0 of 2 pods created",
    ),
}


@pytest.mark.parametrize("case", READY)
def test_it_is_ready(case: str) -> None:
    wanted, others = READY[case]
    assert assess([Ref.to(wanted)], [wanted, *others]) == Ready()


@pytest.mark.parametrize("case", PROGRESSING)
def test_it_is_on_its_way_and_says_what_it_waits_for(case: str) -> None:
    wanted, others, text = PROGRESSING[case]
    found = assess([Ref.to(wanted)], [wanted, *others])
    assert isinstance(found, Progressing)
    assert found.waiting_for == f"{wanted['kind']} {wanted['metadata']['name']}: {text}"


@pytest.mark.parametrize(
    "wanted",
    [replica_set(deployment()), stateful_set(), daemon_set(), job(), claim("Bound"), pod()],
    ids=lambda one: one["kind"],
)
def test_what_is_being_deleted_is_not_ready(wanted: Manifest) -> None:
    leaving = {**wanted, "metadata": {**wanted["metadata"], "deletionTimestamp": MADE}}
    found = assess([Ref.to(wanted)], [leaving])
    assert found == Progressing(f"{wanted['kind']} {wanted['metadata']['name']}: is being deleted")


def test_a_namesake_in_another_namespace_is_another_object() -> None:
    elsewhere = {**deployment(1, readyReplicas=0), "metadata": {**deployment()["metadata"], "namespace": "inn-other"}}
    assert assess([Ref("apps/v1", "Deployment", "web", NAMESPACE)], [elsewhere, deployment()]) == Ready()


def test_what_has_no_readiness_of_its_own_is_ready_at_once() -> None:
    refs = [Ref("v1", "Service", "web"), Ref("v1", "ConfigMap", "web"), Ref("batch/v1", "CronJob", "nightly")]
    assert assess(refs, []) == Ready()
    assert assess([], []) == Ready()


def test_a_kind_of_another_group_by_the_same_name_is_not_judged() -> None:
    assert assess([Ref("batch.volcano.sh/v1alpha1", "Job", "setup")], []) == Ready()


def test_a_reference_without_a_namespace_means_the_one_that_is_watched() -> None:
    assert assess([Ref("apps/v1", "Deployment", "web")], [deployment()]) == Ready()
    elsewhere = Ref("apps/v1", "Deployment", "web", "inn-other")
    assert assess([elsewhere], [deployment()]) == Progressing("Deployment web: not there yet")


def test_an_older_version_of_the_api_means_the_same_object() -> None:
    assert assess([Ref("apps/v1beta2", "Deployment", "web")], [deployment()]) == Ready()


def test_what_has_no_readiness_of_its_own_hides_nothing_that_comes_after_it() -> None:
    refs = [Ref("v1", "Service", "web"), Ref("v1", "Pod", "missing")]
    assert assess(refs, []) == Progressing("Pod missing: not there yet")


def test_an_event_hides_no_object_that_is_seen_after_it() -> None:
    event = refused(stateful_set(), QUOTA)
    assert assess([Ref.to(deployment())], [event, deployment()]) == Ready()


def test_what_is_waited_for_is_named_up_to_three_and_counted() -> None:
    refs = [Ref("v1", "Pod", name) for name in "abcde"]
    shown = "; ".join(f"Pod {name}: not there yet" for name in "abc")
    assert assess(refs, []) == Progressing(f"{shown}; and 2 more")
    assert assess(refs[:3], []) == Progressing(shown)


def test_one_failure_is_told_although_others_are_on_their_way() -> None:
    broken = pod(name="broken", status=waiting("ErrImagePull"))
    refs = [Ref("v1", "Pod", "missing"), Ref.to(broken)]
    assert isinstance(assess(refs, [broken]), Failed)


def test_stopped_is_when_no_pod_may_run_any_more() -> None:
    assert is_stopped([])
    assert is_stopped([deployment(0), claim("Bound")])
    assert is_stopped([pod(status={"phase": "Succeeded"}), pod(status={"phase": "Failed"})])
    assert not is_stopped([pod()])
    assert not is_stopped([pod(status={})])
    assert not is_stopped([pod(metadata={"deletionTimestamp": MADE})])


WORLD = [wanted for wanted, _ in READY.values()] + [wanted for wanted, *_ in PROGRESSING.values()]


AROUND = [other for _, others, _ in PROGRESSING.values() for other in others]


worlds = st.lists(st.sampled_from([*WORLD, *AROUND]), max_size=12)


wants = st.lists(st.sampled_from([Ref.to(one) for one in WORLD if one["kind"] != "CronJob"]), min_size=1, max_size=6)


@given(wants, worlds)
def test_it_is_never_ready_while_something_wanted_is_missing(wanted: list[Ref], objects: list[Manifest]) -> None:
    there = {Ref.to(one) for one in objects}
    if not set(wanted) <= there:
        assert not isinstance(assess(wanted, objects), Ready)


@given(wants, worlds)
def test_judging_changes_nothing_and_says_the_same_again(wanted: list[Ref], objects: list[Manifest]) -> None:
    before = copy.deepcopy(objects)
    assert assess(wanted, objects) == assess(wanted, objects)
    assert objects == before


@given(wants, wants, worlds)
def test_all_are_ready_only_where_each_is(some: list[Ref], others: list[Ref], objects: list[Manifest]) -> None:
    both = isinstance(assess([*some, *others], objects), Ready)
    assert both == all(isinstance(assess([one], objects), Ready) for one in (*some, *others))


@given(wants, worlds)
def test_what_nobody_wants_fails_nothing(wanted: list[Ref], objects: list[Manifest]) -> None:
    foreign = obj("Pod", "foreign", status=waiting("ErrImagePull"))
    assert assess(wanted, [*objects, foreign]) == assess(wanted, objects)
