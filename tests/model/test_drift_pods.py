"""Pods that are not ready, although the row says that the instance runs: what one look finds, and a close one says."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from drift_facts import DB, NOW, WEB, Case, home, pod, row, workload

from innkeeper.model.drift_kinds import HowBad, What
from innkeeper.model.drift_picture import CLOSE_LOOKS, LOOKS, Counts, owner_of
from innkeeper.model.drift_pods import STARTING
from innkeeper.model.findings import WorkloadState
from innkeeper.model.instance import Status
from innkeeper.model.ports import Manifest

RUNNING = row()
LONG_AGO, JUST_NOW = "2026-03-01T11:00:00Z", "2026-03-01T11:59:30Z"


def live(of: Manifest, ready: int, asked: str = LONG_AGO, **status: Any) -> Manifest:
    meta = {**of["metadata"], "uid": f"uid-{of['metadata']['name']}", "creationTimestamp": asked, "generation": 1}
    counts = dict.fromkeys(("replicas", "updatedReplicas"), of["spec"].get("replicas", 1))
    return {**of, "metadata": meta, "status": {"observedGeneration": 1, **counts, "readyReplicas": ready, **status}}


def of_workload(kind: str, name: str, made: str = LONG_AGO, **more: Any) -> Manifest:
    owner = {"kind": kind, "name": name, "uid": f"uid-{name}", "controller": True}
    meta = {**pod(f"{name}-0")["metadata"], "creationTimestamp": made, "uid": f"uid-{name}-0"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {**meta, "ownerReferences": [owner]}, **more}


def case(*objects: Manifest, of: Any = RUNNING, **other: Any) -> Case:
    names = {(each["kind"], each["metadata"]["name"]) for each in objects}
    kept = [each for each in home(of) if (each["kind"], each["metadata"]["name"]) not in names]
    return Case([of], [*kept, *objects], **other)


def test_a_workload_without_a_ready_pod_is_found_with_the_command_that_says_why() -> None:
    found = case(live(WEB, 2), live(DB, 0), of_workload("StatefulSet", "db")).one()
    assert (found.what, found.how_bad) == (What.NOT_READY, HowBad.ERROR)
    assert (found.object, found.wanted, found.found) == ("StatefulSet inn-acme/db", "ready pods: 1", "ready pods: 0")
    assert found.mend == "innkeeper explain acme"


def test_a_workload_that_lacks_some_ready_pods_is_found_too() -> None:
    found = case(live(WEB, 1)).one()
    assert (found.what, found.how_bad, found.found) == (What.PARTLY_READY, HowBad.WARNING, "ready pods: 1")


@pytest.mark.parametrize(
    "objects",
    [
        [live(WEB, 0, JUST_NOW)],
        [live(DB, 0), of_workload("StatefulSet", "db", JUST_NOW), of_workload("StatefulSet", "db")],
        [live(WEB, 0), of_workload("ReplicaSet", "web-5f8d", JUST_NOW)],
        [live(WEB, 0, observedGeneration=0)],
        [live(WEB, 3)],
    ],
    ids=["just asked for", "a young pod", "a young pod of its ReplicaSet", "not seen by its controller", "more"],
)
def test_what_may_be_starting_or_is_ready_is_not_found(objects: list[Manifest]) -> None:
    assert case(*objects).found() == []


def test_what_was_asked_for_so_long_ago_is_no_start_any_more() -> None:
    moment = (NOW - STARTING).strftime("%Y-%m-%dT%H:%M:%SZ")
    later = (NOW - STARTING + timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert case(live(WEB, 0, moment)).kinds() == ["not-ready"]
    assert case(live(WEB, 0, later)).kinds() == []


def test_a_stopped_instance_is_not_asked_for_ready_pods() -> None:
    stopped = row(status=Status.STOPPED)
    assert case(live(WEB, 0), of=stopped).kinds() == ["replicas-changed"]


def test_what_belongs_to_no_release_is_not_judged() -> None:
    stray = live(workload("Deployment", "stray"), 0)
    assert case(stray).found() == []


@pytest.mark.parametrize(
    ("manifest", "counts"),
    [
        (live(workload("DaemonSet", "agent", None), 0, desiredNumberScheduled=3, numberReady=2), (3, 2)),
        (live(workload("DaemonSet", "agent", None), 0), (0, 0)),
        (live(workload("Deployment", "web", 0), 0), (0, 0)),
        (live(workload("StatefulSet", "db", None), 1), (1, 1)),
    ],
)
def test_pods_are_counted_as_each_kind_tells_them(manifest: Manifest, counts: tuple[int, int]) -> None:
    assert Counts.of(manifest) == Counts(*counts, LONG_AGO)


def test_what_starts_others_or_is_leaving_counts_no_pods() -> None:
    leaving = live(WEB, 0)
    leaving["metadata"]["deletionTimestamp"] = JUST_NOW
    assert Counts.of(leaving) is None
    assert Counts.of(live(workload("CronJob", "nightly", None), 0)) is None


def test_a_pod_belongs_to_what_controls_it() -> None:
    assert owner_of(of_workload("StatefulSet", "db")) == ("StatefulSet", "db")
    assert owner_of(of_workload("ReplicaSet", "acme-web-5f8d")) == ("Deployment", "acme-web")
    free = of_workload("StatefulSet", "db")
    free["metadata"]["ownerReferences"][0]["controller"] = False
    assert owner_of(free) is None
    assert owner_of(pod()) is None


def states(*objects: Manifest) -> dict[str, WorkloadState]:
    seen = case(*objects, only="acme").judge()[2].seen
    assert seen is not None
    return {each.object.rpartition("/")[2]: each for each in seen.workloads}


def test_a_close_look_says_why_pods_are_not_ready_and_what_to_do() -> None:
    refused = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "Insufficient cpu"}
    waits = of_workload("StatefulSet", "db", status={"phase": "Pending", "conditions": [refused]})
    found = states(live(WEB, 2, availableReplicas=2), live(DB, 0), waits)
    assert (found["db"].pods, found["db"].ready, found["db"].lacks_pods) == (1, 0, True)
    assert found["db"].waits_for == "Pod db-0: no node can take it (Insufficient cpu)"
    assert found["db"].verdict == "0 of 1 pods ready: Pod db-0: no node can take it (Insufficient cpu)"
    assert found["db"].fix.startswith("add nodes, ")
    assert (found["web"].lacks_pods, found["web"].waits_for, found["web"].fix) == (False, "", "")


def test_a_close_look_names_a_crash_and_where_it_knows_no_more_where_to_look() -> None:
    state = {"name": "main", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    crashes = of_workload("StatefulSet", "db", status={"phase": "Running", "containerStatuses": [state]})
    found = states(live(WEB, 1, availableReplicas=2), live(DB, 0), crashes)
    assert found["db"].waits_for == "Pod db-0: container main keeps crashing"
    assert found["db"].fix.startswith("read its log: kubectl logs")
    assert (found["web"].waits_for, found["web"].verdict) == ("1 of 2 pods ready", "1 of 2 pods ready")
    assert found["web"].fix.endswith("kubectl describe pods --namespace inn-acme")


def test_a_look_at_all_says_how_many_pods_are_ready_and_not_why() -> None:
    objects = [live(WEB, 1, availableReplicas=2)]
    assert case(*objects).judge()[2].seen is None
    unseen = states(live(WEB, 1, observedGeneration=0))["web"]
    assert (unseen.pods, unseen.ready, unseen.lacks_pods) == (None, None, False)
    assert unseen.waits_for == "its controller has not seen the change yet"


def test_a_close_look_lists_all_that_the_other_does_and_what_says_why() -> None:
    assert {look.kind for look in CLOSE_LOOKS} - {look.kind for look in LOOKS} == {"ReplicaSet", "Event"}
    assert [look.kind for look in CLOSE_LOOKS if look.names_only] == []
