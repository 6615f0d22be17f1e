"""What is drift and what is not: each rule by an instance that differs in one thing from what it should be."""

from __future__ import annotations

from datetime import timedelta

import pytest
from drift_facts import DB, DIGEST, NOW, PLANS, WEB, Case, changed, home, pod, row, stored, workload

from innkeeper.model import marks
from innkeeper.model.drift import STUCK, repair_of
from innkeeper.model.drift_kinds import HowBad, Policy, What
from innkeeper.model.findings import MOST_NAMED, FindingRecord, Looked, Seen
from innkeeper.model.instance import Instance, Kind, Status
from innkeeper.model.ports import Manifest

STOPPED = row(status=Status.STOPPED, revision=None)
RUNNING = row()


def running(*objects: Manifest, **other: object) -> Case:
    return Case([RUNNING], list(objects) or home(RUNNING), **other)  # type: ignore[arg-type]


@pytest.mark.parametrize("status", [Status.RUNNING, Status.STOPPED, Status.UNINSTALLED])
def test_an_instance_that_is_as_it_should_be_has_no_drift(status: Status) -> None:
    instance = row(status=status)
    looked, found, told = Case([instance], home(instance)).judge()
    assert looked == [Looked(instance="acme", generation=3)]
    assert (found, told.looked_at, told.busy, told.found, told.named) == ([], 1, 0, {}, [])


def test_every_kind_says_what_it_means_and_how_bad_it_is() -> None:
    assert all(what.meaning and what.how_bad in HowBad for what in What)


def test_a_row_without_a_release_is_found() -> None:
    bare = [each for each in home(RUNNING) if each["kind"] not in ("Deployment", "StatefulSet")]
    missing = Case([RUNNING], [each for each in bare if "helm" not in each["metadata"]["name"]]).one()
    assert (missing.what, missing.object) == (What.RELEASE_MISSING, "Release inn-acme/acme")
    assert (missing.wanted, missing.found) == ("revision 1, deployed", "(absent)")
    assert missing.mend == "innkeeper repair acme"


def test_a_stopped_row_without_a_release_is_mended_by_a_start() -> None:
    objects = [each for each in home(STOPPED) if "helm" not in each["metadata"]["name"]]
    missing = Case([STOPPED], objects).one()
    assert (missing.wanted, missing.mend) == ("a deployed revision", "innkeeper start acme")


def test_a_stopped_row_whose_next_start_makes_the_release_misses_none() -> None:
    waits = row(status=Status.STOPPED, upgrade_pending=True)
    objects = [each for each in home(waits) if "helm" not in each["metadata"]["name"]]
    bare = [each for each in objects if each["kind"] not in ("Deployment", "StatefulSet")]
    assert Case([waits], bare).found() == []
    failed = stored(waits, 1, "failed")
    assert Case([waits], [*bare, failed]).kinds() == ["release-missing"]
    runs = row(upgrade_pending=True)
    assert "release-missing" in Case([runs], bare).kinds()


def test_a_release_that_was_never_deployed_is_missing_and_says_how_far_it_came() -> None:
    objects = changed(home(RUNNING), "Secret", "sh.helm.release.v1.acme.v1")
    case = Case([RUNNING], [*objects, stored(RUNNING, 2, "pending-install")])
    assert case.one().found == "revision 2, pending-install"


def test_another_release_in_the_namespace_is_none_of_the_instances() -> None:
    other = stored(row("other"), 7)
    other["metadata"]["namespace"] = "inn-acme"
    assert running(*home(RUNNING), other).kinds() == []


@pytest.mark.parametrize("state", ["failed", "pending-upgrade", "pending-rollback", "uninstalling"])
def test_a_newest_revision_that_is_not_deployed_is_found(state: str) -> None:
    found = running(*home(RUNNING), stored(RUNNING, 2, state)).one()
    assert (found.what, found.found) == (What.RELEASE_UNSETTLED, f"revision 2, {state}")


