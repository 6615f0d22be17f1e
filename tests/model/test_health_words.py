"""What people read of a workload that fails: each cause in full, and none that says what the cluster did not."""

from __future__ import annotations

from typing import Any

import pytest
from workload_objects import NAMESPACE, condition, deployment, job, pod, waiting

from innkeeper.model.errors import Cause
from innkeeper.model.health import Failed, assess
from innkeeper.model.ports import Manifest, Ref

from .test_health_failures import FAILED

TOO_MANY = (
    'quota plan does not allow its pods (pods "x" is forbidden: exceeded quota: plan, requested: pods=1, used: pods=2, '
    "limited: pods=2)."
)
INSECURE = (
    "its pods violate the namespace's Pod Security level "
    '(pods "x" is forbidden: violates PodSecurity "restricted:latest": privileged).'
)
NO_IMAGE = "container main cannot get its image shop/web:9: ErrImagePull."

MESSAGES = {
    "an image cannot be pulled": "Pod web-2-x: container main cannot get its image shop/web:9: ErrImagePull "
    "(not found).",
    "pulling an image is backed off": "Pod web-2-x: container main cannot get its image shop/web:9: ImagePullBackOff.",
    "an image's name is invalid": "Pod web-2-x: container main cannot get its image shop/web:9: InvalidImageName.",
    "an image is never pulled": "Pod web-2-x: container main cannot get its image shop/web:9: ErrImageNeverPull.",
    "an init container's image cannot be pulled": f"Pod web-2-x: {NO_IMAGE}",
    "a Secret is missing": "Pod web-2-x: container main cannot be configured: CreateContainerConfigError "
    '(secret "db" not found).',
    "a container crashes": "Pod web-2-x: container main keeps crashing after 3 restarts, last exit code 137 "
    "(OOMKilled).",
    "an init container crashes": "Pod web-2-x: container main keeps crashing.",
    "a quota refuses pods": f"ReplicaSet web-2: {TOO_MANY}",
    "Pod Security refuses pods": f"ReplicaSet web-2: {INSECURE}",
    "a policy refuses pods": "ReplicaSet web-2: the API server refuses its pods (pods x is forbidden: by policy).",
    "pods are invalid": 'ReplicaSet web-2: the API server refuses its pods (Pod "x" is invalid: spec).',
    "a Deployment that has no ReplicaSet is refused": f"Deployment web: {TOO_MANY}",
    "the progress deadline is over": "Deployment web: made no progress within its progressDeadlineSeconds (timed out).",
    "a StatefulSet's pod fails": f"Pod db-0: {NO_IMAGE}",
    "a StatefulSet that updates on delete has a failing pod of an older revision": f"Pod db-0: {NO_IMAGE}",
    "a StatefulSet is refused its pods": f"StatefulSet db: {TOO_MANY}",
    "a StatefulSet is refused in the second it was asked for": f"StatefulSet db: {TOO_MANY}",
    "a StatefulSet is refused after it was last asked for": f"StatefulSet db: {TOO_MANY}",
    "a StatefulSet that does not say when it was asked for is refused": f"StatefulSet db: {TOO_MANY}",
    "a refusal is repeated": f"StatefulSet db: {TOO_MANY}",
    "a DaemonSet is refused its pods": f"DaemonSet agent: {INSECURE}",
    "a DaemonSet's pod fails": f"Pod web-2-x: {NO_IMAGE}",
    "a DaemonSet that updates on delete has a failing pod of an older template": f"Pod web-2-x: {NO_IMAGE}",
    "a Job is refused its pods": f"Job setup: {TOO_MANY}",
    "a Job's pod cannot start": f"Pod web-2-x: {NO_IMAGE}",
    "a Job's only pod cannot start": f"Pod web-2-x: {NO_IMAGE}",
    "a Job has failed": "Job setup: failed: BackoffLimitExceeded (too often).",
    "a Job is about to fail": "Job setup: failed: DeadlineExceeded.",
    "a ReplicaSet of its own is refused its pods": f"ReplicaSet web-2: {TOO_MANY}",
    "a ReplicaSet of its own has a failing pod": f"Pod web-2-x: {NO_IMAGE}",
    "a volume is lost": "PersistentVolumeClaim data: its volume is lost.",
    "a pod of its own has failed": "Pod web-2-x: failed: Evicted (low on memory).",
    "a pod of its own cannot start": f"Pod web-2-x: {NO_IMAGE}",
    "a pod of its own crashes": "Pod web-2-x: container main keeps crashing.",
}

