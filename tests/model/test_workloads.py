"""Stop remembers, start brings back, restart rolls once: for every kind that makes pods."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from innkeeper.model import marks, workloads
from innkeeper.model.workloads import restart_patch, start_patch, stop_patch

Manifest = dict[str, Any]


def made(kind: str, spec: Manifest, **more: Any) -> Manifest:
    meta = {"name": "web", "resourceVersion": "7", **more.pop("metadata", {})}
    return {"kind": kind, "metadata": meta, "spec": spec, **more}


def merged(target: Manifest, patch: Manifest | None) -> Manifest:
    """RFC 7386, as the API server merges."""
    result = dict(target)
    for key, value in (patch or {}).items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = merged(result.get(key) or {}, value)
        else:
            result[key] = value
    return result


@pytest.mark.parametrize("kind", workloads.SCALED)
@given(replicas=st.integers(min_value=1, max_value=500))
def test_start_brings_back_exactly_the_replicas_that_ran(kind: str, replicas: int) -> None:
    before = made(kind, {"replicas": replicas})
    stopped = merged(before, stop_patch(before))
    assert stopped["spec"]["replicas"] == 0
    assert merged(stopped, start_patch(stopped))["spec"]["replicas"] == replicas


def test_a_missing_replica_count_is_the_one_that_kubernetes_means() -> None:
    before = made("Deployment", {})
    stopped = merged(before, stop_patch(before))
    assert merged(stopped, start_patch(stopped))["spec"]["replicas"] == 1


def test_a_second_stop_never_overwrites_what_the_first_remembered() -> None:
    before = made("Deployment", {"replicas": 3})
    stopped = merged(before, stop_patch(before))
    scaled_back = merged(stopped, {"spec": {"replicas": 1}})
    again = merged(scaled_back, stop_patch(scaled_back))
    assert again["spec"]["replicas"] == 0
    assert merged(again, start_patch(again))["spec"]["replicas"] == 3


def test_a_stopped_workload_needs_no_patch_and_one_that_never_ran_is_left_alone() -> None:
    stopped = made("StatefulSet", {"replicas": 0})
    assert stop_patch(stopped) is None
    assert start_patch(stopped) is None


@pytest.mark.parametrize("kind", workloads.SUSPENDED)
def test_what_makes_jobs_is_suspended_and_resumed(kind: str) -> None:
    before = made(kind, {})
    stopped = merged(before, stop_patch(before))
    assert stopped["spec"]["suspend"] is True
    assert merged(stopped, start_patch(stopped))["spec"]["suspend"] is False


def test_what_was_suspended_by_its_owner_stays_suspended() -> None:
    before = made("CronJob", {"suspend": True})
    assert stop_patch(before) is None
    assert start_patch(before) is None


def test_a_finished_job_is_left_alone() -> None:
    done = made("Job", {}, status={"conditions": [{"type": "Complete", "status": "True"}]})
    assert stop_patch(done) is None


def test_a_daemon_set_is_sent_to_no_node_and_back() -> None:
    before = made("DaemonSet", {"template": {"spec": {"nodeSelector": {"disk": "ssd"}}}})
    stopped = merged(before, stop_patch(before))
    assert stopped["spec"]["template"]["spec"]["nodeSelector"] == {"disk": "ssd", workloads.NOWHERE: "true"}
    assert merged(stopped, start_patch(stopped))["spec"] == before["spec"]


@pytest.mark.parametrize("kind", ["ReplicaSet", "Deployment"])
def test_what_another_object_decides_over_is_left_to_it(kind: str) -> None:
    owned = made(
        kind,
        {"replicas": 2, "template": {}},
        metadata={"ownerReferences": [{"kind": "Deployment", "controller": True}]},
    )
    assert stop_patch(owned) is None
    assert restart_patch(owned, "r1") is None


def test_a_deployments_memory_that_kubernetes_copied_to_its_replica_set_is_not_acted_on() -> None:
    copied = made(
        "ReplicaSet",
        {"replicas": 0},
        metadata={
            "annotations": {marks.STOPPED: "1"},
            "ownerReferences": [{"kind": "Deployment", "controller": True}],
        },
    )
    assert start_patch(copied) is None


def test_the_memory_is_written_by_the_patch_that_stops_and_onto_what_was_read() -> None:
    patch = stop_patch(made("Deployment", {"replicas": 2}))
    assert patch is not None
    assert patch["metadata"]["resourceVersion"] == "7"
    assert json.loads(patch["metadata"]["annotations"][marks.STOPPED]) == 2


def test_a_restart_rolls_once_for_each_request() -> None:
    before = made("Deployment", {"template": {"metadata": {"labels": {"a": "b"}}}})
    rolled = merged(before, restart_patch(before, "r1"))
    assert rolled["spec"]["template"]["metadata"]["labels"] == {"a": "b"}
    assert restart_patch(rolled, "r1") is None
    assert restart_patch(rolled, "r2") is not None


def test_a_job_is_not_rolled() -> None:
    assert restart_patch(made("Job", {"template": {}}), "r1") is None


@pytest.mark.parametrize(
    ("wanted", "live", "gone"),
    [
        (made("Service", {}), None, True),
        (made("Service", {}), made("Service", {}), False),
        (made("Deployment", {"replicas": 2}), None, True),
        (made("Deployment", {"replicas": 2}), made("Deployment", {"replicas": 5}), False),
        (made("Deployment", {"replicas": 2}), made("Deployment", {"replicas": 0}), True),
        (made("Deployment", {}), made("Deployment", {"replicas": 0}), True),
        (made("Deployment", {"replicas": 0}), made("Deployment", {"replicas": 0}), False),
        (made("StatefulSet", {"replicas": 1}), made("StatefulSet", {"replicas": 0}), True),
        (made("ConfigMap", {}), {"kind": "ConfigMap"}, False),
        (made("Job", {"replicas": 1}), made("Job", {"replicas": 0}), False),
    ],
)
def test_what_is_missing_or_scaled_to_nothing_is_gone(wanted: Manifest, live: Manifest | None, gone: bool) -> None:
    assert workloads.is_gone(wanted, live) is gone
