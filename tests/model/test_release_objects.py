"""What a release consists of by its stored revisions: its objects, their kinds, and what older ones left."""

from __future__ import annotations

from dataclasses import replace

import pytest
from revisions import revision

from innkeeper.model.manifests import Manifest
from innkeeper.model.ports import Ref
from innkeeper.model.release import kinds_of, objects_of, pack, strays


def config_map(name: str, annotations: str = "") -> str:
    return f"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}{annotations}}}\n"


CLAIM = "---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: files}\nspec: {}\n"
KEPT = config_map("kept", ", annotations: {helm.sh/resource-policy: keep}")


def test_strays_are_what_only_older_revisions_made_and_nothing_that_is_kept_or_holds_data() -> None:
    revisions = [
        revision(1, "deployed", manifest=config_map("both") + config_map("oldest") + CLAIM + KEPT),
        revision(2, "failed", manifest=config_map("both") + config_map("older")),
        revision(3, "failed", manifest=config_map("both") + config_map("new")),
    ]
    assert strays(revisions) == (Ref("v1", "ConfigMap", "older"), Ref("v1", "ConfigMap", "oldest"))
    assert strays(reversed(revisions)) == strays(revisions)
    assert strays(revisions[:2]) == (Ref("v1", "ConfigMap", "oldest"),)
    assert strays(revisions[:1]) == ()
    assert strays([]) == ()


@pytest.mark.parametrize("kind", ["PersistentVolumeClaim", "PersistentVolume", "Namespace"])
def test_what_may_hold_data_is_no_stray_although_its_chart_forgot_to_keep_it(kind: str) -> None:
    manifest = f"---\napiVersion: v1\nkind: {kind}\nmetadata: {{name: a}}\n"
    assert strays([revision(1, "deployed", manifest=manifest), revision(2, "failed")]) == ()


def role(name: str) -> str:
    return f"---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{name: {name}}}\n"


def test_the_kinds_that_helm_may_change_are_those_of_what_is_newest_what_ran_and_what_ran_before() -> None:
    revisions = [
        revision(1, "superseded", manifest=CLAIM),
        revision(2, "superseded", manifest=role("old")),
        revision(3, "deployed", manifest=config_map("a")),
        revision(4, "failed", manifest="---\napiVersion: v1\nkind: Service\nmetadata: {name: a}\n"),
    ]
    newest = {("v1", "ConfigMap"), ("v1", "Service")}
    assert kinds_of(revisions) == newest
    assert kinds_of(revisions, 2) == newest | {("rbac.authorization.k8s.io/v1", "ClusterRole")}
    assert kinds_of(revisions[:2]) == {("rbac.authorization.k8s.io/v1", "ClusterRole")}
    assert kinds_of([]) == frozenset()


def test_what_hooks_make_counts_among_the_kinds() -> None:
    hooks = [{"name": "before", "manifest": role("before")}]
    hooked = replace(revision(1, "deployed"), packed=pack({"manifest": config_map("a"), "hooks": hooks}))
    assert kinds_of([hooked]) == {("v1", "ConfigMap"), ("rbac.authorization.k8s.io/v1", "ClusterRole")}


def test_a_revisions_objects_are_named_as_rendered() -> None:
    elsewhere: Manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "n"}}
    manifest = f"{config_map('a')}---\n{elsewhere}\n"
    assert objects_of(revision(1, "deployed", manifest=manifest)) == (
        Ref("v1", "ConfigMap", "a"),
        Ref("v1", "Pod", "p", "n"),
    )