def test_a_broken_record_is_found_and_fails_nothing_else() -> None:
    torn = stored(RUNNING, 2, "failed")
    torn["data"] = {"release": "bm90aGluZw=="}
    assert "cannot be read" in running(*home(RUNNING), torn).one().found
    nameless = stored(RUNNING, 2)
    nameless["metadata"]["labels"] = {"name": "acme"}
    assert "has no usable labels" in running(*home(RUNNING), nameless).found()[0].found
    nameless["metadata"]["labels"] = {}
    assert running(*home(RUNNING), nameless).kinds() == []


def test_a_deployed_record_that_cannot_be_read_is_found() -> None:
    torn = stored(RUNNING)
    torn["data"] = {"release": "bm90aGluZw=="}
    case = Case([RUNNING], [*changed(home(RUNNING), "Secret", "sh.helm.release.v1.acme.v1"), torn])
    assert case.kinds() == ["release-unsettled"]


@pytest.mark.parametrize(
    ("version", "said", "found"),
    [
        (2, None, "revision 2, by innkeeper, chart room-0.1.0"),
        (2, "Upgrade complete", "revision 2, by somebody else, chart room-0.1.0"),
        (1, "Upgrade complete", "revision 1, by somebody else, chart room-0.1.0"),
        (3, "Rollback to 1", "revision 3, by innkeeper, chart room-0.1.0"),
    ],
)
def test_a_release_that_somebody_else_worked_on_is_found(version: int, said: str | None, found: str) -> None:
    objects = changed(home(RUNNING), "Secret", "sh.helm.release.v1.acme.v1")
    case = Case([RUNNING], [*objects, stored(RUNNING, version, said=said)])
    assert (case.one().what, case.one().wanted, case.one().found) == (
        What.RELEASE_BY_HAND,
        "revision 1, by innkeeper",
        found,
    )
    assert case.one().mend == "innkeeper upgrade acme"


def test_a_rollback_that_the_row_knows_of_is_an_operations() -> None:
    instance = row(revision=3)
    objects = changed(home(instance), "Secret", "sh.helm.release.v1.acme.v1")
    assert Case([instance], [*objects, stored(instance, 3, said="Rollback to 1")]).kinds() == []


def test_a_revision_without_a_mark_is_somebody_elses() -> None:
    objects = changed(home(RUNNING), "Secret", "sh.helm.release.v1.acme.v1")
    assert Case([RUNNING], [*objects, stored(RUNNING, mark="")]).kinds() == ["release-by-hand"]


def test_failed_hooks_of_the_newest_revision_are_found() -> None:
    hooks = [
        {"name": "migrate", "kind": "Job", "last_run": {"phase": "Failed"}},
        {"name": "seed", "kind": "Job", "last_run": {"phase": "Succeeded"}},
        {"name": "never", "kind": "Job"},
        "nonsense",
    ]
    objects = changed(home(RUNNING), "Secret", "sh.helm.release.v1.acme.v1")
    found = Case([RUNNING], [*objects, stored(RUNNING, hooks=hooks)]).one()
    assert (found.what, found.object) == (What.HOOK_FAILED, "Release inn-acme/acme hook Job migrate")
    assert found.mend == "kubectl describe job migrate --namespace inn-acme"


def test_another_version_of_the_chart_than_the_plan_names_is_found() -> None:
    pinned = {**PLANS["starter"], "chart": {"path": "room", "version": "0.2.0"}}
    found = running(plans={"starter": pinned}).one()
    assert (found.what, found.wanted, found.found) == (What.CHART_VERSION, "version: 0.2.0", "version: 0.1.0")


@pytest.mark.parametrize(("digest", "kinds"), [("edited", ["plan-outdated"]), (DIGEST, []), (None, [])])
def test_a_plan_that_was_changed_since_is_found_where_its_chart_can_be_read(
    digest: str | None, kinds: list[str]
) -> None:
    assert running(digests={"starter": digest} if digest else {}).kinds() == kinds


def test_of_an_upgrade_that_waits_for_the_start_neither_plan_nor_surroundings_are_judged() -> None:
    instance = row(status=Status.STOPPED, upgrade_pending=True)
    objects = changed(home(instance), "ResourceQuota", "innkeeper")
    assert Case([instance], objects, digests={"starter": "edited"}).kinds() == []


