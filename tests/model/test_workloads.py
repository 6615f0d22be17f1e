"""Stop remembers, start brings back, restart rolls once: for every kind that makes pods."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from innkeeper.model import marks, workloads
from innkeeper.model.workloads import is_gone, restart_patch, start_patch, stop_patch, unrestart_patch

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


OWNED = {"ownerReferences": [{"kind": "CronJob", "controller": True}]}

LIVES: list[tuple[str, Manifest]] = [
    *((kind, {"replicas": 3}) for kind in workloads.SCALED),
    *((kind, {}) for kind in workloads.SUSPENDED),
    *((kind, {"suspend": False}) for kind in workloads.SUSPENDED),
    ("DaemonSet", {"template": {"spec": {}}}),
    ("DaemonSet", {"template": {"spec": {"nodeSelector": {"disk": "ssd"}}}}),
]
"""Every kind that makes pods, as it may run."""


@pytest.mark.parametrize(("kind", "spec"), LIVES)
@given(drifts=st.lists(st.booleans(), max_size=5))
def test_however_often_a_stop_is_tried_and_undone_behind_its_back_start_brings_back_what_ran(
    kind: str, spec: Manifest, drifts: list[bool]
) -> None:
    before = made(kind, spec)
    now = merged(before, stop_patch(before))
    for scaled_back in drifts:
        if scaled_back:
            now = merged(now, started_by_hand(kind))
        now = merged(now, stop_patch(now))
        assert stop_patch(now) is None
    after = merged(now, start_patch(now))
    assert stop_patch(after) == stop_patch(before)
    assert start_patch(after) is None
    assert marks.STOPPED not in after["metadata"]["annotations"]


def started_by_hand(kind: str) -> Manifest:
    """What somebody else does to a workload that is stopped."""
    if kind in workloads.SCALED:
        return {"spec": {"replicas": 1}}
    if kind in workloads.SUSPENDED:
        return {"spec": {"suspend": False}}
    return {"spec": {"template": {"spec": {"nodeSelector": {workloads.NOWHERE: None}}}}}


@pytest.mark.parametrize(
    ("kind", "spec", "change", "remembered", "back"),
    [
        ("Deployment", {"replicas": 3}, {"replicas": 0}, "3", {"replicas": 3}),
        ("CronJob", {}, {"suspend": True}, "false", {"suspend": False}),
        (
            "DaemonSet",
            {"template": {"spec": {}}},
            {"template": {"spec": {"nodeSelector": {"innkeeper.dev/nowhere": "true"}}}},
            "true",
            {"template": {"spec": {"nodeSelector": {"innkeeper.dev/nowhere": None}}}},
        ),
    ],
)
def test_a_stop_and_a_start_are_one_patch_each_onto_what_was_read(
    kind: str, spec: Manifest, change: Manifest, remembered: str, back: Manifest
) -> None:
    before = made(kind, spec)
    patch = stop_patch(before)
    assert patch == {
        "metadata": {"resourceVersion": "7", "annotations": {"innkeeper.dev/stopped": remembered}},
        "spec": change,
    }
    assert start_patch(merged(before, patch)) == {
        "metadata": {"resourceVersion": "7", "annotations": {"innkeeper.dev/stopped": None}},
        "spec": back,
    }


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


@pytest.mark.parametrize(
    ("policy", "written"),
    [
        ({"whenScaled": "Delete"}, {"whenScaled": "Retain"}),
        ({"whenDeleted": "Retain", "whenScaled": "Delete"}, {"whenDeleted": "Retain", "whenScaled": "Retain"}),
        ({"whenDeleted": "Delete", "whenScaled": "Retain"}, {"whenDeleted": "Retain", "whenScaled": "Retain"}),
        ({"whenDeleted": "Retain", "whenScaled": "Retain"}, None),
    ],
)
def test_a_stop_has_the_claims_stay_by_the_same_write_that_sends_the_pods_away(
    policy: dict[str, str], written: dict[str, str] | None
) -> None:
    patch = stop_patch(made("StatefulSet", {"replicas": 3, "persistentVolumeClaimRetentionPolicy": policy}))
    assert patch is not None
    assert patch["spec"] == {
        "replicas": 0,
        **({} if written is None else {"persistentVolumeClaimRetentionPolicy": written}),
    }


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


@pytest.mark.parametrize("end", ["Complete", "Failed"])
def test_a_finished_job_is_left_alone(end: str) -> None:
    def job(status: str, kind: str = end) -> Manifest:
        return made("Job", {}, status={"conditions": [{"type": kind, "status": status}]})

    assert stop_patch(job("True")) is None
    assert stop_patch(job("False")) is not None
    assert stop_patch(job("True", "SuccessCriteriaMet")) is not None


def test_a_job_of_a_cron_job_is_stopped_and_started_for_its_owner_lets_it_run() -> None:
    before = made("Job", {}, metadata=OWNED)
    stopped = merged(before, stop_patch(before))
    assert stopped["spec"]["suspend"] is True
    assert merged(stopped, start_patch(stopped))["spec"]["suspend"] is False


def test_what_another_object_owns_and_does_not_control_is_stopped() -> None:
    owned = made("Deployment", {"replicas": 1}, metadata={"ownerReferences": [{"kind": "Shop"}]})
    assert stop_patch(owned) is not None


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


@pytest.mark.parametrize("kind", ["Job", "CronJob", "ReplicaSet"])
def test_only_what_rolls_by_itself_is_rolled(kind: str) -> None:
    assert restart_patch(made(kind, {"template": {}}), "r1") is None
    assert unrestart_patch(made(kind, {"template": by("r1")}), "r1") is None


def by(request_id: str) -> Manifest:
    """The metadata of a pod template that a request rolled."""
    return {"metadata": {"annotations": {marks.RESTARTED_BY: request_id}}}


@pytest.mark.parametrize("kind", workloads.ROLLED)
@pytest.mark.parametrize(
    ("template", "before"),
    [({}, None), ({"metadata": {}}, None), ({"metadata": {"annotations": None}}, None), (by("r0"), "r0")],
)
def test_a_roll_is_one_patch_that_remembers_the_roll_before(kind: str, template: Manifest, before: str | None) -> None:
    assert restart_patch(made(kind, {"template": template}), "r1") == {
        "metadata": {"resourceVersion": "7", "annotations": {"innkeeper.dev/restarted-before": before}},
        "spec": {"template": {"metadata": {"annotations": {"innkeeper.dev/restarted-by": "r1"}}}},
    }


@pytest.mark.parametrize("kind", workloads.ROLLED)
@pytest.mark.parametrize("before", [None, "r0"])
def test_a_roll_that_is_taken_back_leaves_the_workload_as_it_was(kind: str, before: str | None) -> None:
    first = made(
        kind, {"template": by(before) if before else {"metadata": {"annotations": {}}}}, metadata={"annotations": {}}
    )
    rolled = merged(first, restart_patch(first, "r1"))
    assert unrestart_patch(rolled, "r1") == {
        "metadata": {"resourceVersion": "7", "annotations": {"innkeeper.dev/restarted-before": None}},
        "spec": {"template": {"metadata": {"annotations": {"innkeeper.dev/restarted-by": before}}}},
    }
    assert merged(rolled, unrestart_patch(rolled, "r1")) == first


@pytest.mark.parametrize("template", [{}, {"metadata": {}}, {"metadata": {"annotations": None}}, by("r0")])
def test_a_roll_of_another_request_is_not_taken_back(template: Manifest) -> None:
    assert unrestart_patch(made("Deployment", {"template": template}), "r1") is None


def test_a_roll_of_which_nothing_is_remembered_is_taken_back_all_the_same() -> None:
    taken_back = unrestart_patch(made("Deployment", {"template": by("r1")}), "r1")
    assert taken_back is not None
    assert taken_back["spec"]["template"]["metadata"]["annotations"] == {marks.RESTARTED_BY: None}


def test_what_another_object_decides_over_is_not_rolled_back() -> None:
    assert unrestart_patch(made("Deployment", {"template": by("r1")}, metadata=OWNED), "r1") is None


@pytest.mark.parametrize(
    ("wanted", "live", "gone"),
    [
        (made("Deployment", {"replicas": 2}), None, True),
        (made("ConfigMap", {}), None, True),
        (made("ConfigMap", {}), {"kind": "ConfigMap"}, False),
        (made("StatefulSet", {"replicas": 1}), made("StatefulSet", {"replicas": 0}), True),
        (made("Job", {"replicas": 1}), made("Job", {"replicas": 0}), False),
        (made("Deployment", {"replicas": 2}), made("Deployment", {"replicas": 0}), True),
        (made("Deployment", {"replicas": 2}), made("Deployment", {"replicas": 1}), False),
        (made("Deployment", {"replicas": 0}), made("Deployment", {"replicas": 0}), False),
        (made("Deployment", {}), made("Deployment", {"replicas": 0}), True),
        (made("Deployment", {}), made("Deployment", {}), False),
        ({"kind": "Deployment"}, {"spec": {"replicas": 0}}, True),
        ({"kind": "Deployment", "spec": {"replicas": 2}}, {}, False),
        (made("Shop", {"replicas": 2}), made("Shop", {"replicas": 0}), False),
    ],
)
def test_what_is_missing_or_scaled_to_nothing_is_gone(wanted: Manifest, live: Manifest | None, gone: bool) -> None:
    assert is_gone(wanted, live) is gone
