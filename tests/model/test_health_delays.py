"""What keeps pods from coming up and may pass by itself: it fails nothing, and is named with its reason."""

from __future__ import annotations

from typing import Any

import pytest
from workload_objects import (
    NAMESPACE,
    claim,
    condition,
    deployment,
    failing,
    job,
    lacking,
    obj,
    pod,
    replica_set,
)

from innkeeper.model.errors import Cause
from innkeeper.model.health import Progressing, assess
from innkeeper.model.ports import Manifest, Ref

ROOM = (
    "add nodes, or ask for less (requests, node selectors, affinity, tolerations) in the plan's values",
    f"Pod {NAMESPACE}/web-2-x",
)
NOT_BOUND = "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims."
NO_CLASS = 'storageclass.storage.k8s.io "fast" not found'


def refused_by_scheduler(message: str = "0/3 nodes: Insufficient cpu", **more: Any) -> dict[str, Any]:
    return {
        "phase": "Pending",
        "conditions": [condition("PodScheduled", "False", reason="Unschedulable", message=message)],
        **more,
    }


def using(*claims: str, owner: Manifest | None = None, **more: Any) -> Manifest:
    volumes = [{"name": "settings", "configMap": {}}, *({"persistentVolumeClaim": {"claimName": e}} for e in claims)]
    return pod(owner, "db-0", spec={"volumes": volumes}, **{"status": refused_by_scheduler(NOT_BOUND), **more})


def told(of: Manifest, message: str, seen: str, **more: Any) -> Manifest:
    about = {"kind": of["kind"], "name": of["metadata"]["name"], "uid": of["metadata"]["uid"]}
    return obj("Event", "told", involvedObject=about, message=message, lastTimestamp=seen, **more)


def progressing(wanted: Manifest, *others: Manifest) -> Progressing:
    found = assess([Ref.to(wanted)], [wanted, *others])
    assert isinstance(found, Progressing)
    return found


def test_a_pod_that_no_node_takes_is_waited_for_and_named_with_the_schedulers_reason() -> None:
    wanted, others = failing(refused_by_scheduler())
    found = progressing(wanted, *others)
    assert found.waiting_for == (
        "Deployment web: 1 of 2 pods ready: Pod web-2-x: no node can take it (0/3 nodes: Insufficient cpu)"
    )
    fix, where = ROOM
    message = "Pod web-2-x: no node can take it (0/3 nodes: Insufficient cpu)."
    assert found.cause == Cause(code="Unschedulable", message=message, object=where, fix=fix)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (refused_by_scheduler(), "not ready (Pending): no node can take it (0/3 nodes: Insufficient cpu)"),
        ({"conditions": [condition("PodScheduled", "False", reason="Unschedulable")]}, "no node can take it"),
        (refused_by_scheduler(NOT_BOUND), f"no node can take it ({NOT_BOUND})"),
        (refused_by_scheduler(nominatedNodeName="node-1"), "not ready (Pending)"),
        ({"conditions": [condition("PodScheduled", "False", reason="SchedulingGated")]}, "not ready (no status yet)"),
        (
            {"conditions": [condition("PodScheduled", "True", reason="Unschedulable", message="late")]},
            "not ready (no status yet)",
        ),
    ],
)
def test_a_pod_of_its_own_says_what_it_waits_for(status: dict[str, Any], words: str) -> None:
    assert progressing(pod(status=status)).waiting_for.endswith(words)


def test_a_job_waits_for_a_node_too() -> None:
    wanted = job(active=1)
    assert "no node can take it" in progressing(wanted, pod(wanted, status=refused_by_scheduler())).waiting_for


def test_only_pods_that_are_wanted_now_delay_a_workload() -> None:
    wanted = deployment(readyReplicas=1)
    newest, old = replica_set(wanted), replica_set(wanted, 1)
    leaving = pod(newest, "leaves", status=refused_by_scheduler(), metadata={"deletionTimestamp": "2026-01-01"})
    others = [
        newest,
        old,
        pod(newest),
        pod(newest, "ended", status={**refused_by_scheduler(), "phase": "Failed"}),
        leaving,
        pod(old, "former", status=refused_by_scheduler()),
    ]
    assert progressing(wanted, *others) == Progressing("Deployment web: 1 of 2 pods ready")