FIXES = {
    "ImagePull": "check the image's name and tag, and that the cluster's nodes may pull it (imagePullSecrets)",
    "ContainerConfig": "create the Secret or ConfigMap that is named, or correct the name or key in the plan's values",
    "CrashLoop": "read its log: kubectl logs --previous -n inn-acme web-2-x -c main",
    "QuotaExceeded": "raise the plan's quota, or ask for less in its values",
    "PodSecurity": "correct the chart's securityContext through the plan's values, or lower the plan's Pod Security "
    "level",
    "PodRefused": "correct what the message names",
    "ProgressDeadline": "look at its pods' readiness probes and logs; give it longer in the chart where it starts "
    "slowly",
    "JobFailed": "read its log: kubectl logs -n inn-acme job/setup",
    "VolumeLost": "restore the PersistentVolume that it names; its data is not elsewhere",
    "PodFailed": "read its log: kubectl logs -n inn-acme web-2-x",
}


def cause_of(wanted: Manifest, others: list[Manifest] | None = None) -> Cause:
    found = assess([Ref.to(wanted)], [wanted, *(others or [])])
    assert isinstance(found, Failed)
    return found.cause


@pytest.mark.parametrize("case", FAILED)
def test_a_failure_is_told_in_full(case: str) -> None:
    (wanted, others), code, kind, _ = FAILED[case]
    name = MESSAGES[case].partition(":")[0].removeprefix(f"{kind} ")
    assert cause_of(wanted, others) == Cause(
        code=code, message=MESSAGES[case], object=f"{kind} {NAMESPACE}/{name}", fix=FIXES[code]
    )


DEADLINE = condition("Progressing", "False", reason="ProgressDeadlineExceeded")

SPARSE: dict[str, tuple[Manifest, str]] = {
    "a Deployment": (
        deployment(readyReplicas=1, conditions=[DEADLINE]),
        "Deployment web: made no progress within its progressDeadlineSeconds.",
    ),
    "a Job": (job(conditions=[condition("Failed")]), "Job setup: failed: no reason given."),
    "a pod that failed": (pod(status={"phase": "Failed"}), "Pod web-2-x: failed."),
    "a pod that waits": (
        pod(status={"containerStatuses": [{"name": "main", "state": {"waiting": {"reason": "ErrImagePull"}}}]}),
        "Pod web-2-x: container main cannot get its image : ErrImagePull.",
    ),
}


@pytest.mark.parametrize("case", SPARSE)
def test_what_the_cluster_does_not_say_is_left_out(case: str) -> None:
    wanted, message = SPARSE[case]
    assert cause_of(wanted).message == message


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({}, ""),
        ({"lastState": {"terminated": {"exitCode": 0}}}, ", last exit code 0"),
        ({"lastState": {"terminated": {"exitCode": 1, "reason": "Error"}}}, ", last exit code 1"),
        ({"lastState": {"terminated": {"exitCode": 0, "reason": "Completed"}}}, ", last exit code 0"),
        ({"lastState": {"terminated": {"reason": "OOMKilled"}}}, " (OOMKilled)"),
        ({"restartCount": 0}, ""),
        ({"restartCount": 1}, " after 1 restarts"),
    ],
)
def test_a_crash_is_told_with_what_is_known_of_it(status: dict[str, Any], said: str) -> None:
    broken = pod(status=waiting("CrashLoopBackOff", **status))
    assert cause_of(broken).message == f"Pod web-2-x: container main keeps crashing{said}."


@pytest.mark.parametrize(
    ("spec", "image"),
    [
        ({"initContainers": [{"name": "main", "image": "shop/init:1"}]}, "shop/init:1"),
        ({"containers": [{"name": "side", "image": "shop/side:1"}, {"name": "main"}]}, ""),
        (None, ""),
    ],
)
def test_an_image_that_nobody_names_is_not_made_up(spec: dict[str, Any] | None, image: str) -> None:
    broken = pod(status=waiting("ErrImagePull"), spec=spec)
    del broken["status"]["containerStatuses"][0]["image"]
    if spec is None:
        del broken["spec"]
    assert cause_of(broken).message == f"Pod web-2-x: container main cannot get its image {image}: ErrImagePull."


def test_the_clusters_own_words_are_told_without_the_space_around_them() -> None:
    assert cause_of(pod(status=waiting("ErrImagePull", " not found\n"))).message.endswith("ErrImagePull (not found).")
    assert cause_of(pod(status=waiting("ErrImagePull", " \n"))).message.endswith("ErrImagePull.")