def test_a_plan_that_is_gone_is_found_and_the_rest_is_judged_all_the_same() -> None:
    other = {"other": PLANS["starter"]}
    assert running(plans=other).kinds() == ["plan-unknown"]
    scaled = changed(home(RUNNING), "Deployment", "web", spec={**WEB["spec"], "replicas": 5})
    assert Case([RUNNING], scaled, plans=other).kinds() == ["plan-unknown", "replicas-changed"]


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_replicas_changed_by_hand_are_found(kind: str) -> None:
    was = WEB if kind == "Deployment" else DB
    name, count = was["metadata"]["name"], was["spec"]["replicas"]
    found = Case([RUNNING], changed(home(RUNNING), kind, name, spec={**was["spec"], "replicas": 7})).one()
    assert (found.what, found.object) == (What.REPLICAS_CHANGED, f"{kind} inn-acme/{name}")
    assert (found.wanted, found.found, found.mend) == (f"replicas: {count}", "replicas: 7", "innkeeper repair acme")


def test_replicas_that_nobody_names_are_one() -> None:
    manifest = workload("Deployment", "web", None)
    objects = [each for each in home(RUNNING) if each["kind"] not in ("Deployment", "StatefulSet")]
    objects = changed(objects, "Secret", "sh.helm.release.v1.acme.v1")
    objects += [stored(RUNNING, manifests=[manifest]), workload("Deployment", "web", 1)]
    assert Case([RUNNING], objects).kinds() == []


def test_what_an_autoscaler_scales_is_its_own_affair_while_the_instance_runs() -> None:
    target = {"scaleTargetRef": {"kind": "Deployment", "name": "web"}}
    autoscaler = {
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "a", "namespace": "inn-acme"},
        "spec": target,
    }
    scaled = changed(home(RUNNING), "Deployment", "web", spec={**WEB["spec"], "replicas": 7})
    assert Case([RUNNING], [*scaled, autoscaler]).kinds() == []
    up = changed(home(STOPPED), "Deployment", "web", spec={**WEB["spec"], "replicas": 1})
    assert Case([STOPPED], [*up, autoscaler]).one().wanted == "replicas: 0"
    lone = [stored(RUNNING, manifests=[WEB]), autoscaler, *scaled]
    lone = [each for each in lone if each["kind"] not in ("StatefulSet", "Pod")]
    lone.remove(next(each for each in lone[1:] if each["metadata"]["name"].startswith("sh.helm")))
    assert Case([RUNNING], lone).kinds() == []


def test_images_changed_by_hand_are_found_and_injected_containers_are_not() -> None:
    live = workload("Deployment", "web", 2, main="web:2", sidecar="proxy:1")
    found = Case([RUNNING], changed(home(RUNNING), "Deployment", "web", spec=live["spec"])).one()
    assert (found.what, found.wanted, found.found) == (What.IMAGE_CHANGED, "main: web:1", "main: web:2")
    injected = workload("Deployment", "web", 2, main="web:1", sidecar="proxy:1")
    assert Case([RUNNING], changed(home(RUNNING), "Deployment", "web", spec=injected["spec"])).kinds() == []
    renamed = workload("Deployment", "web", 2, other="web:1")
    assert Case([RUNNING], changed(home(RUNNING), "Deployment", "web", spec=renamed["spec"])).one().found == (
        "main: (absent)"
    )


@pytest.mark.parametrize(("kind", "replicas"), [("DaemonSet", None), ("CronJob", None)])
def test_images_of_what_has_no_replicas_are_compared_too(kind: str, replicas: int | None) -> None:
    wanted, live = workload(kind, "every", replicas), workload(kind, "every", replicas, main="other:1")
    objects = [
        *changed(home(RUNNING), "Secret", "sh.helm.release.v1.acme.v1"),
        stored(RUNNING, manifests=[WEB, DB, wanted]),
    ]
    assert Case([RUNNING], [*objects, wanted]).kinds() == []
    assert Case([RUNNING], [*objects, live]).one().found == "main: other:1"
    missing = Case([RUNNING], objects).one()
    assert (missing.what, missing.wanted) == (What.WORKLOAD_MISSING, "replicas: –")