def test_a_delay_outlasts_the_deadline_of_a_deployments_progress() -> None:
    late = condition("Progressing", "False", reason="ProgressDeadlineExceeded", message="timed out")
    newest = replica_set(deployment())
    found = progressing(
        deployment(readyReplicas=1, conditions=[late]), newest, pod(newest, status=refused_by_scheduler())
    )
    assert found.cause is not None
    assert found.cause.code == "Unschedulable"


def test_a_claim_that_was_never_bound_is_named_with_its_newest_event() -> None:
    unbound = claim("Pending")
    found = progressing(
        lacking(),
        using("other", "data", owner=lacking()),
        {**claim("Bound"), "metadata": {**unbound["metadata"], "name": "other", "uid": "another"}},
        unbound,
        told(unbound, "waiting for first consumer", "2026-01-01T10:00:00Z"),
        told(unbound, NO_CLASS, "2026-01-01T10:00:05Z"),
        told(unbound, "an earlier word", "2026-01-01T10:00:01Z"),
    )
    why = f"waits for PersistentVolumeClaim data, which is not bound to a volume yet ({NO_CLASS})"
    assert found.waiting_for == f"StatefulSet db: 0 of 2 pods created: Pod db-0: {why}"
    assert found.cause is not None
    assert (found.cause.code, found.cause.message) == ("VolumeUnbound", f"Pod db-0: {why}.")
    assert found.cause.object == f"PersistentVolumeClaim {NAMESPACE}/data"
    assert found.cause.fix == (
        "see that its storage class is one of the cluster's and provisions volumes (kubectl get storageclass); a claim "
        "keeps the class that it was made with: one that was never bound holds no data, so that `kubectl delete "
        f"persistentvolumeclaim data --namespace {NAMESPACE}` lets it be made anew"
    )


def test_a_claim_that_is_wanted_itself_says_why_it_is_not_bound() -> None:
    unbound = claim("Pending")
    found = progressing(unbound, using("data"), told(unbound, NO_CLASS, "2026-01-01T10:00:05Z"))
    assert found.waiting_for == (f"PersistentVolumeClaim data: not bound to a volume yet ({NO_CLASS})")


def test_a_claim_of_which_no_event_tells_is_named_without_a_reason() -> None:
    found = progressing(using("data", status={"phase": "Pending"}), claim(None))
    assert found.waiting_for == (
        "Pod db-0: not ready (Pending): waits for PersistentVolumeClaim data, which is not bound to a volume yet"
    )


def test_a_claim_that_binds_with_its_pod_is_not_what_the_pod_waits_for() -> None:
    found = progressing(using("data", status=refused_by_scheduler()), claim("Pending"))
    assert found.waiting_for.endswith("no node can take it (0/3 nodes: Insufficient cpu)")


def test_a_claim_that_is_not_there_is_named() -> None:
    missing = refused_by_scheduler('persistentvolumeclaim "data" not found')
    cause = progressing(using("data", status=missing)).cause
    assert cause == Cause(
        code="VolumeMissing",
        message="Pod db-0: waits for PersistentVolumeClaim data, which is not there.",
        object=f"PersistentVolumeClaim {NAMESPACE}/data",
        fix="make it, or correct the plan's values",
    )


def test_a_lost_claim_is_no_delay() -> None:
    found = progressing(using("data", status={"phase": "Pending"}), claim("Lost"))
    assert (found.waiting_for, found.cause) == ("Pod db-0: not ready (Pending)", None)


def test_the_first_delay_of_several_is_the_cause() -> None:
    first, second = pod(status=refused_by_scheduler("one")), pod(name="other", status=refused_by_scheduler("two"))
    slow = pod(name="slow", status={"phase": "Running"})
    found = assess([Ref.to(each) for each in (slow, first, second)], [slow, first, second])
    assert isinstance(found, Progressing)
    assert found.cause is not None
    assert found.cause.object == f"Pod {NAMESPACE}/web-2-x"
