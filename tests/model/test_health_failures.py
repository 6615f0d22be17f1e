"""What fails a workload at once, a reason a line."""

from __future__ import annotations

from typing import Any

import pytest
from workload_objects import (
    BEFORE,
    NAMESPACE,
    QUOTA,
    claim,
    condition,
    daemon_set,
    deployment,
    failing,
    job,
    lacking,
    no_pods,
    pod,
    refused,
    replica_set,
    undated,
    waiting,
    written,
)

from innkeeper.model.errors import Cause
from innkeeper.model.health import Failed, assess
from innkeeper.model.ports import Manifest, Ref

SECURITY = 'pods "x" is forbidden: violates PodSecurity "restricted:latest": privileged'


CRASHED: dict[str, Any] = {"restartCount": 3, "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}


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
    "a StatefulSet that updates on delete has a failing pod of an older revision": (
        (
            {**lacking(), "spec": {"replicas": 2, "updateStrategy": {"type": "OnDelete"}}},
            [pod(lacking(), "db-0", labels={"controller-revision-hash": "db-1"}, status=waiting("ErrImagePull"))],
        ),
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
    "a StatefulSet is refused after it was last asked for": (
        (written(lacking(), "2026-01-01T10:00:00Z", "2026-01-01T12:00:00Z"), [refused(lacking(), QUOTA)]),
        "QuotaExceeded",
        "StatefulSet",
        "quota plan",
    ),
    "a StatefulSet that does not say when it was asked for is refused": (
        (undated(lacking()), [refused(lacking(), QUOTA)]),
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
    "a DaemonSet that updates on delete has a failing pod of an older template": (
        (
            daemon_set(spec={"updateStrategy": {"type": "OnDelete"}}, numberReady=1),
            [pod(daemon_set(), labels={"pod-template-generation": "1"}, status=waiting("ErrImagePull"))],
        ),
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
    "a Job's only pod cannot start": (
        (job(), [pod(job(), status=waiting("ErrImagePull"))]),
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
    "a ReplicaSet of its own has a failing pod": (
        (
            replica_set(deployment(), readyReplicas=1),
            [pod(replica_set(deployment()), status=waiting("ErrImagePull"))],
        ),
        "ImagePull",
        "Pod",
        "ErrImagePull",
    ),
    "a volume is lost": ((claim("Lost"), []), "VolumeLost", "PersistentVolumeClaim", "lost"),
    "a pod of its own has failed": (
        (pod(status={"phase": "Failed", "reason": "Evicted", "message": "low on memory"}), []),
        "PodFailed",
        "Pod",
        "Evicted",
    ),
    "a pod of its own cannot start": ((pod(status=waiting("ErrImagePull")), []), "ImagePull", "Pod", "ErrImagePull"),
    "a pod of its own crashes": ((pod(status=waiting("CrashLoopBackOff")), []), "CrashLoop", "Pod", "crashing"),
}


@pytest.mark.parametrize("case", FAILED)
def test_it_fails_at_once_with_the_reason_the_object_and_what_to_do(case: str) -> None:
    (wanted, others), code, kind, text = FAILED[case]
    found = assess([Ref.to(wanted)], [wanted, *others])
    assert isinstance(found, Failed)
    assert found.cause.code == code
    assert found.cause.object.startswith(f"{kind} {NAMESPACE}/")
    assert text in found.cause.message
    assert found.cause.fix


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