def test_a_workload_that_was_deleted_is_found() -> None:
    found = Case([RUNNING], changed(home(RUNNING), "StatefulSet", "db")).one()
    assert (found.what, found.wanted, found.found) == (What.WORKLOAD_MISSING, "replicas: 1", "(absent)")


def test_a_running_row_over_no_pods_is_found() -> None:
    found = Case([RUNNING], changed(home(RUNNING), "Pod", "web-1")).one()
    assert (found.what, found.object) == (What.STATUS_WRONG, "Namespace inn-acme")
    assert (found.wanted, found.found) == ("running: pods", "no pods")


def test_a_stopped_row_with_pods_is_found() -> None:
    found = Case([STOPPED], [*home(STOPPED), *(pod(f"web-{number}") for number in range(7))]).one()
    assert (found.what, found.wanted) == (What.STATUS_WRONG, "stopped: no pods")
    assert found.found == "7 pods: web-0, web-1, web-2, web-3, web-4"


def test_secrets_of_what_is_uninstalled_are_missed_and_a_release_that_came_back_is_found() -> None:
    instance = row(status=Status.UNINSTALLED)
    assert Case([instance], changed(home(instance), "Secret", "credentials")).kinds() == ["secret-missing"]
    back = Case([instance], [*home(instance), stored(instance)]).one()
    assert (back.what, back.wanted, back.found) == (
        What.STATUS_WRONG,
        "uninstalled: no release",
        "revision 1, deployed",
    )


@pytest.mark.parametrize("status", [Status.RUNNING, Status.STOPPED, Status.UNINSTALLED])
def test_a_namespace_that_is_gone_or_marked_as_another_is_found_and_nothing_else(status: Status) -> None:
    instance = row(status=status)
    gone = Case([instance], []).one()
    assert (gone.what, gone.found) == (What.NAMESPACE_MISSING, "(absent), or without any mark")
    foreign = home(row(tenant="t2"))[:1]
    assert Case([instance], foreign).one().found == "without that mark"


def test_a_purged_instance_has_nothing_but_its_row() -> None:
    instance = row(status=Status.PURGED)
    assert Case([instance], []).kinds() == []
    namespace = home(RUNNING)[0]
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data", "namespace": "inn-acme"}}
    back = Case([instance], [namespace, claim]).one()
    assert (back.what, back.found) == (What.STATUS_WRONG, "0 revisions, 1 volume claims, 0 pods")
    assert back.mend == "kubectl delete namespace inn-acme"
    # By now it is somebody else's: what is adopted keeps the name that it had.
    for other in ({}, {**namespace["metadata"]["labels"], marks.INSTANCE: "globex"}):
        adopted = {**namespace, "metadata": {**namespace["metadata"], "labels": other}}
        assert Case([instance], [adopted]).kinds() == []
    going = {**namespace, "metadata": {**namespace["metadata"], "deletionTimestamp": "now"}}
    assert Case([instance], [going]).kinds() == []


def test_a_row_in_transition_is_left_alone_while_its_operation_runs_or_it_has_just_begun() -> None:
    stopping = row(status=Status.STOPPING, updated_at=NOW - STUCK - timedelta(seconds=1))
    looked, found, told = Case([stopping], [], running=frozenset({"acme"})).judge()
    assert (looked, found, told.busy) == ([], [], 1)
    fresh = row(status=Status.STOPPING, updated_at=NOW - STUCK)
    assert Case([fresh], []).judge()[2].busy == 1
    stuck = Case([stopping], home(RUNNING)).one()
    assert (stuck.what, stuck.object) == (What.TRANSITION_STUCK, "Row acme")
    assert stuck.found == "stopping since 2026-03-01 11:57:59 UTC, and none runs"


def test_what_an_error_left_is_told_by_its_row() -> None:
    looked, found, told = Case([row(status=Status.ERROR)], []).judge()
    assert (looked, found, told.busy) == ([], [], 1)


