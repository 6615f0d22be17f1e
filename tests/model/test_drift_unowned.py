"""What carries the marks of an instance that no row knows, or whose row knows better."""

from __future__ import annotations

from drift_facts import Case, home, pod, row, stored

from innkeeper.model.drift_kinds import What
from innkeeper.model.findings import Looked
from innkeeper.model.instance import Status
from innkeeper.model.ports import Manifest

STOPPED = row(status=Status.STOPPED, revision=None)
RUNNING = row()


def running(*objects: Manifest, **other: object) -> Case:
    return Case([RUNNING], list(objects) or home(RUNNING), **other)  # type: ignore[arg-type]


def ownerless() -> list[Manifest]:
    claim = {"kind": "PersistentVolumeClaim", "metadata": {"name": "data", "namespace": "inn-acme"}}
    return [*home(RUNNING), claim]


def test_what_no_row_knows_is_found_by_its_marks() -> None:
    looked, found, _ = Case([], ownerless()).judge()
    assert looked == [Looked(instance="acme", generation=None)]
    assert [(each.what, each.object) for each in found] == [
        (What.RELEASE_UNOWNED, "Release inn-acme/acme"),
        (What.VOLUME_UNOWNED, "PersistentVolumeClaim inn-acme/data"),
    ]
    assert found[0].found == "(absent); revision 1, deployed, chart room-0.1.0"
    assert found[0].mend.endswith("helm uninstall acme --namespace inn-acme")
    assert found[1].mend.endswith("kubectl delete persistentvolumeclaim data --namespace inn-acme")


def test_an_empty_namespace_that_no_row_knows_is_found_unless_it_is_going() -> None:
    namespace = home(RUNNING)[0]
    found = Case([], [namespace]).one()
    assert (found.what, found.mend.endswith("kubectl delete namespace inn-acme")) == (What.NAMESPACE_UNOWNED, True)
    going = {**namespace, "metadata": {**namespace["metadata"], "deletionTimestamp": "now"}}
    assert Case([], [going]).kinds() == []


def test_a_marked_release_in_a_namespace_without_marks_is_found_and_foreign_ones_are_not() -> None:
    assert Case([], [stored(RUNNING)]).kinds() == ["release-unowned"]
    assert Case([], [stored(RUNNING, mark="")]).kinds() == []
    operators = {"kind": "Namespace", "metadata": {"name": "innkeeper-system", "labels": {}}}
    assert Case([], [operators, pod(namespace="kube-system")]).kinds() == []
    assert Case([], [{"kind": "Namespace", "metadata": {"name": "bare"}}]).kinds() == []


def volume(name: str = "pv-1", phase: str = "Released", namespace: str = "inn-acme") -> Manifest:
    claim = {"namespace": namespace, "name": "data"}
    return {
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {"claimRef": claim},
        "status": {"phase": phase},
    }


def test_retained_volumes_without_a_claim_are_found_whoever_has_had_them() -> None:
    for rows, objects in (([], []), ([row(status=Status.PURGED)], []), ([RUNNING], home(RUNNING))):
        found = Case(rows, [*objects, volume()]).one()
        assert (found.instance, found.what, found.object) == ("acme", What.VOLUME_UNOWNED, "PersistentVolume pv-1")
    going = volume()
    for other in (
        {**going, "metadata": {**going["metadata"], "deletionTimestamp": "2026-03-01T10:00:00Z"}},
        volume(phase="Bound"),
        volume(namespace="elsewhere"),
        {"kind": "PersistentVolume", "metadata": {"name": "x"}},
    ):
        assert Case([], [other]).kinds() == []


def test_a_retained_volume_of_what_was_adopted_is_found_where_somebody_had_put_it() -> None:
    for status in (Status.RUNNING, Status.PURGED):
        adopted = row(namespace="shop", status=status)
        around = [] if status is Status.PURGED else home(adopted)
        found = Case([adopted], [*around, volume(namespace="shop")]).one()
        assert (found.instance, found.what, found.object) == ("acme", What.VOLUME_UNOWNED, "PersistentVolume pv-1")
    pod = {"kind": "Pod", "metadata": {"name": "web", "namespace": "elsewhere"}}
    assert Case([], [pod, volume(namespace="elsewhere")]).kinds() == []


def test_a_look_at_one_instance_says_nothing_of_others() -> None:
    other = row("other")
    objects = [*ownerless(), volume(namespace="inn-gone"), *home(other)]
    looked, found, told = Case([other], objects, only="other").judge()
    assert (looked, found) == ([Looked(instance="other", generation=3)], [])
    assert told.seen is not None
    assert Case([], objects, only="gone").one().object == "PersistentVolume pv-1"
    assert Case([], objects, only="nobody", open_on=("nobody", "acme")).judge()[0] == [
        Looked(instance="nobody", generation=None)
    ]


def test_where_findings_stand_on_what_is_gone_it_is_judged_and_nothing_found() -> None:
    looked, found, _ = Case([RUNNING], home(RUNNING), open_on=("acme", "ghost", "ghost")).judge()
    assert looked == [Looked(instance="acme", generation=3), Looked(instance="ghost", generation=None)]
    assert found == []


def test_a_namespace_that_is_marked_as_an_instance_with_a_row_elsewhere_is_left_to_that_row() -> None:
    stray = home(RUNNING)[0]
    stray = {**stray, "metadata": {**stray["metadata"], "name": "inn-stray"}}
    looked, found, _ = Case([RUNNING], [*home(RUNNING), stray]).judge()
    assert ([each.instance for each in looked], found) == (["acme"], [])
