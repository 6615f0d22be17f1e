"""How far workloads have come, a rule a line."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from innkeeper.model.errors import Cause
from innkeeper.model.health import Failed, Progressing, Ready, assess, is_stopped
from innkeeper.model.ports import Manifest, Ref

NAMESPACE = "inn-acme"
MADE = "2026-01-01T10:00:00Z"
BEFORE, AFTER = "2026-01-01T09:59:59Z", "2026-01-01T10:00:01Z"
VERSIONS = {
    "Deployment": "apps/v1",
    "ReplicaSet": "apps/v1",
    "StatefulSet": "apps/v1",
    "DaemonSet": "apps/v1",
    "Job": "batch/v1",
    "CronJob": "batch/v1",
}
READY_POD: dict[str, Any] = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
REVISION = "deployment.kubernetes.io/revision"


def obj(kind: str, name: str, *, owner: Manifest | None = None, **more: Any) -> Manifest:
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": NAMESPACE,
        "uid": f"uid-of-{kind}-{name}",
        "generation": 1,
        "creationTimestamp": MADE,
        **more.pop("metadata", {}),
    }
    if owner is not None:
        metadata["ownerReferences"] = [{"uid": owner["metadata"]["uid"], "kind": owner["kind"], "controller": True}]
    return {"apiVersion": VERSIONS.get(kind, "v1"), "kind": kind, "metadata": metadata, **more}


def deployment(replicas: int = 2, **status: Any) -> Manifest:
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), replicas)
    return obj(
        "Deployment",
        "web",
        metadata={"annotations": {REVISION: "2"}},
        spec={"replicas": replicas},
        status={"observedGeneration": 1, **counts, **status},
    )


def replica_set(owner: Manifest, revision: int = 2, replicas: int = 2, **status: Any) -> Manifest:
    counts = dict.fromkeys(("replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas"), replicas)
    return obj(
        "ReplicaSet",
        f"web-{revision}",
        owner=owner,
        metadata={"annotations": {REVISION: str(revision)}},
        spec={"replicas": replicas},
        status={"observedGeneration": 1, **counts, **status},
    )


def stateful_set(replicas: int = 2, *, spec: dict[str, Any] | None = None, **status: Any) -> Manifest:
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), replicas)
    revisions = {"currentRevision": "db-2", "updateRevision": "db-2"}
    return obj(
        "StatefulSet",
        "db",
        spec={"replicas": replicas, **(spec or {})},
        status={"observedGeneration": 1, **counts, **revisions, **status},
    )


def daemon_set(*, spec: dict[str, Any] | None = None, **status: Any) -> Manifest:
    names = ("desiredNumberScheduled", "currentNumberScheduled", "updatedNumberScheduled", "numberAvailable")
    return obj(
        "DaemonSet",
        "agent",
        metadata={"annotations": {"deprecated.daemonset.template.generation": "2"}},
        spec=spec or {},
        status={"observedGeneration": 1, **dict.fromkeys((*names, "numberReady"), 2), **status},
    )


def job(*, spec: dict[str, Any] | None = None, **status: Any) -> Manifest:
    return obj("Job", "setup", spec=spec or {}, status=status)


def condition(kind: str, status: str = "True", **more: str) -> dict[str, str]:
    return {"type": kind, "status": status, **more}


def pod(
    owner: Manifest | None = None, name: str = "web-2-x", *, labels: dict[str, str] | None = None, **more: Any
) -> Manifest:
    metadata = {"labels": labels or {}, **more.pop("metadata", {})}
    return obj("Pod", name, owner=owner, metadata=metadata, **{"status": READY_POD, "spec": {}, **more})


def waiting(reason: str, message: str = "", *, init: bool = False, **more: Any) -> dict[str, Any]:
    field = "initContainerStatuses" if init else "containerStatuses"
    one = {"name": "main", "image": "shop/web:9", "state": {"waiting": {"reason": reason, "message": message}}, **more}
    return {"phase": "Pending", field: [one]}


def refused(about: Manifest, message: str, seen: str = AFTER, **more: Any) -> Manifest:
    uid = more.pop("uid", about["metadata"]["uid"])
    about = {"kind": about["kind"], "name": about["metadata"]["name"], "uid": uid}
    return obj(
        "Event",
        "told",
        involvedObject=about,
        type="Warning",
        reason="FailedCreate",
        message=message,
        **{"lastTimestamp": seen, **more},
    )


def claim(phase: str | None) -> Manifest:
    return obj("PersistentVolumeClaim", "data", status={"phase": phase} if phase else {})


QUOTA = 'pods "x" is forbidden: exceeded quota: plan, requested: pods=1, used: pods=2, limited: pods=2'
STOPPED = 'pods "x" is forbidden: exceeded quota: stop, requested: pods=1, used: pods=0, limited: pods=0'
SECURITY = 'pods "x" is forbidden: violates PodSecurity "restricted:latest": privileged'
NO_ACCOUNT = (
    'pods "x" is forbidden: error looking up service account inn-acme/default: serviceaccount "default" not found'
)

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
    "a volume claim that no pod uses": (claim("Pending"), []),
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
    "a pod's volumes are being bound": (
        pod(
            status={
                "phase": "Pending",
                "conditions": [
                    condition(
                        "PodScheduled",
                        "False",
                        reason="Unschedulable",
                        message="pod has unbound immediate PersistentVolumeClaims",
                    )
                ],
            }
        ),
        [],
        "not ready (Pending)",
    ),
    "room is made for a pod": (
        pod(
            status={
                "phase": "Pending",
                "nominatedNodeName": "node-1",
                "conditions": [condition("PodScheduled", "False", reason="Unschedulable", message="Insufficient cpu")],
            }
        ),
        [],
        "not ready (Pending)",
    ),
    "a pod is created": (pod(status=waiting("ContainerCreating")), [], "not ready (Pending)"),
    "the quota of a stopped instance lingers": (
        {**stateful_set(), "status": {**stateful_set()["status"], "replicas": 0}},
        [refused(stateful_set(), STOPPED)],
        "0 of 2 pods created",
    ),
}


def lacking() -> Manifest:
    """A StatefulSet that has none of its pods."""
    return {**stateful_set(), "status": {**stateful_set()["status"], "replicas": 0, "readyReplicas": 0}}


def failing(status: dict[str, Any], **more: Any) -> tuple[Manifest, list[Manifest]]:
    """A Deployment whose newest pod has this status."""
    newest = replica_set(deployment())
    return deployment(readyReplicas=1), [newest, pod(newest, status=status, **more)]


def no_pods(message: str) -> tuple[Manifest, list[Manifest]]:
    """A Deployment whose newest ReplicaSet is refused its pods."""
    failure = condition("ReplicaFailure", reason="FailedCreate", message=message)
    return deployment(readyReplicas=1), [replica_set(deployment(), conditions=[failure])]


UNSCHEDULABLE = {
    "phase": "Pending",
    "conditions": [condition("PodScheduled", "False", reason="Unschedulable", message="0/3 nodes: Insufficient cpu")],
}
CRASHED = {"restartCount": 3, "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}

FAILED: dict[str, tuple[tuple[Manifest, list[Manifest]], str, str, str]] = {
    "an image cannot be pulled": (failing(waiting("ErrImagePull", "not found")), "ImagePull", "Pod", "shop/web:9"),
    "pulling an image is backed off": (failing(waiting("ImagePullBackOff")), "ImagePull", "Pod", "ImagePullBackOff"),
    "an image's name is invalid": (failing(waiting("InvalidImageName")), "ImagePull", "Pod", "InvalidImageName"),
    "an image is never pulled": (failing(waiting("ErrImageNeverPull")), "ImagePull", "Pod", "ErrImageNeverPull"),
    "an init container's image cannot be pulled": (
        failing(waiting("ErrImagePull", init=True)),
        "ImagePull",
        "Pod",
        "main",
    ),
    "a Secret is missing": (
        failing(waiting("CreateContainerConfigError", 'secret "db" not found')),
        "ContainerConfig",
        "Pod",
        'secret "db" not found',
    ),
    "a container crashes": (failing(waiting("CrashLoopBackOff", **CRASHED)), "CrashLoop", "Pod", "137 (OOMKilled)"),
    "an init container crashes": (failing(waiting("CrashLoopBackOff", init=True)), "CrashLoop", "Pod", "crashing"),
    "no node takes a pod": (failing(UNSCHEDULABLE), "Unschedulable", "Pod", "Insufficient cpu"),
    "a quota refuses pods": (no_pods(QUOTA), "QuotaExceeded", "ReplicaSet", "quota plan"),
    "Pod Security refuses pods": (no_pods(SECURITY), "PodSecurity", "ReplicaSet", "restricted:latest"),
    "a policy refuses pods": (no_pods("pods x is forbidden: by policy"), "PodRefused", "ReplicaSet", "by policy"),
    "pods are invalid": (no_pods('Pod "x" is invalid: spec'), "PodRefused", "ReplicaSet", "invalid"),
    "a Deployment that has no ReplicaSet is refused": (
        (
            deployment(readyReplicas=1, conditions=[condition("ReplicaFailure", reason="FailedCreate", message=QUOTA)]),
            [],
        ),
        "QuotaExceeded",
        "Deployment",
        "quota plan",
    ),
    "the progress deadline is over": (
        (
            deployment(
                readyReplicas=1,
                conditions=[condition("Progressing", "False", reason="ProgressDeadlineExceeded", message="timed out")],
            ),
            [],
        ),
        "ProgressDeadline",
        "Deployment",
        "timed out",
    ),
    "a StatefulSet's pod fails": (
        (lacking(), [pod(lacking(), "db-0", status=waiting("ErrImagePull"))]),
        "ImagePull",
        "Pod",
        "ErrImagePull",
    ),
    "a StatefulSet is refused its pods": (
        (lacking(), [refused(lacking(), QUOTA)]),
        "QuotaExceeded",
        "StatefulSet",
        "quota plan",
    ),
    "a StatefulSet is refused in the second it was asked for": (
        (lacking(), [refused(lacking(), QUOTA, "", eventTime="2026-01-01T10:00:00.000123Z")]),
        "QuotaExceeded",
        "StatefulSet",
        "quota plan",
    ),
    "a refusal is repeated": (
        (lacking(), [refused(lacking(), QUOTA, BEFORE, series={"lastObservedTime": "2026-01-01T10:00:03.5Z"})]),
        "QuotaExceeded",
        "StatefulSet",
        "quota plan",
    ),
    "a DaemonSet is refused its pods": (
        (daemon_set(currentNumberScheduled=1), [refused(daemon_set(), SECURITY)]),
        "PodSecurity",
        "DaemonSet",
        "restricted",
    ),
    "a DaemonSet's pod fails": (
        (daemon_set(numberReady=1), [pod(daemon_set(), status=waiting("ErrImagePull"))]),
        "ImagePull",
        "Pod",
        "ErrImagePull",
    ),
    "a Job is refused its pods": ((job(), [refused(job(), QUOTA)]), "QuotaExceeded", "Job", "quota plan"),
    "a Job's pod cannot start": (
        (job(active=1), [pod(job(), status=waiting("ErrImagePull"))]),
        "ImagePull",
        "Pod",
        "ErrImagePull",
    ),
    "a Job has failed": (
        (job(conditions=[condition("Failed", reason="BackoffLimitExceeded", message="too often")]), []),
        "JobFailed",
        "Job",
        "BackoffLimitExceeded",
    ),
    "a Job is about to fail": (
        (job(conditions=[condition("FailureTarget", reason="DeadlineExceeded")]), []),
        "JobFailed",
        "Job",
        "DeadlineExceeded",
    ),
    "a ReplicaSet of its own is refused its pods": (
        (
            replica_set(
                deployment(),
                readyReplicas=0,
                conditions=[condition("ReplicaFailure", reason="FailedCreate", message=QUOTA)],
            ),
            [],
        ),
        "QuotaExceeded",
        "ReplicaSet",
        "quota plan",
    ),
    "a volume is lost": ((claim("Lost"), []), "VolumeLost", "PersistentVolumeClaim", "lost"),
    "a pod of its own has failed": (
        (pod(status={"phase": "Failed", "reason": "Evicted", "message": "low on memory"}), []),
        "PodFailed",
        "Pod",
        "Evicted",
    ),
    "a pod of its own cannot start": ((pod(status=waiting("ErrImagePull")), []), "ImagePull", "Pod", "ErrImagePull"),
}

FORGIVEN: dict[str, tuple[Manifest, list[Manifest]]] = {
    "a pod of an older ReplicaSet": (
        deployment(),
        [
            replica_set(deployment()),
            replica_set(deployment(), 1),
            pod(replica_set(deployment(), 1), status=waiting("ErrImagePull")),
        ],
    ),
    "a pod on its way out": failing(waiting("ErrImagePull"), metadata={"deletionTimestamp": MADE}),
    "a pod that was evicted": failing({**waiting("ErrImagePull"), "phase": "Failed"}),
    "a pod of a namesake that is gone": (
        deployment(),
        [
            replica_set(deployment()),
            pod(
                obj("ReplicaSet", "web-2", metadata={"uid": "another"}),
                status=waiting("ErrImagePull"),
            ),
        ],
    ),
    "a pod that belongs to a ReplicaSet that does not control it": (
        deployment(),
        [
            replica_set(deployment()),
            pod(
                metadata={"ownerReferences": [{"uid": "uid-of-ReplicaSet-web-2", "kind": "ReplicaSet"}]},
                status=waiting("ErrImagePull"),
            ),
        ],
    ),
    "a pod of another workload": (deployment(), [pod(stateful_set(), status=waiting("ErrImagePull"))]),
    "a StatefulSet's pod of an older revision": (
        lacking(),
        [pod(lacking(), "db-1", labels={"controller-revision-hash": "db-1"}, status=waiting("ErrImagePull"))],
    ),
    "a DaemonSet's pod of an older template": (
        daemon_set(numberReady=1),
        [pod(daemon_set(), labels={"pod-template-generation": "1"}, status=waiting("ErrImagePull"))],
    ),
    "a Job's pod that failed and was replaced": (
        job(active=1),
        [pod(job(), status={**waiting("ErrImagePull"), "phase": "Failed"})],
    ),
    "a refusal that is older than what is asked for": (lacking(), [refused(lacking(), QUOTA, BEFORE)]),
    "a refusal of a namesake that is gone": (lacking(), [refused(lacking(), QUOTA, uid="another")]),
    "a refusal before the last change of what is asked for": (
        {
            **lacking(),
            "metadata": {
                **lacking()["metadata"],
                "managedFields": [
                    {"manager": "innkeeper", "time": "2026-01-01T11:00:00Z"},
                    {"manager": "controller", "time": "2026-01-01T12:00:00Z", "subresource": "status"},
                ],
            },
        },
        [refused(lacking(), QUOTA, "2026-01-01T10:30:00Z")],
    ),
    "a refusal that was overcome": (stateful_set(), [refused(stateful_set(), QUOTA)]),
    "a namespace that has no service account yet": (lacking(), [refused(lacking(), NO_ACCOUNT)]),
    "a namespace that ends": (lacking(), [refused(lacking(), "forbidden: namespace is being terminated")]),
    "an API server that stumbles": (lacking(), [refused(lacking(), "Internal error occurred: webhook timed out")]),
    "the quota of a stopped instance that lingers": no_pods(STOPPED),
    "a refusal before a Deployment was scaled to nothing": (
        deployment(0),
        [
            replica_set(
                deployment(),
                replicas=0,
                conditions=[condition("ReplicaFailure", reason="FailedCreate", message=QUOTA)],
            )
        ],
    ),
    "a refusal before a Deployment without ReplicaSets was scaled to nothing": (
        deployment(0, conditions=[condition("ReplicaFailure", reason="FailedCreate", message=QUOTA)]),
        [],
    ),
    "a refusal that the Deployment alone remembers": (
        deployment(conditions=[condition("ReplicaFailure", reason="FailedCreate", message=QUOTA)]),
        [replica_set(deployment())],
    ),
    "a change that its controller has not seen": (
        deployment(observedGeneration=0),
        [replica_set(deployment()), pod(replica_set(deployment()), status=waiting("ErrImagePull"))],
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
    assert found == Progressing(f"{wanted['kind']} {wanted['metadata']['name']}: {text}")


@pytest.mark.parametrize("case", FAILED)
def test_it_fails_at_once_with_the_reason_the_object_and_what_to_do(case: str) -> None:
    (wanted, others), code, kind, text = FAILED[case]
    found = assess([Ref.to(wanted)], [wanted, *others])
    assert isinstance(found, Failed)
    assert found.cause.code == code
    assert found.cause.object.startswith(f"{kind} {NAMESPACE}/")
    assert text in found.cause.message
    assert found.cause.fix


@pytest.mark.parametrize("case", FORGIVEN)
def test_it_is_not_failed_by(case: str) -> None:
    wanted, others = FORGIVEN[case]
    assert not isinstance(assess([Ref.to(wanted)], [wanted, *others]), Failed)


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


def test_what_is_waited_for_is_named_up_to_three_and_counted() -> None:
    refs = [Ref("v1", "Pod", name) for name in "abcde"]
    shown = "; ".join(f"Pod {name}: not there yet" for name in "abc")
    assert assess(refs, []) == Progressing(f"{shown}; and 2 more")
    assert assess(refs[:3], []) == Progressing(shown)


def test_one_failure_is_told_although_others_are_on_their_way() -> None:
    broken = pod(name="broken", status=waiting("ErrImagePull"))
    refs = [Ref("v1", "Pod", "missing"), Ref.to(broken)]
    assert isinstance(assess(refs, [broken]), Failed)


def test_a_crash_names_the_command_that_shows_why() -> None:
    (wanted, others), *_ = FAILED["a container crashes"]
    found = assess([Ref.to(wanted)], [wanted, *others])
    assert isinstance(found, Failed)
    assert found.cause == Cause(
        code="CrashLoop",
        message="Pod web-2-x: container main keeps crashing after 3 restarts, last exit code 137 (OOMKilled).",
        object="Pod inn-acme/web-2-x",
        fix="read its log: kubectl logs --previous -n inn-acme web-2-x -c main",
    )


def test_an_image_is_named_by_the_pods_spec_where_its_status_does_not() -> None:
    status = waiting("ErrImagePull")
    del status["containerStatuses"][0]["image"]
    status["containerStatuses"].insert(0, {"name": "side", "state": {"running": {}}})
    containers = [{"name": "side", "image": "shop/side:1"}, {"name": "main", "image": "shop/spec:1"}]
    for spec, named in (({"containers": containers}, "shop/spec:1"), ({}, "its image : ErrImagePull")):
        broken = pod(status=status, spec=spec)
        found = assess([Ref.to(broken)], [broken])
        assert isinstance(found, Failed)
        assert named in found.cause.message


def test_the_clusters_words_are_capped() -> None:
    broken = pod(status=waiting("ErrImagePull", "x" * 10_000))
    found = assess([Ref.to(broken)], [broken])
    assert isinstance(found, Failed)
    assert len(found.cause.message) < 1_000


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
