"""What fails no workload: pods of before, refusals that were overcome, and whatever may still pass by itself."""

from __future__ import annotations

import pytest
from workload_objects import (
    BEFORE,
    MADE,
    QUOTA,
    STOPPED,
    condition,
    daemon_set,
    deployment,
    failing,
    job,
    lacking,
    no_pods,
    obj,
    pod,
    refused,
    replica_set,
    speechless,
    stateful_set,
    waiting,
    written,
)

from innkeeper.model.health import Failed, assess
from innkeeper.model.ports import Manifest, Ref

NO_ACCOUNT = (
    'pods "x" is forbidden: error looking up service account inn-acme/default: serviceaccount "default" not found'
)


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
        written(lacking(), "2026-01-01T11:00:00Z", "2026-01-01T12:00:00Z"),
        [refused(lacking(), QUOTA, "2026-01-01T10:30:00Z")],
    ),
    "a refusal that does not say when": (lacking(), [refused(lacking(), QUOTA, "")]),
    "a refusal that does not say why": (lacking(), [speechless(refused(lacking(), QUOTA))]),
    "a refusal that does not say of whom": (lacking(), [{**refused(lacking(), QUOTA), "involvedObject": {}}]),
    "a refusal that was overcome": (stateful_set(), [refused(stateful_set(), QUOTA)]),
    "a DaemonSet's refusal that was overcome": (daemon_set(), [refused(daemon_set(), QUOTA)]),
    "a refusal of a Job whose pod runs": (job(active=1), [refused(job(), QUOTA)]),
    "a failing pod of a StatefulSet that is scaled to nothing": (
        stateful_set(0),
        [pod(stateful_set(0), "db-0", status=waiting("ErrImagePull"))],
    ),
    "a failing pod of a ReplicaSet that is scaled to nothing": (
        replica_set(deployment(), replicas=0),
        [pod(replica_set(deployment()), status=waiting("ErrImagePull"))],
    ),
    "a ReplicaSet that cannot delete pods": (
        replica_set(deployment(), conditions=[condition("ReplicaFailure", reason="FailedDelete", message="forbidden")]),
        [],
    ),
    "a ReplicaSet whose refusal was overcome": (
        replica_set(
            deployment(), conditions=[condition("ReplicaFailure", "False", reason="FailedCreate", message=QUOTA)]
        ),
        [],
    ),
    "a ReplicaSet's failure without a message": (
        replica_set(deployment(), conditions=[condition("ReplicaFailure", reason="FailedCreate")]),
        [],
    ),
    "a pod that waits to be scheduled": (
        pod(status={"conditions": [condition("PodScheduled", "False", reason="SchedulingGated")]}),
        [],
    ),
    "a pod that has found its node": (
        pod(status={"conditions": [condition("PodScheduled", "True", reason="Unschedulable")]}),
        [],
    ),
    "a container that waits without a reason": (
        pod(status={"containerStatuses": [{"name": "main", "state": {"waiting": {"message": "x"}}}]}),
        [],
    ),
    "a container without a state": (pod(status={"containerStatuses": [{"name": "main"}]}), []),
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


@pytest.mark.parametrize("case", FORGIVEN)
def test_it_is_not_failed_by(case: str) -> None:
    wanted, others = FORGIVEN[case]
    assert not isinstance(assess([Ref.to(wanted)], [wanted, *others]), Failed)