@pytest.mark.parametrize(
    ("pattern", "kinds"),
    [
        ("replicas-changed Deployment *", []),
        ("replicas-* Deployment inn-acme/web", []),
        ("* Deployment inn-*/web", []),
        ("replicas-changed Deployment */db", ["replicas-changed"]),
        ("image-changed Deployment *", ["replicas-changed"]),
    ],
)
def test_a_plan_ignores_what_its_catalog_says(pattern: str, kinds: list[str]) -> None:
    plans = {"starter": {**PLANS["starter"], "ignore_drift": [pattern]}}
    scaled = changed(home(RUNNING), "Deployment", "web", spec={**WEB["spec"], "replicas": 5})
    assert Case([RUNNING], scaled, plans=plans).kinds() == kinds


def seen(case: Case) -> Seen | None:
    return case.judge()[2].seen


def test_what_is_there_is_told_of_one_instance() -> None:
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data", "namespace": "inn-acme"}}
    told = seen(running(*home(RUNNING), claim, only="acme"))
    assert told is not None
    assert (told.namespace, told.revision, told.state, told.chart, told.wanted_chart) == (
        True,
        1,
        "deployed",
        "room-0.1.0",
        "/room",
    )
    assert (told.current, told.pods, told.volumes) == (True, 1, 1)
    assert [(each.object, each.wanted, each.found, each.images) for each in told.workloads] == [
        ("Deployment inn-acme/web", 2, 2, ["web:1"]),
        ("StatefulSet inn-acme/db", 1, 1, ["db:1"]),
    ]
    assert seen(running(*home(RUNNING), only="acme", digests={"starter": "edited"})).current is False  # type: ignore[union-attr]
    assert seen(running(*home(RUNNING), only="acme", digests={})).current is None  # type: ignore[union-attr]
    assert seen(Case([], [], only="acme")) is None
    assert seen(running(*home(RUNNING))) is None


def test_what_is_there_is_told_where_nothing_or_something_else_is() -> None:
    nothing = seen(Case([RUNNING], [], only="acme", plans={"other": PLANS["starter"]}))
    assert nothing == Seen()
    stray = {**workload("Deployment", "stray"), "metadata": {**DB["metadata"], "name": "stray"}}
    other = seen(Case([row(status=Status.UNINSTALLED)], [*home(row(status=Status.UNINSTALLED)), stray], only="acme"))
    assert other is not None
    assert [(each.object, each.wanted) for each in other.workloads] == [("Deployment inn-acme/stray", None)]


def test_findings_are_counted_to_the_last_and_named_up_to_a_limit() -> None:
    rows: list[Instance] = [row(f"i-{number}") for number in range(MOST_NAMED + 5)]
    told = Case(rows, []).judge()[2]
    assert told.found == {"namespace-missing": MOST_NAMED + 5}
    assert len(told.named) == MOST_NAMED
    assert told.named[0] == "i-0: namespace-missing Namespace inn-i-0"


def test_what_is_to_be_done_is_the_plans_word_where_a_repair_is_the_mend() -> None:
    plans = {"starter": {**PLANS["starter"], "drift": {"image-changed": "ask", "replicas-changed": "repair"}}}

    def policies(instance: Instance) -> dict[What, Policy]:
        live = workload("Deployment", "web", 5, main="web:2")
        objects = changed(home(instance), "Deployment", "web", spec=live["spec"])
        return {each.what: each.policy for each in Case([instance], objects, plans=plans).found()}

    assert policies(RUNNING) == {What.REPLICAS_CHANGED: Policy.REPAIR, What.IMAGE_CHANGED: Policy.ASK}
    # A repair of what is stopped brings back no image.
    assert policies(STOPPED) == {What.REPLICAS_CHANGED: Policy.REPAIR, What.IMAGE_CHANGED: Policy.REPORT}
    assert Case([RUNNING], []).one().policy is Policy.REPORT


def test_the_same_finding_asks_for_the_same_repair() -> None:
    scaled = changed(home(RUNNING), "Deployment", "web", spec={**WEB["spec"], "replicas": 5})
    told = Case([RUNNING], scaled).one().model_dump()
    record = FindingRecord.model_validate({**told, "how_bad": "warning", "id": 17, "first_seen": NOW, "last_seen": NOW})
    request = repair_of(RUNNING, record)
    assert request == repair_of(RUNNING, record)
    assert (request.kind, request.request_id) == (Kind.REPAIR, "drift-acme-17")
    assert (request.tenant, request.asked_by) == ("t1", "drift")
